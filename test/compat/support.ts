/** What the tests with real mail servers share: a sink behind the server, a transport to it, and mail that can be told apart. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createSmtpTransport } from '../../src/transport/smtp/smtp.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { startExim, type Exim, type EximOptions } from '../../testkit/mailservers/exim.ts';
import { startOpenSmtpd } from '../../testkit/mailservers/opensmtpd.ts';
import type { Contained } from '../../testkit/mailservers/contained.ts';
import { mailServersMissing } from '../../testkit/mailservers/packages.ts';
import { startSmtpServer, type SmtpServer, type SmtpServerOptions } from '../../testkit/smtp/server.ts';
import { smtpSettings, type SmtpSettingsChange } from '../../testkit/smtp/settings.ts';
import { until } from '../../testkit/until.ts';
import { mailOf, sendBy, summary } from '../support/smtp-client.ts';

export const missing = mailServersMissing();

/** The server behind the one that is tested. */
export async function startSink(options: SmtpServerOptions = {}): Promise<SmtpServer> {
  const sink = await startSmtpServer(options);
  onTestFinished(() => sink.stop());
  return sink;
}

/** An Exim, and the sink behind it. Both end with the test. */
export async function eximWithSink(
  options: Omit<EximOptions, 'sinkPort'> = {},
): Promise<{ server: Exim; sink: SmtpServer }> {
  const sink = await startSink();
  const server = await startExim({ ...options, sinkPort: sink.port });
  onTestFinished(() => server.stop());
  return { server, sink };
}

/** An OpenSMTPD, and the sink behind it. Both end with the test. `settings` are lines of its configuration. */
export async function opensmtpdWithSink(settings: readonly string[] = []) {
  const sink = await startSink();
  const server = await startOpenSmtpd({ sinkPort: sink.port, settings });
  onTestFinished(() => server.stop());
  return { server, sink };
}

export function transportTo(server: Contained, change: SmtpSettingsChange = {}, maxConnections = 5): Transport {
  const transport = createSmtpTransport({
    settings: smtpSettings(server.port, change),
    hostname: 'client.test',
    maxConnections,
  });
  onTestFinished(() => transport.close());
  return transport;
}

export const people = (count: number, domain = 'example.net'): string[] =>
  Array.from({ length: count }, (_, at) => `user${at}@${domain}`);

export function letter(subject: string, body = 'hello\r\n', header: readonly string[] = []): Buffer {
  const lines = [
    'From: sales@example.com',
    'To: a@example.net',
    `Message-ID: <${subject}@example.com>`,
    `Subject: ${subject}`,
  ];
  return Buffer.from(`${[...lines, 'Date: Sun, 22 Nov 2026 12:00:00 +0000', ...header].join('\r\n')}\r\n\r\n${body}`);
}

/** Sends so many messages, all at once, and again what was only postponed. → how many rounds it took. */
export async function sendAll(transport: Transport, count: number, rounds: number): Promise<number> {
  let open = Array.from({ length: count }, (_, at) => `m${at}`);
  for (let round = 1; round <= rounds; round += 1) {
    const outcomes = await Promise.all(open.map((id) => sendBy(transport, mailOf({ id, bytes: letter(id) }))));
    open = open.filter((_, at) => summary(outcomes[at]!) !== 'accepted');
    if (open.length === 0) return round;
  }
  throw new Error(`${open.length} of ${count} messages were not accepted in ${rounds} rounds`);
}

/** Waits until the sink has a copy for each recipient, and gives all copies by recipient. */
export async function copiesAt(sink: SmtpServer, recipients: number): Promise<Map<string, number>> {
  const count = (): Map<string, number> => {
    const copies = new Map<string, number>();
    for (const { to, accepted } of sink.received.transactions) {
      if (accepted) for (const address of to) copies.set(address, (copies.get(address) ?? 0) + 1);
    }
    return copies;
  };
  await until(() => count().size >= recipients, { what: `${recipients} recipients to have a copy`, timeoutMs: 60_000 });
  return count();
}

export interface Flag {
  readonly path: string;
  set(on: boolean): Promise<void>;
}

/** A file that a server asks for while it answers, so that a test can change what it says. */
export async function flag(text = ''): Promise<Flag> {
  const folder = await mkdtemp(join(tmpdir(), 'postlane-flag-'));
  await chmod(folder, 0o755);
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'flag');
  const set = (on: boolean): Promise<void> => (on ? writeFile(path, text) : rm(path, { force: true }));
  return { path, set };
}

/** Statements of Exim's ACLs. */
export const deny = (condition: string, message: string): string[] => [
  `deny message = ${message}`,
  `     ${condition}`,
];
export const defer = (condition: string, message: string): string[] => [
  `defer message = ${message}`,
  `      ${condition}`,
];
