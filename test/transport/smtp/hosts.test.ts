/** Several hosts of one connector: in which order they are tried, what leads to the next, and what all workers know of those that are away. */
import { describe, expect, onTestFinished, test } from 'vitest';
import * as fc from 'fast-check';
import { createHostsAway } from '../../../src/queue/sessions/hosts-away.ts';
import { SmtpFailure } from '../../../src/transport/smtp/failure.ts';
import { hostName, inTurn, openAtOne, type SmtpHost } from '../../../src/transport/smtp/hosts.ts';
import { createSmtpTransport } from '../../../src/transport/smtp/smtp.ts';
import type { HostMemory } from '../../../src/transport/smtp/lease-provider.ts';
import type { AttemptTrace, Transport } from '../../../src/transport/transport.ts';
import { createCertificates } from '../../../testkit/certificates.ts';
import { startSmtpServer, type SmtpServer, type SmtpServerOptions } from '../../../testkit/smtp/server.ts';
import { smtpSettings, type SmtpSettingsChange } from '../../../testkit/smtp/settings.ts';
import { until } from '../../../testkit/until.ts';
import { shardsOf } from '../../../src/queue/redis/shards.ts';
import { shardCount, testConnection, testPrefix } from '../../support/redis.ts';
import { connectingProxy, routeTo } from '../../support/scripted-proxy.ts';
import { mailOf, sendBy, summary } from '../../support/smtp-client.ts';

async function serverOf(options: SmtpServerOptions = {}): Promise<SmtpServer> {
  const server = await startSmtpServer(options);
  onTestFinished(() => server.stop());
  return server;
}

function at(port: number, weight: number | null = null): SmtpHost {
  return { host: '127.0.0.1', port, weight };
}

/** A worker of its own: what it knows of hosts is in Redis. */
function workerOf(
  hosts: readonly SmtpHost[],
  change: SmtpSettingsChange = {},
  prefix = testPrefix(),
  random?: () => number,
): Transport {
  const hostMemory = createHostsAway(testConnection(), shardsOf(prefix, shardCount()), 'relay');
  const transport = createSmtpTransport({
    settings: { ...smtpSettings(hosts[0]!.port, change), hosts },
    hostname: 'client.test',
    maxConnections: 2,
    hostMemory,
    ...(random === undefined ? {} : { random }),
  });
  onTestFinished(() => transport.close());
  return transport;
}

interface Worker {
  readonly send: (id: string) => Promise<string>;
}

/** Workers that open a session for each mail. What one learns of a host counts for `awayMs`, instead of a minute. */
function fleetOf(count: number, hosts: readonly SmtpHost[], awayMs: number, greetingMs: number) {
  const shards = shardsOf(testPrefix(), shardCount());
  const redis = testConnection();
  const key = shards.keysOf('relay').hostsAway('relay');
  const workers = Array.from({ length: count }, (): Worker => {
    const transport = createSmtpTransport({
      settings: { ...smtpSettings(hosts[0]!.port, { timeouts: { greetingMs } }), hosts },
      hostname: 'client.test',
      maxConnections: 2,
      hostMemory: createHostsAway(testConnection(), shards, 'relay', awayMs),
      serverLimits: { recipientsPerTransaction: null, messagesPerSession: 1 },
    });
    onTestFinished(() => transport.close());
    return { send: async (id) => summary(await sendBy(transport, mailOf({ id }))) };
  });
  const markOf = async (host: SmtpHost): Promise<number | null> => {
    const score = await redis.zscore(key, hostName(host));
    return score === null ? null : Number(score);
  };
  const isDue = async (host: SmtpHost): Promise<boolean> => {
    const mark = await markOf(host);
    return mark !== null && mark < Date.now();
  };
  const memory = (forMs: number) => createHostsAway(redis, shards, 'relay', forMs);
  return {
    workers,
    markOf,
    memory,
    due: (host: SmtpHost) => until(() => isDue(host), { what: 'the end of its time' }),
  };
}

/** A port that nobody listens to. */
async function closedPort(): Promise<number> {
  const server = await startSmtpServer();
  await server.stop();
  return server.port;
}

const arbitraryHosts = fc.uniqueArray(
  fc.record({
    host: fc.constantFrom('a', 'b', 'c', 'd'),
    port: fc.constantFrom(25, 587),
    weight: fc.option(fc.integer({ min: 1, max: 100 })),
  }),
  { minLength: 1, maxLength: 8, selector: hostName },
);

