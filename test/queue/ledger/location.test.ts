/** Several shards: ids stay taken and messages single wherever their connectors are, also while they move. */
import { describe, expect, test } from 'vitest';
import { openQueues, type OpenQueues } from '../../../src/queue/open.ts';
import type { NewRow, WaitingRow } from '../../../src/queue/ledger/ledger.ts';
import { createLedger } from '../../../src/queue/ledger/ledger.ts';
import { createLocation, putScript, takeScript } from '../../../src/queue/ledger/location.ts';
import { run } from '../../../src/queue/lua/script.ts';
import { configOf, startWorker, testOperator, testProducer } from '../../support/postlane.ts';
import { redisUrl, testConnection, testPrefix } from '../../support/redis.ts';
import { until } from '../../../testkit/until.ts';

/** Of three shards the one of each is another: see test/queue/redis/shards.test.ts. */
const [home, first, second] = ['f', 'd', 'a'] as const;
const config = configOf({
  [home]: { addresses: ['home@example.com'] },
  [first]: { addresses: ['first@example.com'] },
  [second]: { addresses: ['second@example.com'] },
});

const over = (prefix: string, shards = 3) => {
  const redis = { url: redisUrl(), shards };
  return {
    redis,
    producer: testProducer(prefix, { redis }),
    operator: () => testOperator(prefix, undefined, redis),
    worker: (options: Partial<Parameters<typeof startWorker>[0]> = {}) =>
      startWorker({ prefix, config, redis, ...options }),
  };
};

const message = (id: string, name: string) => ({ id, from: `${name}@example.com`, to: 'a@example.net', text: 'x' });

/** The parts by themselves, and what a router hands to them. */
function parts() {
  const prefix = testPrefix();
  const redis = testConnection();
  const queues = openQueues(redis, { prefix, shards: 3 });
  const location = createLocation(redis, queues.shards, () => 60_000);
  return { redis, queues, location };
}

const rowFor = (id: string, connector: string): NewRow => ({
  id,
  connector,
  rule: 'exact',
  messageId: `<${id}@example.com>`,
  recipients: [{ address: 'a@example.net', outcome: 'pending', code: null, reply: null }],
  acceptedAt: 1,
  deadline: Date.now() + 60_000,
});

const enter = (queues: OpenQueues, id: string, connector: string, released = false) =>
  queues.lanes.enter(connector, { data: {}, opts: {} }, rowFor(id, connector), released);

/** Shards that have a row for it that could be sent, and lanes that have its job. */
async function copies({ views: all }: OpenQueues, id: string): Promise<{ rows: number[]; jobs: string[] }> {
  const rows = await Promise.all(all.map(({ ledger }) => ledger.read(id)));
  const lanes = (
    await Promise.all(all.map((part) => part.lanes.known().then((ids) => ids.map((at) => ({ part, at })))))
  ).flat();
  const jobs = await Promise.all(lanes.map(({ part, at }) => part.lanes.queue(at).getJob(id)));
  return {
    rows: rows.flatMap((row, i) => (row === null ? [] : [i])),
    jobs: lanes.flatMap(({ at }, i) => (jobs[i] === undefined ? [] : [at])),
  };
}

/** What its job says of a message that is cancelled in the intake. */
const waiting: WaitingRow = { acceptedAt: 1, recipients: [], from: null, metadata: null, submittedBy: null };

