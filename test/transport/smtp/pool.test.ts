/** Sessions of a connector: reused, limited, replaced when the server has closed them, ended when they are not needed. */
import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { createCertificates } from '../../../testkit/certificates.ts';
import type { SmtpContext } from '../../../testkit/smtp/server.ts';
import { mailOf, sendBy, smtpPair, summary } from '../../support/smtp-client.ts';
import { until } from '../../../testkit/until.ts';

const verbs = (commands: readonly string[]): string => commands.map((line) => line.slice(0, 4)).join(' ');

describe('the pool', () => {
  test('sends one message after the other over one session, without RSET between them', async () => {
    const { server, transport } = await smtpPair();
    for (const id of ['1', '2', '3']) expect(summary(await sendBy(transport, mailOf({ id })))).toBe('accepted');
    expect(server.received.connections).toBe(1);
    expect(verbs(server.received.commands)).toBe('EHLO MAIL RCPT DATA MAIL RCPT DATA MAIL RCPT DATA');
  });

  test('never opens more connections than allowed, and delivers everything', async () => {
    const { server, transport } = await smtpPair({}, {}, 3);
    const sends = Array.from({ length: 40 }, (_, index) => sendBy(transport, mailOf({ id: String(index) })));
    expect(new Set((await Promise.all(sends)).map(summary))).toEqual(new Set(['accepted']));
    expect(server.received.transactions).toHaveLength(40);
    expect(server.received.highWater).toBe(3);
    expect(server.received.connections).toBe(3);
  });

  test('gives a reserved slot to a mail that already waits for one', async () => {
    const { transport } = await smtpPair({}, {}, 1);
    const reserving = transport.reserve!(new AbortController().signal, true);
    const sending = sendBy(transport, mailOf());
    const reservation = await reserving;
    expect(summary(await sending)).toBe('accepted');
    reservation?.cancel();
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
  });

  test('has a warm place on a session that is idle, for the mail that names it, and takes it back', async () => {
    const { server, transport } = await smtpPair({}, {}, 2);
    const signal = new AbortController().signal;
    const fence = async (): Promise<boolean> => true;
    expect(transport.warm!()).toBeNull();
    await sendBy(transport, mailOf());
    const place = transport.warm!();
    expect([place === null, transport.warm!()]).toEqual([false, null]);
    // What was reserved before, without a session, is not what the mail gets.
    const before = await transport.reserve!(signal, false);
    expect(summary(await transport.send(mailOf(), { signal, fence, place: place! }))).toBe('accepted');
    expect(server.received.connections).toBe(1);
    before?.cancel();
    const unused = transport.warm!();
    unused!.cancel();
    unused!.cancel();
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    const refused = transport.warm!();
    expect(await transport.send(mailOf(), { signal, fence: async () => false, place: refused! })).toEqual({
      kind: 'stopped',
      why: 'fence',
    });
    expect(transport.warm!()).not.toBeNull();
    expect(server.received.connections).toBe(1);
  });

  test('has no warm place on a session that needs a command before the next mail, nor once it is closed', async () => {
    const { transport } = await smtpPair({
      script: { MAIL: ({ connection }) => (connection === 1 ? '450 4.7.1 later' : undefined) },
    });
    expect(summary(await sendBy(transport, mailOf()))).not.toBe('accepted');
    expect(transport.warm!()).toBeNull();
    const other = await smtpPair();
    await sendBy(other.transport, mailOf());
    await other.transport.close();
    expect(other.transport.warm!()).toBeNull();
  });

  test('opens no session ahead of a mail while sessions fail, and does so again after a success', async () => {
    let refused = true;
    const { server, transport } = await smtpPair({
      script: { EHLO: () => (refused ? '421 4.7.0 too many' : undefined) },
    });
    const reserve = async (): Promise<void> => (await transport.reserve!(new AbortController().signal, true))?.cancel();
    for (let i = 0; i < 3; i += 1) await reserve();
    expect(server.received.connections).toBe(1);
    expect(summary(await sendBy(transport, mailOf()))).toMatch(/^fault/);
    refused = false;
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    server.dropConnections();
    await until(() => server.received.openConnections === 0, { what: 'the connection to end' });
    const before = server.received.connections;
    await reserve();
    expect(server.received.connections).toBe(before + 1);
  });

  test('takes a connection that is reset beside open ones for a limit of connections, and one that is reset alone for a server that is away', async () => {
    let [full, alone] = [true, false];
    const script = {
      CONNECT: ({ connection }: SmtpContext) => (alone || (full && connection > 1) ? 'reset' : undefined),
    };
    const { transport } = await smtpPair({ script }, {}, 2);
    const held = Promise.withResolvers<boolean>();
    onTestFinished(() => held.resolve(true));
    const first = sendBy(transport, mailOf({ id: 'first' }), { fence: () => held.promise });
    const second = await sendBy(transport, mailOf({ id: 'second' }));
    expect(second).toMatchObject({ kind: 'connector-fault', fault: 'throttled', pauseMs: 1_000 });
    held.resolve(true);
    expect(summary(await first)).toBe('accepted');
    await transport.close();
    [full, alone] = [false, true];
    const away = await smtpPair({ script });
    expect(summary(await sendBy(away.transport, mailOf()))).toBe('fault unreachable');
  });

  test.for(['refused', 'cut off in the TLS handshake'])(
    'takes a connection that is %s beside open ones for a limit of connections',
    async (how) => {
      const certificates = await createCertificates();
      const options = { security: 'tls', tls: { ca: certificates.ca, servername: null } } as const;
      const { server } = await smtpPair({ tls: certificates.server, implicitTls: true });
      let isFull = false;
      const front = net.createServer((socket) => {
        socket.on('error', () => undefined);
        if (isFull) socket.once('data', () => socket.resetAndDestroy());
        else socket.pipe(net.connect(server.port, '127.0.0.1').on('error', () => undefined)).pipe(socket);
      });
      await once(front.listen(0, '127.0.0.1'), 'listening');
      onTestFinished(() => void front.close());
      const { transport } = await smtpPair({}, { ...options, port: (front.address() as net.AddressInfo).port }, 2);
      const held = Promise.withResolvers<boolean>();
      onTestFinished(() => held.resolve(true));
      const begun = Promise.withResolvers<void>();
      const fence = (): Promise<boolean> => {
        begun.resolve();
        return held.promise;
      };
      const first = sendBy(transport, mailOf({ id: 'first' }), { fence });
      await begun.promise;
      isFull = true;
      if (how === 'refused') front.close();
      const second = await sendBy(transport, mailOf({ id: 'second' }));
      expect(second).toMatchObject({ kind: 'connector-fault', fault: 'throttled', pauseMs: 1_000 });
      held.resolve(true);
      expect(summary(await first)).toBe('accepted');
    },
  );

  test('ends a session after 100 messages', async () => {
    const { server, transport } = await smtpPair({}, {}, 1);
    for (let index = 0; index < 101; index += 1) await sendBy(transport, mailOf());
    expect(server.received.connections).toBe(2);
    expect(server.received.transactions.map(({ connection }) => connection).lastIndexOf(1)).toBe(99);
  });

  test('replaces a session that the server closed while idle, with one fence and one copy', async () => {
    const { server, transport } = await smtpPair();
    await sendBy(transport, mailOf());
    server.dropConnections();
    await until(() => server.received.openConnections === 0, { what: 'the connection to end' });
    let asked = 0;
    const fence = (): Promise<boolean> => Promise.resolve(++asked > 0);
    expect(summary(await sendBy(transport, mailOf(), { fence }))).toBe('accepted');
    expect(asked).toBe(1);
    expect([server.received.connections, server.received.transactions.length]).toEqual([2, 2]);
  });

  test('replaces it also if the server closes it between the fence and the first command', async () => {
    const { server, transport } = await smtpPair();
    await sendBy(transport, mailOf());
    const fence = (): Promise<boolean> => {
      server.dropConnections();
      return Promise.resolve(true);
    };
    expect(summary(await sendBy(transport, mailOf(), { fence }))).toBe('accepted');
    expect([server.received.connections, server.received.transactions.length]).toEqual([2, 2]);
  });

  test.for<[string, string]>([
    ['a closed connection', 'close'],
    ['421', '421 4.4.2 idle too long'],
  ])('replaces it once when %s answers its first command', async ([, answer]) => {
    const { server, transport } = await smtpPair({
      extensions: [],
      script: {
        MAIL: ({ connection }) => (server.received.transactions.length === 0 && connection === 1 ? undefined : answer),
      },
    });
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(summary(await sendBy(transport, mailOf()))).toBe(answer === 'close' ? 'deferred' : 'suspect throttled');
    expect(server.received.connections).toBe(2);
  });

  test('does not replace it after a timeout, which would double the wait', async () => {
    const script = {
      MAIL: ({ connection }: { connection: number }) =>
        server.received.transactions.length === 0 || connection > 1 ? undefined : 'hang',
    };
    const { server, transport } = await smtpPair({ extensions: [], script }, { timeouts: { commandMs: 150 } });
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(summary(await sendBy(transport, mailOf()))).toBe('deferred');
    expect(server.received.connections).toBe(1);
  });

  test('keeps the session when the fence refuses', async () => {
    const { server, transport } = await smtpPair();
    expect(summary(await sendBy(transport, mailOf(), { fence: () => Promise.resolve(false) }))).toBe('stopped fence');
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(verbs(server.received.commands)).toBe('EHLO MAIL RCPT DATA');
  });

  test('ends the wait for a connection when the signal comes, and serves the others', async () => {
    let release = (): void => undefined;
    const gate = new Promise<undefined>((resolve) => {
      release = () => resolve(undefined);
    });
    const { server, transport } = await smtpPair({ script: { MAIL: () => gate } }, {}, 1);
    const stop = new AbortController();
    const first = sendBy(transport, mailOf());
    await until(() => server.received.commands.some((line) => line.startsWith('MAIL')), { what: 'the first MAIL' });
    const second = sendBy(transport, mailOf(), { signal: stop.signal });
    const third = sendBy(transport, mailOf());
    stop.abort();
    expect(summary(await second)).toBe('stopped signal');
    release();
    expect([summary(await first), summary(await third)]).toEqual(['accepted', 'accepted']);
  });

  test('serves the waiting sends after a connection that failed', async () => {
    const { transport } = await smtpPair({ script: { CONNECT: ['close'] } }, {}, 1);
    const said = await Promise.all([sendBy(transport, mailOf()), sendBy(transport, mailOf())]);
    expect(said.map(summary)).toEqual(['fault unreachable', 'accepted']);
  });

  test('ends a session that has been idle for 30 seconds', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const { server, transport } = await smtpPair();
    await sendBy(transport, mailOf());
    vi.advanceTimersByTime(29_999);
    await sendBy(transport, mailOf());
    expect(server.received.connections).toBe(1);
    vi.advanceTimersByTime(30_000);
    await until(() => server.received.openConnections === 0, { what: 'the connection to end' });
    expect(verbs(server.received.commands)).toBe('EHLO MAIL RCPT DATA MAIL RCPT DATA QUIT');
  });

  test('says QUIT on close(), and leaves no connection', async () => {
    const { server, transport } = await smtpPair();
    await sendBy(transport, mailOf());
    await transport.close();
    await until(() => server.received.openConnections === 0, { what: 'the connection to end' });
    expect(server.received.commands.at(-1)).toBe('QUIT');
    expect(summary(await sendBy(transport, mailOf()))).toBe('stopped signal');
  });

  test('closes the connection to a server that ignores QUIT', async () => {
    const { server, transport } = await smtpPair({ script: { QUIT: 'hang' } });
    await sendBy(transport, mailOf());
    await transport.close();
    await until(() => server.received.openConnections === 0, { what: 'the connection to end' });
    expect(server.received.commands.at(-1)).toBe('QUIT');
  });

  test('opens its first session alone, so that a wrong password costs one login however many mails wait', async () => {
    const { server, transport } = await smtpPair(
      { auth: { user: 'u', password: 'right' } },
      { auth: { user: 'u', password: 'wrong' }, allowInsecureAuth: true },
      10,
    );
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, i) => sendBy(transport, mailOf({ id: `m${i}` }))),
    );
    expect(outcomes.map((outcome) => (outcome.kind === 'connector-fault' ? outcome.fault : outcome.kind))).toEqual(
      Array(10).fill('auth'),
    );
    expect(server.received.authAttempts).toHaveLength(1);
  });

  test('opens further sessions once the first one is open', async () => {
    let release = (): void => undefined;
    const held = new Promise<undefined>((resolve) => (release = () => resolve(undefined)));
    const { server, transport } = await smtpPair({ script: { '.': () => held } }, {}, 3);
    const sending = Array.from({ length: 3 }, (_, i) => sendBy(transport, mailOf({ id: `m${i}` })));
    const begun = () => server.received.commands.filter((line) => line === 'DATA').length;
    await until(() => begun() === 3, { what: 'three transactions at once' });
    release();
    expect((await Promise.all(sending)).every(({ kind }) => kind === 'settled')).toBe(true);
    expect(server.received.highWater).toBe(3);
  });

  test('lets the next mail open a session after the owner of the first has given up', async () => {
    let first = true;
    const { server, transport } = await smtpPair({
      script: {
        CONNECT: () => {
          const hang = first;
          first = false;
          return hang ? 'hang' : undefined;
        },
      },
    });
    const stop = new AbortController();
    const one = sendBy(transport, mailOf({ id: 'one' }), { signal: stop.signal });
    await until(() => server.received.connections === 1, { what: 'the first connection' });
    const two = sendBy(transport, mailOf({ id: 'two' }));
    stop.abort();
    expect(await one).toEqual({ kind: 'stopped', why: 'signal' });
    expect((await two).kind).toBe('settled');
  });
});
