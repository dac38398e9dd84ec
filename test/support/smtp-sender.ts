/** Workers that send by SMTP to scripted servers, one connector for each, and servers that fail at a chosen phase. */
import { expect, onTestFinished } from 'vitest';
import type { MessageStatus, Producer } from '../../src/producer/producer.ts';
import { createSmtpTransport } from '../../src/transport/smtp/smtp.ts';
import type { SmtpSettings } from '../../src/transport/smtp/settings.ts';
import type { SendPolicy } from '../../src/worker/settings.ts';
import type { Timing } from '../../src/worker/worker.ts';
import { countable, isUncertain, settled, sink } from './accounting.ts';
import { createCertificates, type Certificates } from '../../testkit/certificates.ts';
import { configOf, startWorker, testRetry, testProducer, type TestWorker } from './postlane.ts';
import { testPrefix } from './redis.ts';
import { smtpSettings, type SmtpSettingsChange } from '../../testkit/smtp/settings.ts';
import type { SmtpAnswer, SmtpServer, SmtpServerOptions } from '../../testkit/smtp/server.ts';

/** The server of the connector `id`, which sends for `<id>@example.com`. */
export interface ConnectorServer extends SmtpServer {
  readonly id: string;
  readonly settings: SmtpSettings;
}

export const login = { user: 'relay', password: 'right' };

/** Ends with the test. */
export async function serverFor(
  id: string,
  options: SmtpServerOptions = {},
  change: SmtpSettingsChange = {},
): Promise<ConnectorServer> {
  const server = await sink(options);
  return { ...server, id, settings: smtpSettings(server.port, change) };
}

export interface SenderOptions {
  readonly prefix: string;
  readonly servers: readonly Pick<ConnectorServer, 'id' | 'settings'>[];
  readonly name?: string;
  readonly concurrency?: number;
  readonly timing?: Partial<Timing>;
  /** Of the connectors' schedules; default as in `configOf`. */
  readonly retry?: Partial<SendPolicy>;
  readonly random?: () => number;
}

/** A pause of 5 s is 50 ms here. */
export const pauseScale = 0.01;

/** A worker with a connector for each server. Ends with the test, and its sessions with it. */
export async function startSender(options: SenderOptions): Promise<TestWorker> {
  const { prefix, servers, name = 'w1', concurrency = 5, timing = {}, retry = {}, random } = options;
  const transports = Object.fromEntries(
    servers.map(({ id, settings }) => [
      id,
      createSmtpTransport({ settings, hostname: 'worker.test', maxConnections: concurrency }),
    ]),
  );
  onTestFinished(async () => {
    await Promise.all(Object.values(transports).map((transport) => transport.close()));
  });
  const limits = { concurrency, messagesPerMinute: null };
  const connectors = servers.map(({ id }) => [
    id,
    { addresses: [`${id}@example.com`], limits, retry: { ...testRetry, ...retry } },
  ]);
  const config = configOf(Object.fromEntries(connectors));
  return startWorker({
    prefix,
    config,
    transports,
    name,
    timing: { pauseScale, ...timing },
    ...(random === undefined ? {} : { random }),
  });
}

/** Sends messages to each server; → their ids by server. Those for `body` are larger than what two sockets buffer. */
export async function sendThrough(
  producer: Producer,
  servers: readonly ConnectorServer[],
  each: number,
): Promise<Map<string, string[]>> {
  const ids = new Map<string, string[]>();
  for (const { id } of servers) {
    const names = Array.from({ length: id === 'body' ? 1 : each }, (_, i) => `${id}-${i}`);
    ids.set(id, names);
    const text = id === 'body' ? `${'x'.repeat(70)}\r\n`.repeat(200_000) : 'x';
    for (const name of names) await producer.send(countable(name, { from: `${id}@example.com`, text }));
  }
  return ids;
}

export interface Delivered extends TestWorker {
  readonly prefix: string;
  readonly producer: Producer;
  /** By server, in the order in which they were sent. */
  readonly ids: ReadonlyMap<string, readonly string[]>;
  readonly rows: readonly MessageStatus[];
}

