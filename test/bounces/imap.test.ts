/** Mailboxes by IMAP, with a real Dovecot: what is read, what is left as it was, and what breaks off at every step. */
import net from 'node:net';
import { ImapFlow } from 'imapflow';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createImapSource, type MailboxLogin } from '../../src/bounces/imap.ts';
import { MailboxFailure } from '../../src/bounces/source.ts';
import { defaultMailboxTiming, readMailbox } from '../../src/bounces/round.ts';
import { maxReadBytes } from '../../src/bounces/bounds.ts';
import { dovecotMissing, dovecotUser, startDovecot, type Dovecot } from '../../testkit/dovecot.ts';
import { until } from '../../testkit/until.ts';
import { all, dayMs, mailsOf, never, optionsOf, plain, reportOn, sentMessages } from './reading.ts';

const missing = dovecotMissing();
if (missing !== null) console.warn(`IMAP is not tested: ${missing}`);

describe.skipIf(missing !== null)('a mailbox at Dovecot', () => {
  let server: Dovecot;
  beforeAll(async () => {
    server = await startDovecot();
  });
  afterAll(() => server.stop());

  /** Empties the INBOX for a test. */
  async function inbox() {
    const user = dovecotUser.user;
    const client = new ImapFlow({
      host: '127.0.0.1',
      port: server.ports.tls,
      secure: true,
      auth: { user, pass: dovecotUser.password },
      tls: { ca: server.ca, servername: 'localhost' },
      logger: false,
    });
    client.on('error', () => undefined);
    await client.connect();
    onTestFinished(() => client.close());
    await client.mailboxOpen('INBOX');
    await client.messageDelete('1:*').catch(() => undefined);
    const append = async (mail: string | Buffer, flags: string[] = [], at = new Date()): Promise<number> => {
      const text = typeof mail === 'string' ? mail.replaceAll('\n', '\r\n') : mail;
      const appended = await client.append('INBOX', text, flags, at);
      return appended === false ? 0 : (appended.uid ?? 0);
    };
    const flags = async (): Promise<string[]> => {
      const all: string[] = [];
      for await (const { uid, flags: set } of client.fetch('1:*', { uid: true, flags: true })) {
        all.push(
          `${uid} ${[...(set ?? [])]
            .filter((flag) => flag !== '\\Recent')
            .toSorted()
            .join(' ')}`.trim(),
        );
      }
      return all;
    };
    return { append, flags, client };
  }

  const loginOf = (more: Partial<MailboxLogin> = {}): MailboxLogin => ({
    host: '127.0.0.1',
    port: server.ports.tls,
    security: 'tls',
    auth: dovecotUser,
    tls: { ca: server.ca, servername: 'localhost' },
    ...more,
  });

  test.each(['tls', 'starttls'] as const)(
    'is read by %s: only what may be a report, and nothing of it is changed',
    async (security) => {
      const { append, flags } = await inbox();
      await append(plain(1));
      await append(plain(2), ['\\Seen', '\\Flagged']);
      await append(reportOn('<a@x.test>'));
      await append(reportOn('<b@x.test>'), ['\\Seen']);
      const before = await flags();
      const found = await all(createImapSource(loginOf({ security, port: server.ports[security] }), Date.now));
      expect(mailsOf(found).map((mail) => /<[ab]@x\.test>/.exec(mail)?.[0])).toEqual(['<a@x.test>', '<b@x.test>']);
      expect(await flags()).toEqual(before);
      expect(before).toHaveLength(4);
    },
  );

  test('goes on behind the place where it ended, and reads nothing twice', async () => {
    const { append } = await inbox();
    await append(reportOn('<a@x.test>'));
    const source = createImapSource(loginOf(), Date.now);
    const first = await all(source);
    const after = first.at(-1)!.place;
    expect(await all(source, optionsOf({ after }))).toEqual([]);
    await append(reportOn('<b@x.test>'));
    const second = await all(source, optionsOf({ after }));
    expect(mailsOf(second)).toHaveLength(1);
    expect(mailsOf(second)[0]).toContain('<b@x.test>');
  });

  test('begins anew where UIDVALIDITY is another one', async () => {
    const { append } = await inbox();
    await append(reportOn('<a@x.test>'));
    const found = await all(createImapSource(loginOf(), Date.now), optionsOf({ after: '1.4000000000' }));
    expect(mailsOf(found)).toHaveLength(1);
  });

  test('leaves out what came before messages are forgotten', async () => {
    const { append } = await inbox();
    await append(reportOn('<old@x.test>'), [], new Date(Date.now() - 30 * dayMs));
    await append(reportOn('<new@x.test>'));
    const [mail, ...more] = mailsOf(await all(createImapSource(loginOf(), Date.now)));
    expect(mail).toContain('<new@x.test>');
    expect(more).toEqual([]);
  });

  test('gives the first mebibyte of a mail of 20 MiB, and no more is fetched', async () => {
    const { append } = await inbox();
    const long = Buffer.concat([
      Buffer.from(reportOn('<a@x.test>').replaceAll('\n', '\r\n')),
      Buffer.alloc(20 * 1024 * 1024, `${'x'.repeat(76)}\r\n`),
    ]);
    await append(long);
    let bytes = 0;
    const relay = await startRelay(server.ports.tls, (length) => void (bytes += length));
    const found = await all(createImapSource(loginOf({ port: relay.port }), Date.now));
    expect(found.flatMap((each) => (each.kind === 'mail' ? [each.bytes.length] : []))).toEqual([maxReadBytes]);
    expect(bytes).toBeLessThan(1.2 * maxReadBytes);
  });

  test('a mail that is to be skipped is not asked for, and the place behind it is given', async () => {
    const { append } = await inbox();
    const uid = await append(reportOn('<bad@x.test>'));
    await append(reportOn('<good@x.test>'));
    const source = createImapSource(loginOf(), Date.now);
    const [first] = await all(source);
    const skip = first!.place;
    expect(skip.endsWith(`.${uid}`)).toBe(true);
    const found = await all(source, optionsOf({ skip, oneByOne: true }));
    expect(found[0]).toEqual({ kind: 'passed', place: skip });
    expect(mailsOf(found)).toHaveLength(1);
  });

  test.each([
    ['a wrong password', { auth: { ...dovecotUser, password: 'wrong-secret' } }, 'auth'],
    ['a certificate of an unknown CA', { tls: { ca: null, servername: 'localhost' } }, 'tls'],
    ['a certificate of another name', { tls: { servername: 'mail.example.com' } }, 'tls'],
    ['a port where nobody listens', { port: 1 }, 'unreachable'],
  ])('%s is a fault with a name, and no secret is in it', async (_what, more, fault) => {
    await inbox();
    const login = loginOf();
    const source = createImapSource(
      { ...login, ...more, tls: { ...login.tls, ...('tls' in more ? more.tls : {}) } },
      Date.now,
    );
    const error = await all(source).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(MailboxFailure);
    expect(error).toMatchObject({ fault });
    expect((error as Error).message).not.toContain('secret');
  });

  async function message() {
    const sent = await sentMessages();
    const round = (port = server.ports.tls, tools = sent.toolsOf(), token = 't1', more: Partial<MailboxLogin> = {}) =>
      readMailbox(
        {
          connector: 'relay',
          key: 'relay',
          source: createImapSource(loginOf({ port, ...more }), Date.now),
          lookBackMs: 7 * dayMs,
          token,
          signal: never,
        },
        tools,
      );
    return { ...sent, round };
  }

  test('a report among 10,000 other mails is found by lists of a hundred, and none of the others is fetched', async () => {
    const { append, flags, client } = await inbox();
    const { send, bounced, round, toolsOf, producer, told } = await message();
    await server.deliver(Array.from({ length: 5_000 }, (_, n) => plain(n)));
    await client.noop();
    await append(reportOn(await send('m')));
    await server.deliver(Array.from({ length: 5_000 }, (_, n) => plain(n)));
    await client.noop();
    const before = await flags();
    expect(before).toHaveLength(10_001);
    let bytes = 0;
    const relay = await startRelay(server.ports.tls, (length) => void (bytes += length));
    const heapBefore = process.memoryUsage().heapUsed;
    expect(await round(relay.port)).toMatchObject({ waitMs: 0 });
    expect(process.memoryUsage().heapUsed - heapBefore).toBeLessThan(100 * 1024 * 1024);
    expect((await producer.status('m'))?.recipients[0]?.bounce).toMatchObject({ action: 'failed', status: '5.1.1' });
    expect(await bounced()).toEqual(['m']);
    expect(told).toEqual([
      { event: 'bounce', connector: 'relay', id: 'm', recipients: 1 },
      { event: 'mailbox-read', connector: 'relay' },
    ]);
    expect(bytes).toBeLessThan(10_000 * 400);
    expect(await flags()).toEqual(before);
    bytes = 0;
    await round(relay.port, toolsOf(), 't2');
    expect(bytes).toBeLessThan(10_000);
    expect(await bounced()).toEqual(['m']);
  });

  test('a connection that breaks off at every step: each report is written once, and nothing is marked', async () => {
    const { append, flags } = await inbox();
    const { send, bounced, round } = await message();
    const ids: string[] = [];
    let broken = 0;
    for (let step = 1; step <= 24; step += 1) {
      await append(plain(step));
      await append(reportOn(await send(`m${step}`)));
      ids.push(`m${step}`);
      const relay = await startRelay(server.ports.tls, () => undefined, step);
      await round(relay.port, undefined, `a${step}`);
      if (relay.isCut()) broken += 1;
      await round(undefined, undefined, `b${step}`);
      expect((await bounced()).toSorted()).toEqual(ids.toSorted());
    }
    expect(broken).toBeGreaterThan(8);
    expect((await flags()).every((line) => /^\d+$/.test(line))).toBe(true);
  });

  test('a process that is killed between the row and the place reads the report again, and nothing changes', async () => {
    const { append } = await inbox();
    const { send, bounced, round, toolsOf, operator, producer } = await message();
    await append(reportOn(await send('m')));
    const killed = toolsOf({
      mailboxes: {
        ...operator.mailboxes,
        // It wrote the row, and dies before the place is noted: its lease stays until it ends by itself.
        hold: () => new Promise(() => undefined),
      },
      timing: { ...defaultMailboxTiming, leaseMs: 300 },
    });
    void round(undefined, killed, 'dead');
    await until(async () => (await bounced()).length === 1, { what: 'the row to be written' });
    const row = await producer.status('m');
    await until(async () => (await round(undefined, toolsOf(), 'next')).waitMs === 0, { what: 'the lease to end' });
    expect(await producer.status('m')).toEqual(row);
    expect(await bounced()).toEqual(['m']);
  });

  test('a process that is killed between reading and writing loses no report', async () => {
    const { append } = await inbox();
    const { send, bounced, round, toolsOf, operator } = await message();
    await append(reportOn(await send('m')));
    const reached = Promise.withResolvers<void>();
    const killed = toolsOf({
      notes: {
        ...operator.bounceNotes,
        write() {
          reached.resolve();
          return new Promise(() => undefined);
        },
      },
      timing: { ...defaultMailboxTiming, leaseMs: 300 },
    });
    void round(undefined, killed, 'dead');
    await reached.promise;
    expect(await bounced()).toEqual([]);
    await until(async () => (await round(undefined, toolsOf(), 'next')).waitMs === 0, { what: 'the lease to end' });
    expect(await bounced()).toEqual(['m']);
  });

  test('two processes: one reads, the other is told to wait; and if both read after all, each report is written once', async () => {
    const { append } = await inbox();
    const { send, bounced, round, toolsOf, operator, told } = await message();
    for (let n = 0; n < 5; n += 1) await append(reportOn(await send(`m${n}`)));
    const rounds = await Promise.all([round(undefined, toolsOf(), 'one'), round(undefined, toolsOf(), 'two')]);
    expect(rounds.filter(({ waitMs }) => waitMs > 0)).toHaveLength(1);
    expect(told.filter(({ event }) => event === 'bounce')).toHaveLength(5);
    // As if the lease had ended while the first still reads, at the beginning.
    const { mailboxes } = operator;
    const alone = {
      ...mailboxes,
      take: async () => ({ waitMs: 0, place: null, readAt: null, failures: 0 }),
      hold: async () => true,
    };
    await Promise.all([
      round(undefined, toolsOf({ mailboxes: alone }), 'three'),
      round(undefined, toolsOf({ mailboxes: alone }), 'four'),
    ]);
    expect((await bounced()).toSorted()).toEqual(['m0', 'm1', 'm2', 'm3', 'm4']);
  });

  test('a wrong password is tried less and less often', async () => {
    await inbox();
    const { round, toolsOf, told } = await message();
    const tools = toolsOf({ timing: { ...defaultMailboxTiming, everyMs: 1, mostDelayMs: 4 } });
    for (let n = 0; n < 4; n += 1) {
      await until(
        async () => {
          const before = told.length;
          await round(undefined, tools, `t${n}`, { auth: { ...dovecotUser, password: 'wrong' } });
          return told.length > before;
        },
        { what: 'it to be due' },
      );
    }
    expect(told).toMatchObject([
      { event: 'mailbox-failed', fault: 'auth', failures: 1, waitMs: 1 },
      { failures: 2, waitMs: 2 },
      { failures: 3, waitMs: 4 },
      { failures: 4, waitMs: 4 },
    ]);
  });
});

interface Relay {
  readonly port: number;
  readonly isCut: () => boolean;
}

/** Passes bytes on, and resets both sides at the nth piece that the server sends. Never, without `cutAt`. */
async function startRelay(port: number, onBytes: (length: number) => void, cutAt = Infinity): Promise<Relay> {
  let pieces = 0;
  const sockets = new Set<net.Socket>();
  const relay = net.createServer((client) => {
    const upstream = net.connect(port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
    client.pipe(upstream);
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
    upstream.on('data', (piece: Buffer) => {
      pieces += 1;
      onBytes(piece.length);
      if (pieces >= cutAt) {
        client.resetAndDestroy();
        upstream.destroy();
      } else client.write(piece);
    });
  });
  await new Promise<void>((resolve) => {
    relay.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    relay.close();
  });
  return { port: (relay.address() as net.AddressInfo).port, isCut: () => pieces >= cutAt };
}