describe('over three shards', () => {
  test('the connectors of these tests are in three different ones', () => {
    const { queues } = parts();
    expect([home, first, second].map((id) => queues.shards.of(id))).toEqual([0, 1, 2]);
  });

  test('every connector sends, and everything that is left is in its shard', async () => {
    const prefix = testPrefix();
    const { producer, worker } = over(prefix);
    const { recorded } = await worker();
    for (const name of ['home', 'first', 'second']) await producer.send(message(`m-${name}`, name));
    for (const [name, id] of [
      ['home', home],
      ['first', first],
      ['second', second],
    ] as const) {
      await until(async () => (await producer.status(`m-${name}`))?.state === 'sent', { what: `${name} to be sent` });
      expect(recorded(id).mails.map((mail) => mail.id)).toEqual([`m-${name}`]);
      expect(await producer.send(message(`m-${name}`, 'home'))).toEqual({ id: `m-${name}`, duplicate: true });
    }
  });

  test('an id that one connector has sent is a duplicate for all others', async () => {
    const prefix = testPrefix();
    const { producer, worker } = over(prefix);
    const { recorded, of } = await worker();
    await producer.send(message('same', 'first'));
    await until(async () => (await producer.status('same'))?.state === 'sent', { what: 'it to be sent' });
    const { intake } = openQueues(testConnection(), { prefix, shards: 3 });
    for (const name of ['second', 'home']) {
      const envelope = { from: `${name}@example.com`, to: ['a@example.net'] };
      const data = { v: 1, message: { ...message('same', name), envelope } };
      // BullMQ would say nothing of one whose namesake is still there.
      const gone = async (): Promise<boolean> => (await intake.getJobState('same')) === 'unknown';
      await until(gone, { what: 'the one before to be gone' });
      await intake.add('message', data, { jobId: 'same', removeOnComplete: true });
      await until(() => of('duplicate').length === (name === 'second' ? 1 : 2), { what: 'it to be found out' });
    }
    expect([home, first, second].map((id) => recorded(id).mails.length)).toEqual([0, 1, 0]);
  });

  test('a dead letter that is sent by a connector of another shard takes its row along, and leaves none', async () => {
    const prefix = testPrefix();
    const { producer, operator, worker } = over(prefix);
    const { recorded } = await worker({ scripts: { [first]: ['rejected'], [second]: ['rejected'] } });
    const admin = await operator();
    await producer.send(message('m', 'first'));
    for (const [via, state] of [
      [second, 'dead'],
      [home, 'sent'],
    ] as const) {
      await until(async () => (await producer.status('m'))?.state === 'dead', { what: 'it to die' });
      expect(await admin.replay('m', { via, now: Date.now(), lifetimeMs: 60_000 })).toBe('replayed');
      await until(async () => (await producer.status('m'))?.connector === via, { what: 'it to move' });
      await until(async () => (await producer.status('m'))?.state === state, { what: `it to be ${state}` });
    }
    const row = await producer.status('m');
    expect(row).toMatchObject({
      attempts: 3,
      connector: home,
      messageId: recorded(home).mails[0]!.id === 'm' ? row?.messageId : '',
    });
    expect(row?.history.map(({ event }) => event)).toEqual([
      'routed',
      'dead',
      'replayed',
      'routed',
      'dead',
      'replayed',
      'routed',
      'sent',
    ]);
    expect(await admin.deadLetters.count()).toBe(0);
    expect((await copies(openQueues(testConnection(), { prefix, shards: 3 }), 'm')).rows).toEqual([0]);
  });

  test('lists of dead letters are in the order of their deaths', async () => {
    const prefix = testPrefix();
    const { producer, operator, worker } = over(prefix);
    const rejected = ['rejected', 'rejected'] as const;
    await worker({ scripts: { [home]: rejected, [first]: rejected, [second]: rejected } });
    const names = ['home', 'first', 'second', 'first', 'home', 'second'];
    for (const [i, name] of names.entries()) {
      await producer.send(message(`m${i}`, name));
      await until(async () => (await producer.status(`m${i}`))?.state === 'dead', { what: `m${i} to die` });
    }
    const admin = await operator();
    const listed: string[] = [];
    for await (const { id } of admin.deadLetters.list({})) listed.push(id);
    expect(listed).toEqual(names.map((_, i) => `m${i}`));
    expect(await admin.deadLetters.count()).toBe(6);
    const bounds = { now: Date.now(), maxAgeMs: 60_000, maxCount: 4, limit: 10 };
    expect(await admin.deadLetters.overdue(bounds)).toEqual(['m0', 'm1']);
  });
});

describe('a cancel', () => {
  test('before the row is written, though its place is said, keeps the message from its lane', async () => {
    const { queues, location } = parts();
    await location.claim('m', '', 1, null, Date.now() + 60_000);
    expect(await queues.ledger.cancel('m', Date.now(), 60_000, waiting)).toBe(true);
    expect(await enter(queues, 'm', first)).toMatchObject({ kind: 'in-use', state: 'cancelled' });
    expect((await copies(queues, 'm')).jobs).toEqual([]);
  });

  test('before its place is said, keeps it from any', async () => {
    const { queues } = parts();
    expect(await queues.ledger.cancel('m', Date.now(), 60_000, waiting)).toBe(true);
    for (const connector of [home, first, second]) {
      expect(await enter(queues, 'm', connector)).toMatchObject({ kind: 'in-use', state: 'cancelled' });
    }
  });

  test('that looked for the message before it was routed finds it where it went', async () => {
    const { queues, location, redis } = parts();
    let looks = 0;
    const overtaken: typeof location = {
      ...location,
      async read(id) {
        const place = await location.read(id);
        looks += 1;
        if (looks === 1) await enter(queues, id, first);
        return place;
      },
    };
    const ledger = createLedger(redis, queues.shards, overtaken);
    expect(await ledger.cancel('m', Date.now(), 60_000, waiting)).toBe(true);
    expect((await queues.ledger.read('m'))?.state).toBe('cancelled');
  });

  test('at the same moment as the routing decides one way or the other, each time', async () => {
    const { queues } = parts();
    const rounds = Array.from({ length: 60 }, (_, i) => `m${i}`);
    await Promise.all(
      rounds.map(async (id, i) => {
        const connector = [home, first, second][i % 3]!;
        const [entered, cancelled] = await Promise.all([
          enter(queues, id, connector),
          queues.ledger.cancel(id, Date.now(), 60_000, waiting),
        ]);
        const state = (await queues.ledger.read(id))?.state;
        // Entered and cancelled after: the job is there, and its fence will say so.
        expect([entered.kind, cancelled, state]).toEqual([entered.kind, true, 'cancelled']);
      }),
    );
  });
});