/** The course of most tests: `each` messages for every server, then one worker, until every message is settled. */
export async function deliverThrough(
  servers: readonly ConnectorServer[],
  each: number,
  options: Pick<SenderOptions, 'concurrency' | 'timing'> = {},
): Promise<Delivered> {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const ids = await sendThrough(producer, servers, each);
  const sender = await startSender({ prefix, servers, ...options });
  const rows = await settled(producer, [...ids.values()].flat());
  return { ...sender, prefix, producer, ids, rows };
}

/** Phases by the id of their server, with the verb of the server's script. `body` is amid the message, `dot` after it. */
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

export const phaseNames = Object.keys(phases) as readonly PhaseName[];

/** Phases before MAIL FROM: what fails there concerns the connector, and no message's attempt is counted. */
export const sessionPhases = ['greeting', 'ehlo', 'starttls', 'auth'] as const satisfies readonly PhaseName[];

export interface Failure {
  readonly answer: SmtpAnswer;
  /** How often. Default twice, and once after the end of data. */
  readonly times?: number;
  readonly settings?: SmtpSettingsChange;
}

/** A server that fails at one phase, the first times that a session gets there, and works afterwards. */
export async function failingServer(phase: PhaseName, { answer, times, settings }: Failure): Promise<ConnectorServer> {
  const answers = Array.from({ length: times ?? (phase === 'dot' ? 1 : 2) }, () => answer);
  // A client whose EHLO is refused may say HELO, and go on.
  const script = { ...(phase === 'ehlo' ? { HELO: answers } : {}), [phases[phase]]: answers };
  if (phase === 'starttls') {
    const { ca, server } = await testCertificates();
    const change = { ...settings, security: 'starttls', tls: { ca, servername: 'localhost' } } as const;
    return serverFor(phase, { script, tls: server }, change);
  }
  if (phase === 'auth')
    return serverFor(phase, { script, auth: login }, { ...settings, auth: login, allowInsecureAuth: true });
  return serverFor(phase, { script, bodyBytesBefore: 100_000 }, settings);
}

export function failingServers(names: readonly PhaseName[], failure: Failure): Promise<ConnectorServer[]> {
  return Promise.all(names.map((name) => failingServer(name, failure)));
}

let made: Promise<Certificates> | null = null;

/** The same for a whole test file. */
export function testCertificates(): Promise<Certificates> {
  return (made ??= createCertificates());
}

/** How often a server has received a message completely, whatever its reply. */
export function handedOver(id: string, { received }: SmtpServer): number {
  return received.transactions.filter(({ to }) => to.includes(`${id}@example.net`)).length;
}

/** Each server has got each message once; the one whose reply was lost once has got one message twice, marked as uncertain. */
export function expectCopies(rows: readonly MessageStatus[], servers: readonly ConnectorServer[]): void {
  for (const server of servers) {
    const own = rows.filter(({ id }) => id.startsWith(`${server.id}-`));
    const handed = own.map(({ id }) => handedOver(id, server));
    const twice = handed.filter((count) => count === 2).length;
    expect([server.id, Math.min(...handed), Math.max(...handed), twice]).toEqual([
      server.id,
      1,
      ...(server.id === 'dot' ? [2, 1] : [1, 0]),
    ]);
    expect(own.map(isUncertain)).toEqual(handed.map((count) => count === 2));
  }
}

/** No message's attempts were counted beyond the one that delivered it. */
export function expectNoneBurned(rows: readonly MessageStatus[]): void {
  expect(rows.filter(({ attempts }) => attempts !== 1).map(({ id, attempts }) => `${id}: ${attempts}`)).toEqual([]);
}

/**
 * Servers that fail before MAIL FROM are connector faults that count no attempt. Those that lose the connection later are one only
 * where several messages were lost alike; never where the body had begun, as a single message gets there.
 */
export function expectSessionFaults({ rows, of }: Delivered): void {
  const session: readonly string[] = sessionPhases;
  expectNoneBurned(rows.filter(({ connector }) => session.includes(connector ?? '')));
  const faulty = new Set(of('connector-fault').map(({ connector }) => connector));
  expect(session.filter((id) => !faulty.has(id))).toEqual([]);
  expect(['body', 'dot'].filter((id) => faulty.has(id))).toEqual([]);
}