describe('the order in which hosts are tried', () => {
  test('has each of them once, and those that are away last', async () => {
    await fc.assert(
      fc.asyncProperty(
        arbitraryHosts,
        fc.array(fc.nat(7)),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (hosts, gone, number) => {
          const away = new Set(gone.flatMap((i) => (hosts[i] === undefined ? [] : [hostName(hosts[i])])));
          const memory: HostMemory = {
            ask: async (name) => (away.has(name) ? 'away' : 'free'),
            failed: async () => undefined,
            works: async () => undefined,
          };
          const names: string[] = [];
          const opened = openAtOne(hosts, { memory, random: () => number }, new AbortController().signal, (host) => {
            names.push(hostName(host));
            return Promise.reject(new SmtpFailure('connect', { code: 'ECONNREFUSED', text: 'away' }));
          });
          await expect(opened).rejects.toBeInstanceOf(SmtpFailure);
          expect(names.toSorted()).toEqual(hosts.map(hostName).toSorted());
          // With one host there is no other.
          const last = names.slice(names.length - away.size);
          expect(last.every((name) => away.has(name))).toBe(true);
        },
      ),
    );
  });

  test('is that of the configuration without weights, and by weight with them', () => {
    const plain = [at(1), at(2), at(3)];
    expect(inTurn(plain, () => 0.99)).toEqual(plain);
    const weighted = [at(1, 3), at(2)];
    const firsts = Array.from({ length: 100 }, (_, i) => inTurn(weighted, () => i / 100)[0]!.port);
    expect(firsts.filter((port) => port === 1)).toHaveLength(75);
  });
});

test.each<[string, SmtpServerOptions]>([
  ['refuses with its greeting', { script: { CONNECT: '421 4.3.2 not now' } }],
  ['breaks off before its greeting', { script: { CONNECT: 'reset' } }],
])('the next host gets the mail, once, where the first one %s', async (_what, options) => {
  const [first, second] = [await serverOf(options), await serverOf()];
  const transport = workerOf([at(first.port), at(second.port)]);
  expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
  expect([first.received.transactions.length, second.received.transactions.length]).toEqual([0, 1]);
});

test('the next host gets the mail where nobody answers at the first; a second worker does not try that one for a time', async () => {
  const prefix = testPrefix();
  const [first, second] = [await serverOf({ script: { CONNECT: '421 4.3.2 not now' } }), await serverOf()];
  const hosts = [at(await closedPort()), at(first.port), at(second.port)];
  for (const id of ['one', 'two']) {
    expect(summary(await sendBy(workerOf(hosts, {}, prefix), mailOf({ id })))).toBe('accepted');
  }
  expect(first.received.connections).toBe(1);
  expect(second.received.transactions).toHaveLength(2);
  // Where all are away, all are tried.
  await second.stop();
  const outcome = await sendBy(workerOf(hosts, {}, prefix), mailOf());
  expect(summary(outcome)).toMatch(/^fault /);
  expect(first.received.connections).toBe(2);
});

test('of all workers, one tries a host that is away when its time is over; the others do not wait for it', async () => {
  const [silent, good] = [await serverOf({ script: { CONNECT: 'hang' } }), await serverOf()];
  const hosts = [at(silent.port), at(good.port)];
  const { workers, due } = fleetOf(6, hosts, 1_000, 400);
  expect(await workers[0]!.send('first')).toBe('accepted');
  expect(silent.received.connections).toBe(1);
  for (const round of [1, 2]) {
    await due(hosts[0]!);
    const sent = await Promise.all(workers.map(({ send }, i) => send(`${round}-${i}`)));
    expect(sent).toEqual(Array(6).fill('accepted'));
    expect(silent.received.connections).toBe(1 + round);
  }
  expect(good.received.transactions).toHaveLength(13);
});

test('a host that is back gets sessions of all workers from the first one that tries it, once its time is over', async () => {
  const [port, good] = [await closedPort(), await serverOf()];
  const hosts = [at(port), at(good.port)];
  const { workers, markOf, due } = fleetOf(3, hosts, 300, 1_000);
  expect(await workers[0]!.send('away')).toBe('accepted');
  const back = await serverOf({ port });
  await due(hosts[0]!);
  expect(await workers[1]!.send('probe')).toBe('accepted');
  expect(await markOf(hosts[0]!)).toBeNull();
  for (const { send } of workers) expect(await send('m')).toBe('accepted');
  expect([back.received.transactions.length, good.received.transactions.length]).toEqual([4, 1]);
});