describe('a message that moves from one shard to another', () => {
  const released = async (queues: OpenQueues): Promise<void> => {
    await enter(queues, 'm', first);
    const entry = { at: 1, event: 'replayed' };
    await queues.ledger.release('m', { from: ['queued'], entry, deadline: Date.now() + 60_000, via: second });
    await queues.lanes.queue(first).remove('m');
  };

  test.each(['the word', 'the old row', 'the copy'])(
    'is done again after a crash behind %s: one row, one job',
    async (step) => {
      const { queues, location, redis } = parts();
      await released(queues);
      const place = await location.read('m');
      await location.claim('m', place.at, 2, 1, Date.now() + 60_000);
      if (step !== 'the word') await location.move('m', 1, 2);
      // The copy was not made.
      if (step === 'the old row') await redis.del(queues.shards.all[2]!.ledger('m'));
      expect(await queues.ledger.idStatus('m')).toMatchObject({ kind: 'requeued', via: second });
      expect(await enter(queues, 'm', second)).toMatchObject({ kind: 'requeued' });
      expect(await enter(queues, 'm', second, true)).toEqual({ kind: 'new' });
      expect(await copies(queues, 'm')).toEqual({ rows: [2], jobs: [second] });
      const row = await queues.ledger.read('m');
      expect(row?.history.map(({ event }) => event)).toEqual(['routed', 'replayed', 'routed']);
      expect(await enter(queues, 'm', first, true)).toMatchObject({ kind: 'in-use' });
    },
  );

  test('and is cancelled while it does so is not sent by either', async () => {
    const { queues, location } = parts();
    await released(queues);
    await location.claim('m', (await location.read('m')).at, 2, 1, Date.now() + 60_000);
    expect(await queues.ledger.cancel('m', Date.now(), 60_000, waiting)).toBe(true);
    expect(await enter(queues, 'm', second, true)).toMatchObject({ kind: 'in-use', state: 'cancelled' });
    expect((await copies(queues, 'm')).jobs).toEqual([]);
  });

  test('leaves a row behind that lets no late job of the old lane be sent', async () => {
    const { queues, redis } = parts();
    await released(queues);
    expect(await enter(queues, 'm', second, true)).toEqual({ kind: 'new' });
    const lockKey = queues.shards.keysOf(first).queue('lane-d', 'm:lock');
    await redis.set(lockKey, 'token');
    const attempt = { lockKey, token: 'token', now: 1, worker: 'w', overOpen: true, attempts: 0 };
    expect(await queues.ledger.fence(rowFor('m', first), attempt)).toBe('dead');
  });
});

test('a process that stood still while it moved a row does not bring the message to life a second time', async () => {
  const { redis, queues, location } = parts();
  const [from, to] = [queues.shards.all[1]!, queues.shards.all[2]!];
  const inShard = (keys: typeof from) => ({ rowKey: keys.ledger('m'), unsettled: keys.unsettled });
  const requeue = () =>
    queues.ledger.release('m', {
      from: ['queued'],
      entry: { at: 1, event: 'rerouted' },
      deadline: Date.now() + 60_000,
      via: null,
    });
  await enter(queues, 'm', first);
  await requeue();
  await location.claim('m', (await location.read('m')).at, 2, 1, Date.now() + 60_000);
  const args = { id: 'm', ttlMs: 60_000 };
  const taken = (await run(redis, takeScript, { keys: inShard(from), args })) as string[];
  // Others finish its move, and the message goes back and is in its own lane again.
  await enter(queues, 'm', second, true);
  await requeue();
  expect(await enter(queues, 'm', first, true)).toEqual({ kind: 'new' });
  const move = taken[taken.indexOf('moved') + 1]!;
  const late = { id: 'm', deadline: Date.now() + 60_000, move };
  expect(await run(redis, putScript, { keys: inShard(to), args: late, moreArgs: taken })).toBe(0);
  expect(await enter(queues, 'm', second, true)).toMatchObject({ kind: 'in-use' });
  expect((await copies(queues, 'm')).rows).toEqual([1]);
  // What was left there does not keep it from moving there once more.
  await queues.lanes.queue(second).remove('m');
  await requeue();
  expect(await enter(queues, 'm', second, true)).toEqual({ kind: 'new' });
  expect((await copies(queues, 'm')).rows).toEqual([2]);
});

