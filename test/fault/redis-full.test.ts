/**
 * Redis fills up under `noeviction`: new mail is refused while there is room for what waits. Where others fill it to the last
 * byte, workers and operators go on all the same, and room comes back.
 */
import { Queue } from 'bullmq';
import { Cluster, type Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import type { Producer } from '../../src/producer/producer.ts';
import { keysOf } from '../../src/queue/redis/keys.ts';
import { shardsOf } from '../../src/queue/redis/shards.ts';
import { sleep } from '../../src/async/timeout.ts';
import { account, allOnce, countable, countableMany, settled, sink } from '../support/accounting.ts';
import { ownCluster, ownRedis, sendUntilAccepted } from '../support/own-redis.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { resultThrough } from '../support/refused-writes.ts';
import { rejection } from '../support/rejection.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const prefix = '{full}';
const keys = keysOf(prefix);
const mebibyte = 1_048_576;

/** A Redis with so much memory. */
const redisOf = (mebibytes: number) =>
  ownRedis({ appendfsync: 'everysec', settings: ['--maxmemory', `${mebibytes}mb`] });

/** Less than an empty Redis needs: from now on every plain write that may grow is refused. */
async function fill(admin: Redis): Promise<void> {
  await admin.config('SET', 'maxmemory', '1000');
  await expect(admin.set('more', 'x')).rejects.toThrow(/^OOM/);
}

/** Sends until messages are refused. → the ids of those that were accepted; each refusal must be `redis-full`. */
async function sendUntilFull(producer: Producer, text: string, recipient = (id: string) => id): Promise<string[]> {
  const accepted: string[] = [];
  for (let batch = 0; ; batch += 1) {
    const messages = Array.from({ length: 100 }, (_, i): OutboundMessage => {
      const id = `m${batch}x${i}`;
      return { ...countable(id, { text }), to: `${recipient(id)}@example.net` };
    });
    const results = await producer.sendMany(messages);
    const refused = results.flatMap((result, i) => (result.ok ? [] : [{ of: messages[i]!.id, error: result.error }]));
    accepted.push(...results.flatMap((result) => (result.ok ? [result.id] : [])));
    expect(refused.filter(({ of, error }) => error.code !== 'redis-full' || error.id !== of)).toEqual([]);
    if (refused.length > 0) return accepted;
  }
}

/** Looks all the time whether Redis would take a plain write. → a function that ends it, and says how often it was refused. */
function watchWrites(admin: Redis): () => Promise<{ looks: number; refused: number }> {
  const seen = { looks: 0, refused: 0 };
  const ended = new AbortController();
  const watching = (async () => {
    while (!ended.signal.aborted) {
      await admin.set('watch', 'x').catch(() => (seen.refused += 1));
      seen.looks += 1;
      await sleep(5, ended.signal);
    }
  })();
  return async () => {
    ended.abort();
    await watching;
    return seen;
  };
}

test('new mail is refused with redis-full while Redis has room for what waits: all of it is sent once, without a refused write, and then mail is accepted again', async () => {
  const { url, admin } = await redisOf(8);
  const producer = testProducer(prefix, { url });
  const accepted = await sendUntilFull(producer, 'lorem ipsum '.repeat(340));
  expect(accepted.length).toBeGreaterThan(200);
  // Larger than what may be left after one that did not fit.
  const late = countable('late', { text: 'x'.repeat(100_000) });
  const refused = await rejection(producer.send(late));
  expect(refused).toMatchObject({ code: 'redis-full', id: 'late', issues: [{ field: 'redis.reserve' }] });
  expect(refused.message).toMatch(
    /of 8\.0 MiB are used, .* \(redis\.reserve: 25%\)\. Call again later with the same id/,
  );
  expect(await producer.status('late')).toBeNull();
  // What was accepted is a duplicate, as ever: an application that calls again is not told to wait for nothing.
  expect(await producer.send(countable(accepted[0]!))).toEqual({ id: accepted[0], duplicate: true });

  const ended = watchWrites(admin);
  const server = await sink();
  await startWorkerProcess({ prefix, url, connectors: { relay: { port: server.port, concurrency: 4 } } });
  expect(account(await settled(producer, accepted), [server])).toEqual(allOnce(accepted.length));
  const { looks, refused: refusedWrites } = await ended();
  expect(looks).toBeGreaterThan(10);
  expect(refusedWrites).toBe(0);
  await sendUntilAccepted(producer, [late]);
  expect(account(await settled(producer, ['late']), [server])).toEqual(allOnce(1));
});

test('small messages that all become dead letters have room as well', async () => {
  const { url, admin } = await redisOf(5);
  const producer = testProducer(prefix, { url });
  const accepted = await sendUntilFull(producer, 'x');
  expect(accepted.length).toBeGreaterThan(300);
  const ended = watchWrites(admin);
  const server = await sink({ script: { RCPT: '550 5.1.1 User unknown in virtual mailbox table' } });
  await startWorkerProcess({ prefix, url, connectors: { relay: { port: server.port, concurrency: 4 } } });
  const { states } = account(await settled(producer, accepted), [server]);
  expect(states).toEqual({ dead: accepted.length });
  expect(await admin.zcard(keys.dead)).toBe(accepted.length);
  expect((await ended()).refused).toBe(0);
});

test('a Redis that a foreign client has filled to the last byte is emptied by workers that start then: sent, retried and dead, each once', async () => {
  const { url, admin } = await redisOf(4);
  const queue = new Queue('outbound', { connection: { url }, prefix });
  queue.on('error', () => undefined);
  onTestFinished(() => queue.close());
  const accepted: string[] = [];
  const add = async (): Promise<unknown> => {
    const id = `${['sent', 'later', 'dead'][accepted.length % 3]}${accepted.length}`;
    const message = countable(id, { text: 'lorem ipsum '.repeat(100) });
    await queue.add('message', { v: 1, message }, { jobId: id, removeOnComplete: true });
    return accepted.push(id);
  };
  const fillUp = async (): Promise<never> => {
    for (;;) await add();
  };
  await expect(fillUp()).rejects.toThrow(/^OOM/);
  expect(accepted.length).toBeGreaterThan(500);
  await expect(admin.set('more', 'x'.repeat(5_000))).rejects.toThrow(/^OOM/);

  const busy = new Set<string>();
  const server = await sink({
    script: {
      RCPT: ({ line }) => {
        const id = /<(\w+)@/.exec(line)?.[1] ?? '';
        if (id.startsWith('dead')) return '550 5.1.1 User unknown in virtual mailbox table';
        if (!id.startsWith('later') || busy.has(id)) return undefined;
        busy.add(id);
        // Each in words of its own: a third of all messages refused alike is what a server does that throttles.
        return `451 4.3.0 local error ${id.replaceAll(/\d/g, (digit) => 'abcdefghij'[Number(digit)]!)}`;
      },
    },
  });
  const worker = await startWorkerProcess({
    prefix,
    url,
    connectors: { relay: { port: server.port, concurrency: 4 } },
  });
  const producer = testProducer(prefix, { url });
  const rows = await settled(producer, accepted);
  const counts = account(rows, [server]);
  const dead = accepted.filter((id) => id.startsWith('dead')).length;
  expect(counts).toEqual({
    lost: [],
    blindlyTwice: [],
    knowinglyTwice: [],
    states: { sent: accepted.length - dead, dead },
  });
  // Each was refused once. If chance has made a fault of that, the refusal counts for none.
  expect(busy.size).toBeGreaterThan(100);
  expect(rows.filter(({ attempts }) => attempts > 2).map(({ id }) => id)).toEqual([]);
  expect(worker.of('error')).toEqual([]);
});

test('a result that comes while Redis is full is written at once: one copy', async () => {
  const { url, admin } = await ownRedis();
  const redis = { url, prefix, refuse: () => fill(admin), restore: () => admin.config('SET', 'maxmemory', '0') };
  expect(await resultThrough(redis, 'taken')).toEqual({ ...allOnce(1), attempts: 1 });
});

test('on a full Redis an operator cancels, drops, replays, pauses and resumes, which is how room is made by hand', async () => {
  const { url, admin } = await ownRedis();
  const producer = testProducer(prefix, { url });
  const operator = await testOperator(prefix, url);
  const { recorded } = await startWorker({
    prefix,
    url,
    config: configOf({ relay: {}, fussy: { addresses: ['fussy@example.com'] } }),
    scripts: { fussy: ['rejected', 'rejected'] },
  });
  const from = 'fussy@example.com';
  const file = { filename: 'a.bin', content: Buffer.alloc(200_000, 'large ') };
  await producer.send(countable('drop', { from, attachments: [file] }));
  await producer.send(countable('replay', { from }));
  await settled(producer, ['drop', 'replay']);
  await operator.lanes.pause('relay');
  await producer.send(countable('cancel'));
  await producer.send(countable('go'));
  await until(async () => (await operator.lanes.status('relay')).waiting === 2, { what: 'both to wait' });
  await fill(admin);
  expect(await producer.cancel('cancel')).toBe(true);
  expect(await operator.drop('drop')).toBe(true);
  expect(await admin.zcard(keys.contents)).toBe(0);
  expect(await operator.replay('replay', { via: 'relay', now: Date.now(), lifetimeMs: 60_000 })).toBe('replayed');
  await operator.lanes.resume('relay');
  const rows = await settled(producer, ['replay', 'go']);
  expect(rows.map(({ state }) => state)).toEqual(['sent', 'sent']);
  expect(recorded('relay').mails).toHaveLength(2);
});

test('an attachment that has no room is refused before its bytes are stored, and a small message still goes', async () => {
  const { url, admin } = await redisOf(16);
  const producer = testProducer(prefix, { url });
  const file = { filename: 'a.bin', content: Buffer.alloc(14 * mebibyte, 'large ') };
  expect((await rejection(producer.send(countable('large', { attachments: [file] })))).code).toBe('redis-full');
  expect(await admin.zcard(keys.contents)).toBe(0);
  expect(await producer.send(countable('small'))).toEqual({ id: 'small', duplicate: false });
});

test('a producer with another reserve is refused earlier or later, and one out of bounds is a mistake', async () => {
  const { url, admin } = await redisOf(16);
  for (let i = 0; i < 8; i += 1) await admin.set(`ballast${i}`, Buffer.alloc(mebibyte));
  const send = (reservePercent: number) =>
    testProducer(prefix, { redis: { url, reservePercent } }).send(countable(`r${reservePercent}`));
  await expect(send(20)).resolves.toMatchObject({ duplicate: false });
  await expect(send(0)).resolves.toMatchObject({ duplicate: false });
  await expect(send(50)).rejects.toMatchObject({ code: 'redis-full' });
  for (const wrong of [-1, 91, Number.NaN]) {
    expect(() => testProducer(prefix, { redis: { url, reservePercent: wrong } })).toThrow(
      /reservePercent must be 0 to 90/,
    );
  }
});

test.each([['-info'], ['-eval_ro', '-evalsha_ro']])(
  'a producer that may not ask how full Redis is (%s) sends, and gets redis-full from a Redis that refuses',
  async (...rights) => {
    const { admin, port } = await ownRedis();
    await admin.acl('SETUSER', 'blind', 'on', '>secret', '~*', '&*', '+@all', ...rights);
    const producer = testProducer(prefix, { url: `redis://blind:secret@127.0.0.1:${port}` });
    await producer.sendMany(countableMany(300));
    // Asked once, not for each message: each refusal is an entry in the ACL LOG. The other one is the client's, when it connects.
    const log = (await admin.acl('LOG', 100)) as unknown[][];
    const asked = log.reduce((sum, row) => sum + Number(row[1]), 0);
    expect(asked).toBeLessThanOrEqual(2);
    await fill(admin);
    const refused = await rejection(producer.send(countable('late')));
    expect(refused).toMatchObject({ code: 'redis-full', id: 'late' });
    expect(refused.message).toMatch(/its memory is full\. Call again later with the same id/);
  },
);

test('in a Cluster the fullest master decides: mail is refused, workers settle what its lanes hold, route nothing more to it, and mail is accepted again', async () => {
  const { urls, masterOf } = await ownCluster();
  const redis = { cluster: { nodes: urls }, shards: 6 };
  const producer = testProducer(prefix, { redis });
  const ids = Array.from({ length: 12 }, (_, i) => `c${i}`);
  const messages = ids.flatMap((id) => [0, 1].map((i) => countable(`${id}-${i}`, { from: `${id}@example.com` })));
  const connectors = Object.fromEntries(ids.map((id) => [id, { addresses: [`${id}@example.com`] }]));
  const operator = await testOperator(prefix, undefined, redis);
  for (const id of ids) await operator.lanes.pause(id);
  const { recorded, of } = await startWorker({ prefix, redis, config: configOf(connectors) });
  await sendUntilAccepted(producer, messages);
  const waiting = async (): Promise<number> =>
    (await Promise.all(ids.map(async (id) => (await operator.lanes.status(id)).waiting))).reduce((a, b) => a + b, 0);
  await until(async () => (await waiting()) === messages.length, { what: 'all to be in their lanes' });

  /** A connector whose lane is on the master at that port. */
  const ownerOf = async (candidates: readonly string[], port: number): Promise<string> => {
    for (const id of candidates) if ((await masterOf(shardsOf(prefix, 6).keysOf(id).prefix)).port === port) return id;
    throw new Error(`no connector is at home at ${port}`);
  };
  const home = await masterOf(prefix);
  const others = await Promise.all([1, 2, 3, 4, 5].map((shard) => masterOf(`{full${shard}}`)));
  const other = others.find(({ port }) => port !== home.port)!;
  await other.admin.config('SET', 'maxmemory', '1000');
  let asked = 0;
  const refused = () =>
    producer.send(countable(`late${(asked += 1)}`)).then(
      () => 'accepted',
      (error: { code: string }) => error.code,
    );
  await until(async () => (await refused()) === 'redis-full', { what: 'mail to be refused' });
  for (const id of ids) await operator.lanes.resume(id);
  const rows = await settled(producer, messages);
  expect(rows.every(({ state }) => state === 'sent')).toBe(true);
  expect(ids.reduce((sum, id) => sum + recorded(id).mails.length, 0)).toBeGreaterThanOrEqual(messages.length);
  // A foreign client knows no reserve. Routing it would fill the master of its lane, so it waits in the intake, and is not lost.
  const there = await ownerOf(ids, other.port);
  const cluster = new Cluster([...urls], { redisOptions: { maxRetriesPerRequest: null } });
  onTestFinished(() => cluster.disconnect());
  const message = countable('foreign', { from: `${there}@example.com` });
  const queue = new Queue('outbound', { connection: cluster, prefix });
  await queue.add('message', { v: 1, message }, { jobId: 'foreign', removeOnComplete: true });
  await until(() => of('error').some(({ id, detail }) => id === 'foreign' && detail.includes('OOM')), {
    what: 'a refusal',
  });
  expect((await producer.status('foreign'))?.state).toMatch(/^(?:queued|scheduled)$/);
  await other.admin.config('SET', 'maxmemory', '0');
  expect((await settled(producer, ['foreign']))[0]?.state).toBe('sent');
  await sendUntilAccepted(producer, [countable('again', { from: 'c0@example.com' })]);
  await settled(producer, ['again']);
});