test('while one worker tries a backup whose time is over, the others use it, too, and none waits for the host that is away', async () => {
  const [silent, backup] = [await serverOf({ script: { CONNECT: 'hang' } }), await serverOf()];
  const hosts = [at(silent.port), at(backup.port)];
  const { workers, memory, due } = fleetOf(5, hosts, 60_000, 1_500);
  // The backup was in trouble once; nobody has needed it since.
  await memory(1).failed(hostName(hosts[1]!));
  await due(hosts[1]!);
  await memory(60_000).failed(hostName(hosts[0]!));
  const sent = await Promise.all(workers.map(({ send }, i) => send(`m${i}`)));
  expect(sent).toEqual(Array(5).fill('accepted'));
  expect([silent.received.connections, backup.received.transactions.length]).toEqual([0, 5]);
});

test('where all hosts are left out, all are tried, and the one that works is used by all again', async () => {
  const [first, port] = [await closedPort(), await closedPort()];
  const hosts = [at(first), at(port)];
  const { workers, markOf } = fleetOf(2, hosts, 60_000, 1_000);
  expect(await workers[0]!.send('none')).toBe('fault unreachable');
  expect(await markOf(hosts[1]!)).not.toBeNull();
  const back = await serverOf({ port });
  for (const { send } of workers) expect(await send('m')).toBe('accepted');
  expect(await markOf(hosts[1]!)).toBeNull();
  expect(back.received.transactions).toHaveLength(2);
});

test('a host whose certificate is another’s is left for the next', async () => {
  const certificates = await createCertificates();
  const other = await createCertificates();
  const [first, second] = [
    await serverOf({ tls: other.server, implicitTls: true }),
    await serverOf({ tls: certificates.server, implicitTls: true }),
  ];
  const hosts = [first, second].map(({ port }) => ({ host: 'localhost', port, weight: null }));
  const transport = workerOf(hosts, { security: 'tls', tls: { ca: certificates.ca, servername: null } });
  expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
  expect(first.received.transactions).toEqual([]);
});

