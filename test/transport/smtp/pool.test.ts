/** Sessions of a connector: reused, limited, replaced when the server has closed them, ended when nobody needs them. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { mailOf, sendBy, smtpPair, summary } from '../../support/smtp-client.ts';
import { until } from '../../../testkit/until.ts';

const verbs = (commands: readonly string[]): string => commands.map((line) => line.slice(0, 4)).join(' ');

describe('the pool', () => {
  it('sends one message after the other over one session, without RSET in between', async () => {
    const { server, transport } = await smtpPair();
    for (const id of ['1', '2', '3']) expect(summary(await sendBy(transport, mailOf({ id })))).toBe('accepted');
    expect(server.received.connections).toBe(1);
    expect(verbs(server.received.commands)).toBe('EHLO MAIL RCPT DATA MAIL RCPT DATA MAIL RCPT DATA');
  });

  it('never opens more connections than allowed, and everything arrives', async () => {
    const { server, transport } = await smtpPair({}, {}, 3);
    const sends = Array.from({ length: 40 }, (_, index) => sendBy(transport, mailOf({ id: String(index) })));
    expect(new Set((await Promise.all(sends)).map(summary))).toEqual(new Set(['accepted']));
    expect(server.received.transactions).toHaveLength(40);
    expect(server.received.highWater).toBe(3);
    expect(server.received.connections).toBe(3);
  });

  it('gives a slot that was reserved to a mail that already waits for one', async () => {
    const { transport } = await smtpPair({}, {}, 1);
    const reserving = transport.reserve!(new AbortController().signal, true);
    const sending = sendBy(transport, mailOf());
    const reservation = await reserving;
    expect(summary(await sending)).toBe('accepted');
    reservation?.cancel();
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
  });

  it('opens no session ahead of a mail while sessions fail, and does so again after one that did not', async () => {
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

  it('ends a session after 100 messages', async () => {
    const { server, transport } = await smtpPair({}, {}, 1);
    for (let index = 0; index < 101; index += 1) await sendBy(transport, mailOf());
    expect(server.received.connections).toBe(2);
    expect(server.received.transactions.map(({ connection }) => connection).lastIndexOf(1)).toBe(99);
  });

  it('replaces in silence a session that the server closed while idle: one fence, one copy', async () => {
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

  it('replaces it too when the end comes between the fence and the first command', async () => {
    const { server, transport } = await smtpPair();
    await sendBy(transport, mailOf());
    const fence = (): Promise<boolean> => {
      server.dropConnections();
      return Promise.resolve(true);
    };
    expect(summary(await sendBy(transport, mailOf(), { fence }))).toBe('accepted');
    expect([server.received.connections, server.received.transactions.length]).toEqual([2, 2]);
  });

  it.for<[string, string]>([
    ['a closed connection', 'close'],
    ['421', '421 4.4.2 idle too long'],
  ])('replaces it when %s answers its first command, once and not for ever', async ([, answer]) => {
    const { server, transport } = await smtpPair({
      extensions: [],
      script: {
        MAIL: ({ connection }) => (server.received.transactions.length === 0 && connection === 1 ? undefined : answer),
      },
    });
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(summary(await sendBy(transport, mailOf()))).toBe(answer === 'close' ? 'deferred' : 'fault throttled');
    expect(server.received.connections).toBe(2);
  });

  it('does not replace it for silence: that would wait twice', async () => {
    const script = {
      MAIL: ({ connection }: { connection: number }) =>
        server.received.transactions.length === 0 || connection > 1 ? undefined : 'hang',
    };
    const { server, transport } = await smtpPair({ extensions: [], script }, { timeouts: { commandMs: 150 } });
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(summary(await sendBy(transport, mailOf()))).toBe('deferred');
    expect(server.received.connections).toBe(1);
  });

  it('gives the session back when the fence says no', async () => {
    const { server, transport } = await smtpPair();
    expect(summary(await sendBy(transport, mailOf(), { fence: () => Promise.resolve(false) }))).toBe('stopped fence');
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(verbs(server.received.commands)).toBe('EHLO MAIL RCPT DATA');
  });

  it('lets a send that waits for a connection go when its signal comes, and serves the others', async () => {
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

  it('serves whoever waits when a connection could not be opened', async () => {
    const { transport } = await smtpPair({ script: { CONNECT: ['close'] } }, {}, 1);
    const said = await Promise.all([sendBy(transport, mailOf()), sendBy(transport, mailOf())]);
    expect(said.map(summary)).toEqual(['fault unreachable', 'accepted']);
  });

  it('ends a session that has been idle for 30 seconds', async () => {
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

  it('says QUIT on close(), and leaves no connection', async () => {
    const { server, transport } = await smtpPair();
    await sendBy(transport, mailOf());
    await transport.close();
    await until(() => server.received.openConnections === 0, { what: 'the connection to end' });
    expect(server.received.commands.at(-1)).toBe('QUIT');
    expect(summary(await sendBy(transport, mailOf()))).toBe('stopped signal');
  });

  it('does not wait for ever for a server that ignores QUIT', async () => {
    const { server, transport } = await smtpPair({ script: { QUIT: 'hang' } });
    await sendBy(transport, mailOf());
    await transport.close();
    await until(() => server.received.openConnections === 0, { what: 'the connection to end' });
    expect(server.received.commands.at(-1)).toBe('QUIT');
  });

  it('opens its first session alone: a wrong password costs one log-in, however many mails wait', async () => {
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

  it('opens the others once the first one stands', async () => {
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

  it('whose first session is given up by its owner lets the next mail open one', async () => {
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