test('a message between two shards that is released once more keeps who has a copy', async () => {
  const { redis, queues, location } = parts();
  await enter(queues, 'm', first);
  const at = queues.shards.keysOf(first).ledger('m');
  const accepted = { address: 'a@example.net', outcome: 'accepted', code: '250', reply: null };
  await redis.hset(at, 'recipients', JSON.stringify([accepted]));
  const release = {
    from: ['queued'],
    entry: { at: 1, event: 'rerouted' },
    deadline: Date.now() + 60_000,
    via: null,
  } as const;
  expect(await queues.ledger.release('m', release)).toBe(true);
  const [from, to] = [queues.shards.of(first), queues.shards.of(second)];
  const { at: word } = await location.read('m');
  await location.claim('m', word, to, from, Date.now() + 60_000);
  await location.move('m', from, to);
  // As a crash leaves it: taken from the one, not yet put into the other.
  await redis.del(queues.shards.keysOf(second).ledger('m'));
  expect(await queues.ledger.release('m', release)).toBe(true);
  expect((await queues.ledger.read('m'))?.recipients).toEqual([accepted]);
});

test('sessions follow a server that throttles in every shard', async () => {
  const { redis, queues } = parts();
  const { worker } = await over(queues.shards.prefixes[0]!).worker();
  const { signal } = new AbortController();
  for (const connector of [home, first, second]) {
    await redis.hset(queues.shards.keysOf(connector).connector(connector), 'level', '1.000', 'configured', '3');
    const leases = worker.sessions.of(connector, 3);
    const only = await leases.acquire(0, signal);
    expect(only).not.toBeNull();
    expect(await leases.acquire(0, signal)).toBeNull();
    only?.release();
  }
});

test('what waits moves to its new shard when there are more of them, and the worker says that there are', async () => {
  const prefix = testPrefix();
  const one = over(prefix, 1);
  const admin = await one.operator();
  const { worker } = await one.worker();
  for (const id of [home, first, second]) await admin.lanes.pause(id);
  const ids = ['home', 'first', 'second'].flatMap((name) => [0, 1, 2].map((i) => ({ id: `${name}-${i}`, name })));
  for (const { id, name } of ids) await one.producer.send(message(id, name));
  await until(async () => (await admin.lanes.status(second)).waiting === 3, { what: 'all to wait' });
  await until(async () => (await admin.lanes.status(first)).waiting === 3, { what: 'all to wait' });
  await worker.stop();
  const three = over(prefix, 3);
  const { recorded, of } = await three.worker();
  const many = await three.operator();
  for (const id of [first, second]) {
    await until(async () => (await many.lanes.status(id)).waiting === 3, { what: `${id} to have moved` });
    expect(await many.lanes.status(id)).toMatchObject({ paused: true });
  }
  expect([home, first, second].flatMap((id) => recorded(id).mails)).toEqual([]);
  for (const id of [home, first, second]) await many.lanes.resume(id);
  await until(() => [home, first, second].every((id) => recorded(id).mails.length === 3), { what: 'all to be sent' });
  for (const { id } of ids) expect((await three.producer.status(id))?.state).toBe('sent');
  expect(of('redis-warning').map(({ setting }) => setting)).toContain('redis.shards');
});

test('lanes of all shards are claimed, in equal shares as long as each has some, and never more than asked for', async () => {
  const { queues } = parts();
  const names = Array.from({ length: 60 }, (_, i) => `c${i}`);
  await Promise.all(names.map((name, i) => enter(queues, `m${i}`, name)));
  const shares = (connectors: readonly string[]): number[] =>
    [0, 1, 2].map((shard) => connectors.filter((id) => queues.shards.of(id) === shard).length);
  const claimed: string[] = [];
  for (let i = 0; i < 4; i += 1) {
    const { connectors } = await queues.lanes.claim(6, 60_000);
    expect(shares(connectors)).toEqual([2, 2, 2]);
    claimed.push(...connectors);
  }
  for (let i = 0; i < 6; i += 1) {
    const { connectors } = await queues.lanes.claim(1, 60_000);
    expect(connectors).toHaveLength(1);
    claimed.push(...connectors);
  }
  expect(shares(claimed)).toEqual([10, 10, 10]);
  const rest = await queues.lanes.claim(100, 60_000);
  expect([...claimed, ...rest.connectors].sort()).toEqual(names.sort());
  expect(rest.left).toBe(0);
});
