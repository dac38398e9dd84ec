/** Whole workers that send by SMTP to scripted servers, one connector for each, and servers that fail at every phase. */
import { expect, onTestFinished } from 'vitest';
import type { MessageStatus, Producer } from '../../src/producer/producer.ts';
import { createSmtpTransport } from '../../src/transport/smtp/smtp.ts';
import type { SmtpSettings } from '../../src/transport/smtp/settings.ts';
import type { Timing } from '../../src/worker/worker.ts';
import { countable, isUncertain, sink } from './books.ts';
import type { Certificates } from '../../testkit/certificates.ts';
import { configOf, startWorker, type TestWorker } from './postlane.ts';
import { smtpSettings } from '../../testkit/smtp/settings.ts';
import type { SmtpAnswer, SmtpServer, SmtpServerOptions } from '../../testkit/smtp/server.ts';

/** A connector and its server. It sends for `<id>@example.com`. */
export interface Door {
  readonly id: string;
  readonly server: SmtpServer;
  readonly settings: SmtpSettings;
}

type SettingsChange = Parameters<typeof smtpSettings>[1];

export const login = { user: 'relay', password: 'right' };

export async function doorTo(id: string, options: SmtpServerOptions = {}, change: SettingsChange = {}): Promise<Door> {
  const server = await sink(options);
  return { id, server, settings: smtpSettings(server.port, change) };
}

export interface SenderOptions {
  readonly prefix: string;
  readonly doors: readonly Door[];
  readonly name?: string;
  readonly concurrency?: number;
  readonly timing?: Partial<Timing>;
}

/** What a first pause of 5 s is here: 50 ms. */
export const pauseScale = 0.01;

/** Composing the message for `body` keeps a busy machine's event loop for seconds, and a lock must outlive that. */
const lockMs = 20_000;

/** A worker with a connector for each door. Ends with the test, and its sessions with it. */
export async function startSender(options: SenderOptions): Promise<TestWorker> {
  const { prefix, doors, name = 'w1', concurrency = 5, timing = {} } = options;
  const transports = Object.fromEntries(
    doors.map(({ id, settings }) => [
      id,
      createSmtpTransport({ settings, hostname: 'worker.test', maxConnections: concurrency }),
    ]),
  );
  onTestFinished(async () => {
    await Promise.all(Object.values(transports).map((transport) => transport.close()));
  });
  const limits = { concurrency, messagesPerMinute: null };
  const connectors = doors.map(({ id }) => [id, { addresses: [`${id}@example.com`], limits }]);
  const config = configOf(Object.fromEntries(connectors));
  return startWorker({ prefix, config, transports, name, timing: { lockMs, pauseScale, ...timing } });
}

/** Sends messages through each door; → their ids by door. Those through `body` are larger than what two sockets buffer. */
export async function sendThrough(
  producer: Producer,
  doors: readonly Door[],
  each: number,
): Promise<Map<string, string[]>> {
  const ids = new Map<string, string[]>();
  for (const { id } of doors) {
    const names = Array.from({ length: id === 'body' ? 1 : each }, (_, i) => `${id}-${i}`);
    ids.set(id, names);
    const text = id === 'body' ? `${'x'.repeat(70)}\r\n`.repeat(200_000) : 'x';
    for (const name of names) await producer.send(countable(name, { from: `${id}@example.com`, text }));
  }
  return ids;
}

/** Phases by the name of their door, with the verb of the server's script. `body` is amid the message, `dot` after it. */
export const phases = {
  greeting: 'CONNECT',
  ehlo: 'EHLO',
  starttls: 'STARTTLS',
  auth: 'AUTH',
  mail: 'MAIL',
  rcpt: 'RCPT',
  data: 'DATA',
  body: 'BODY',
  dot: '.',
} as const;

export type PhaseName = keyof typeof phases;

export interface Misbehaviour {
  readonly answer: SmtpAnswer;
  readonly certificates: Certificates;
  /** How often. Default twice, and once after the final dot. */
  readonly times?: number;
  readonly settings?: SettingsChange;
}

/** A server that misbehaves at one phase, the first times that it gets there, and is well then. */
export async function brokenDoor(
  name: PhaseName,
  { answer, certificates, times, settings }: Misbehaviour,
): Promise<Door> {
  const answers = Array.from({ length: times ?? (name === 'dot' ? 1 : 2) }, () => answer);
  // A client whose EHLO is refused may say HELO, and go on.
  const script = { ...(name === 'ehlo' ? { HELO: answers } : {}), [phases[name]]: answers };
  if (name === 'starttls') {
    const change = {
      ...settings,
      security: 'starttls',
      tls: { ca: certificates.ca, servername: 'localhost' },
    } as const;
    return doorTo(name, { script, tls: certificates.server }, change);
  }
  if (name === 'auth')
    return doorTo(name, { script, auth: login }, { ...settings, auth: login, allowInsecureAuth: true });
  return doorTo(name, { script, bodyBytesBefore: 100_000 }, settings);
}

/** How often a server has got a message whole, whether it said yes to it or not. */
export function handedOver(id: string, { received }: SmtpServer): number {
  return received.transactions.filter(({ to }) => to.includes(`${id}@example.net`)).length;
}

/** Each server has got each message whole once; the one whose yes was lost once has got one twice, and that one is marked. */
export function expectCopies(rows: readonly MessageStatus[], doors: readonly Door[]): void {
  for (const { id: phase, server } of doors) {
    const own = rows.filter(({ id }) => id.startsWith(`${phase}-`));
    const handed = own.map(({ id }) => handedOver(id, server));
    const twice = handed.filter((count) => count === 2).length;
    expect([phase, Math.min(...handed), Math.max(...handed), twice]).toEqual([
      phase,
      1,
      ...(phase === 'dot' ? [2, 1] : [1, 0]),
    ]);
    expect(own.map(isUncertain)).toEqual(handed.map((count) => count === 2));
  }
}

/** Events of a worker that end a connector's session before any message: none of them may count as an attempt. */
export function expectNoneBurned(rows: readonly MessageStatus[]): void {
  expect(rows.filter(({ attempts }) => attempts !== 1).map(({ id, attempts }) => `${id}: ${attempts}`)).toEqual([]);
}