test.each(['tls', 'starttls'] as const)(
  'attack: a host with a certificate of the same CA for another name gets neither login nor mail with security %s, and the next one does',
  async (security) => {
    const certificates = await createCertificates();
    const auth = { user: 'relay', password: 'secret-1' };
    const implicitTls = security === 'tls';
    const [first, second] = [
      await serverOf({ tls: certificates.wrongName, implicitTls, auth }),
      await serverOf({ tls: certificates.server, implicitTls, auth }),
    ];
    const hosts = [first, second].map(({ port }) => ({ host: 'localhost', port, weight: null }));
    const settings = { security, auth, tls: { ca: certificates.ca, servername: null } };
    const { spans, trace } = recorder();
    const outcome = await sendBy(workerOf(hosts, settings), mailOf(), { trace });
    expect(summary(outcome)).toBe('accepted');
    expect(spans[0]).toEqual({ name: 'smtp connect', port: first.port, error: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    expect(first.received).toMatchObject({ connections: 1, authAttempts: [], transactions: [] });
    expect(second.received.authAttempts).toHaveLength(1);
    expect(second.received.transactions).toHaveLength(1);
  },
);

test('NO_PROXY excepts one host, and the other one goes through the proxy', async () => {
  const [inside, outside] = [await serverOf({ script: { CONNECT: '421 4.3.2 not now' } }), await serverOf()];
  const asked: string[] = [];
  const proxy = await connectingProxy((bytes) => asked.push(bytes.toString('latin1')));
  const route = { ...routeTo(`http://127.0.0.1:${proxy.port}`), variable: 'https_proxy', except: ['0.0.0.0'] };
  // An address of this machine that is no loopback address by its text; the proxy connects by the port alone.
  const hosts = [
    { host: '0.0.0.0', port: inside.port, weight: null },
    { host: 'a.example', port: outside.port, weight: null },
  ];
  expect(await sendBy(workerOf(hosts, { proxy: route }), mailOf())).toMatchObject({
    kind: 'settled',
    server: `a.example:${outside.port}`,
  });
  expect([inside.received.connections, outside.received.connections, proxy.connections()]).toEqual([1, 1, 1]);
  expect(asked.join('')).toContain('MAIL FROM');
  expect(outside.received.transactions).toHaveLength(1);
});

test('a refused login is not tried at the next host', async () => {
  const auth = { user: 'relay', password: 'right' };
  const [first, second] = [await serverOf({ auth }), await serverOf({ auth })];
  const settings = { auth: { user: 'relay', password: 'wrong' }, allowInsecureAuth: true };
  const transport = workerOf([at(first.port), at(second.port)], settings);
  expect(summary(await sendBy(transport, mailOf()))).toBe('fault auth');
  expect([first.received.connections, second.received.connections]).toEqual([1, 0]);
});

test.each<[string, SmtpServerOptions, RegExp]>([
  ['answers nothing to the end of data', { script: { '.': 'reset' } }, /^uncertain$/],
  ['breaks off at RCPT', { script: { RCPT: 'reset' } }, /^(?:deferred|suspect unreachable)$/],
])('no other host gets a mail in the attempt in which its host %s', async (_what, options, expected) => {
  const [first, second] = [await serverOf(options), await serverOf()];
  const transport = workerOf([at(first.port), at(second.port)]);
  expect(summary(await sendBy(transport, mailOf()))).toMatch(expected);
  expect(second.received.transactions).toEqual([]);
});

interface Told {
  readonly name: string;
  readonly port: unknown;
  error: string | null;
}

/** Keeps the spans of an attempt: name, port and error. */
function recorder(): { readonly spans: Told[]; readonly trace: AttemptTrace } {
  const spans: Told[] = [];
  const begin: AttemptTrace['child'] = (name, attributes) => {
    const told: Told = { name, port: attributes['server.port'], error: null };
    spans.push(told);
    return {
      child: begin,
      event: () => undefined,
      set: () => undefined,
      end: (error = null) => void (told.error = error),
    };
  };
  return { spans, trace: { child: begin, event: () => undefined } };
}

test('spans and outcome name the host that was used; hosts that failed before it have spans of their own', async () => {
  const auth = { user: 'relay', password: 'right' };
  const [first, second] = [await serverOf({ script: { CONNECT: '421 4.3.2 not now' } }), await serverOf({ auth })];
  const transport = workerOf([at(first.port), at(second.port)], { auth, allowInsecureAuth: true });
  const { spans, trace } = recorder();
  const outcome = await sendBy(transport, mailOf(), { trace });
  expect(outcome).toMatchObject({ kind: 'settled', server: `127.0.0.1:${second.port}` });
  expect(spans).toEqual([
    { name: 'smtp connect', port: first.port, error: 'smtp.421' },
    { name: 'smtp connect', port: second.port, error: null },
    { name: 'smtp auth', port: second.port, error: null },
    { name: 'smtp send', port: second.port, error: null },
  ]);
  // The session goes on at its host.
  expect(await sendBy(transport, mailOf({ id: 'm2' }))).toMatchObject({ server: `127.0.0.1:${second.port}` });
});

test('where no host can be used, each has its span, and the outcome names the last', async () => {
  const [first, second] = [await serverOf({ script: { CONNECT: '421 4.3.2 not now' } }), await closedPort()];
  const { spans, trace } = recorder();
  const outcome = await sendBy(workerOf([at(first.port), at(second)]), mailOf(), { trace });
  expect(outcome).toMatchObject({ kind: 'connector-fault', server: `127.0.0.1:${second}` });
  expect(spans).toEqual([
    { name: 'smtp connect', port: first.port, error: 'smtp.421' },
    { name: 'smtp connect', port: second, error: 'ECONNREFUSED' },
  ]);
});

test('a refused login names the host that refused it', async () => {
  const auth = { user: 'relay', password: 'right' };
  const [first, second] = [await closedPort(), await serverOf({ auth })];
  const settings = { auth: { user: 'relay', password: 'wrong' }, allowInsecureAuth: true };
  const { spans, trace } = recorder();
  const outcome = await sendBy(workerOf([at(first), at(second.port)], settings), mailOf(), { trace });
  expect(outcome).toMatchObject({ kind: 'connector-fault', server: `127.0.0.1:${second.port}` });
  expect(spans.map(({ name, port }) => [name, port])).toEqual([
    ['smtp connect', first],
    ['smtp auth', second.port],
  ]);
});

test('a check reaches the host that works, and names the last one where none does', async () => {
  const [good, port, other] = [await serverOf(), await closedPort(), await closedPort()];
  const signal = new AbortController().signal;
  const works = await workerOf([at(port), at(good.port)]).check(signal);
  expect(works.ok && works.detail).toMatch(new RegExp(`^127\\.0\\.0\\.1:${good.port}, `));
  const none = await workerOf([at(port), at(other)]).check(signal);
  expect(none).toMatchObject({ ok: false, fault: 'unreachable' });
  expect(!none.ok && none.reply.text).toContain(`at 127.0.0.1:${other}`);
});
