/** What happens to a message on its straight way through, between its fetch and the step that lets it go, and after that. */
import { Queue } from 'bullmq';
import { describe, expect, onTestFinished, test } from 'vitest';
import { keysOf } from '../../src/queue/redis/keys.ts';
import type { SmtpServerOptions } from '../../testkit/smtp/server.ts';
import { until } from '../../testkit/until.ts';
import { account, allOnce, copiesOf, settled } from '../support/accounting.ts';
import { examine } from '../support/doctor.ts';
import { endLocks } from '../support/locks.ts';
import { ownRedis } from '../support/own-redis.ts';
import { testOperator, testRetry } from '../support/postlane.ts';
import { isSealed, redisUrl, shardCount, testConnection, testPrefix } from '../support/redis.ts';
import { messageFor, startStraight, type StraightConnector, type StraightOptions } from '../support/straight.ts';

type Straight = Awaited<ReturnType<typeof startStraight>>;

/** A connector with a session that is open; `beforeStep` is called with what was set up, once, for the message `m`. */
async function warmed(
  connector: StraightConnector = {},
  beforeStep: (setup: Straight) => Promise<unknown> = async () => undefined,
  options: StraightOptions = {},
): Promise<Straight> {
  let calls = 0;
  const setup: Straight = await startStraight(
    { x: connector },
    {
      ...options,
      beforeStep: async (id) => {
        if (id === 'm' && (calls += 1) === 1) await beforeStep(setup);
      },
    },
  );
  await setup.warm('x');
  return setup;
}

/** A server that holds its answer to the message `m` until `answer` is called. */
function holding() {
  const gate = Promise.withResolvers<undefined>();
  const server: SmtpServerOptions = {
    script: { '.': ({ to }) => (to[0]?.startsWith('m@') ? gate.promise : undefined) },
  };
  return { server, answer: (): void => gate.resolve(undefined) };
}

function queueOf(prefix: string, name: string): Queue {
  const queue = new Queue(name, { connection: { url: redisUrl() }, prefix });
  onTestFinished(() => queue.close());
  return queue;
}

const counted = async ({ producer, servers }: Straight, ids: readonly string[]) =>
  account(await settled(producer, ids), Object.values(servers));
const healthy = ({ prefix }: Straight) => examine(prefix, ['x']);

// Over several shards a message is copied into its lane, by another step.
describe.skipIf(shardCount() > 1)('a message that may go straight through', () => {
  test('waits in its lane if that is paused between the fetch and the step, and is sent once when it is resumed', async () => {
    const setup = await warmed({}, async ({ prefix }) => (await testOperator(prefix)).lanes.pause('x'));
    const { prefix, producer, straight, lane, servers } = setup;
    await producer.send(messageFor('x', 'm'));
    await until(async () => (await queueOf(prefix, 'lane-x').getPrioritizedCount()) === 1, { what: 'the lane' });
    expect(await producer.status('m')).toMatchObject({ state: 'queued', attempts: 0 });
    expect(copiesOf('m', [servers['x']!])).toBe(0);
    await (await testOperator(prefix)).lanes.resume('x');
    expect(await counted(setup, ['m'])).toEqual(allOnce(1));
    expect([straight, lane]).toEqual([[], ['warm-x', 'm']]);
    expect(await healthy(setup)).toEqual([]);
  });

  test('is not sent if it is cancelled between the fetch and the step', async () => {
    const setup = await warmed({}, async ({ producer }) => expect(await producer.cancel('m')).toBe(true));
    const { prefix, producer, straight, servers, worker } = setup;
    await producer.send(messageFor('x', 'm'));
    await until(() => worker.of('duplicate').length === 1, { what: 'the step' });
    await producer.send(messageFor('x', 'last'));
    await settled(producer, ['last']);
    expect(await producer.status('m')).toMatchObject({ state: 'cancelled' });
    expect([straight, copiesOf('m', [servers['x']!])]).toEqual([['last'], 0]);
    await until(async () => (await queueOf(prefix, 'outbound').getActiveCount()) === 0, { what: 'the end of its job' });
    expect(await healthy(setup)).toEqual([]);
  });

  test('can not be cancelled once it was let go', async () => {
    const { server, answer } = holding();
    const setup = await warmed({ server });
    await setup.producer.send(messageFor('x', 'm'));
    await until(() => setup.straight.length === 1, { what: 'the send' });
    expect(await setup.producer.cancel('m')).toBe(false);
    answer();
    expect(await counted(setup, ['m'])).toEqual(allOnce(1));
    expect(await healthy(setup)).toEqual([]);
  });

  test('is left to the owner of its lock if that has changed before the step', async () => {
    const redis = testConnection();
    const lockOf = ({ prefix }: Pick<Straight, 'prefix'>): string => `${keysOf(prefix).queue('outbound', 'm')}:lock`;
    const setup = await warmed({}, (here) => redis.set(lockOf(here), 'another'));
    const { prefix, producer, straight, lane, servers } = setup;
    await producer.send(messageFor('x', 'm'));
    await until(async () => (await redis.get(lockOf(setup))) === 'another', { what: 'the step' });
    // Its step comes behind that one.
    await producer.send(messageFor('x', 'last'));
    await settled(producer, ['last']);
    expect([...straight, ...lane]).not.toContain('m');
    expect(await producer.status('m')).toMatchObject({ state: 'queued', attempts: 0, connector: null });
    expect(copiesOf('m', [servers['x']!])).toBe(0);
    // The other one has died: whoever finds it abandoned routes it.
    await endLocks(redis, prefix);
    expect(await counted(setup, ['m'])).toEqual(allOnce(1));
    expect(await healthy(setup)).toEqual([]);
  });

  test('whose lock in the lane is lost while it is sent has its result all the same: one copy, and no mark', async () => {
    const { server, answer } = holding();
    const setup = await warmed({ server });
    const { prefix, producer, straight, worker } = setup;
    await producer.send(messageFor('x', 'm'));
    await until(() => straight.length === 1, { what: 'the send' });
    const redis = testConnection();
    await redis.set(`${keysOf(prefix).laneJob('x', 'm')}:lock`, 'another');
    answer();
    expect(await counted(setup, ['m'])).toEqual(allOnce(1));
    // The job is another's. When that one has died, its row says that there is nothing left to do.
    await endLocks(redis, prefix);
    await until(async () => (await queueOf(prefix, 'lane-x').getActiveCount()) === 0, { what: 'the end of its job' });
    expect(await counted(setup, ['m'])).toEqual(allOnce(1));
    expect(worker.of('uncertain')).toEqual([]);
    expect(await healthy(setup)).toEqual([]);
  });

  test('is shown by BullMQ’s tools in its lane’s active list while it is sent, and no more in the intake', async () => {
    const { server, answer } = holding();
    const setup = await warmed({ server });
    const { prefix, producer, straight } = setup;
    await producer.send(messageFor('x', 'm', { subject: 'shown' }));
    await until(() => straight.length === 1, { what: 'the send' });
    const [lane, intake] = [queueOf(prefix, 'lane-x'), queueOf(prefix, 'outbound')];
    const [job, ...others] = await lane.getActive();
    expect([job?.id, job?.data.message.subject, others]).toEqual(['m', isSealed() ? undefined : 'shown', []]);
    expect([await job?.getState(), job?.attemptsStarted]).toEqual(['active', 1]);
    expect((await lane.getJob('m'))?.processedOn).toBeGreaterThan(0);
    expect([await intake.getActive(), (await intake.getJob('m')) ?? null]).toEqual([[], null]);
    answer();
    expect(await counted(setup, ['m'])).toEqual(allOnce(1));
    await until(async () => (await lane.getActiveCount()) === 0, { what: 'the end of its job' });
    expect((await lane.getJob('m')) ?? null).toBeNull();
    expect(await healthy(setup)).toEqual([]);
  });
});

describe.skipIf(shardCount() > 1)('a message that went straight through', () => {
  test('and became a dead letter is replayed from its lane, under the same Message-ID', async () => {
    let refuse = true;
    const server: SmtpServerOptions = {
      script: { RCPT: ({ line }) => (refuse && line.includes('<m@') ? '550 5.1.1 unknown' : undefined) },
    };
    const setup = await warmed({ server });
    const { prefix, producer, straight, lane } = setup;
    await producer.send(messageFor('x', 'm'));
    const [dead] = await settled(producer, ['m']);
    expect([dead?.state, straight]).toEqual(['dead', ['m']]);
    refuse = false;
    const operator = await testOperator(prefix);
    expect(await operator.replay('m', { via: null, now: Date.now(), lifetimeMs: 60_000 })).toBe('replayed');
    await until(async () => (await producer.status('m'))?.state === 'sent', { what: 'it to be sent' });
    const row = await producer.status('m');
    expect([row?.messageId, row?.attempts]).toEqual([dead?.messageId, 2]);
    expect(row?.history.map(({ event }) => event)).toEqual(['routed', 'dead', 'replayed', 'routed', 'sent']);
    expect([straight, lane]).toEqual([['m'], ['warm-x', 'm']]);
    expect(await counted(setup, ['m'])).toEqual(allOnce(1));
    expect(await healthy(setup)).toEqual([]);
  });

  test.each([
    ['sent', 'sent', 1],
    ['drop', 'dead', 1],
    ['retry', 'sent', 2],
  ] as const)(
    'and whose answer was lost is held; resolved as %s it is %s, and has reached the server in %i transactions',
    async (as, state, copies) => {
      let lose = true;
      const server: SmtpServerOptions = {
        script: { '.': ({ to }) => (lose && to[0]?.startsWith('m@') ? 'reset' : undefined) },
      };
      const retry = { ...testRetry, onUncertain: 'hold' } as const;
      const setup = await warmed({ server, retry });
      const { prefix, producer, straight } = setup;
      await producer.send(messageFor('x', 'm'));
      const [held] = await settled(producer, ['m']);
      expect([held?.state, held?.attempts, straight]).toEqual(['held', 1, ['m']]);
      lose = false;
      const operator = await testOperator(prefix);
      const how = { now: Date.now(), lifetimeMs: 60_000, retentionMs: 60_000 };
      expect(await operator.resolve('m', as, how)).toBe(true);
      await until(async () => (await producer.status('m'))?.state === state, { what: `it to be ${state}` });
      expect(setup.servers['x']!.received.transactions.filter(({ to }) => to[0] === 'm@example.net').length).toBe(
        copies,
      );
      expect(await healthy(setup)).toEqual([]);
    },
  );
});

describe.skipIf(shardCount() > 1)('the configuration', () => {
  const moved = ({ config, worker }: Straight): Promise<void> =>
    worker.worker.apply({
      ...config,
      systemDefaultGateway: 'y',
      connectors: config.connectors.filter(({ id }) => id === 'y').map((y) => ({ ...y, addresses: ['*@x.example'] })),
    });

  test.each(['between the fetch of a message and its step', 'while it is sent'])(
    'that loses a connector %s leaves the message to that connector or to the next: one copy, and no mark',
    async (when) => {
      const { server, answer } = holding();
      const before = when.startsWith('between');
      let calls = 0;
      const setup: Straight = await startStraight(
        { x: before ? {} : { server }, y: {} },
        { beforeStep: async (id) => (before && id === 'm' && (calls += 1) === 1 ? moved(setup) : undefined) },
      );
      await setup.warm('x');
      await setup.producer.send(messageFor('x', 'm'));
      await until(() => setup.straight.length === 1, { what: 'the send' });
      if (!before) await moved(setup);
      answer();
      expect(await counted(setup, ['m'])).toEqual(allOnce(1));
      expect(setup.worker.of('uncertain')).toEqual([]);
      await setup.producer.send(messageFor('x', 'next'));
      const [next] = await settled(setup.producer, ['next']);
      expect([next?.connector, copiesOf('next', [setup.servers['y']!])]).toEqual(['y', 1]);
      expect(await examine(setup.prefix, ['y'])).toEqual([]);
    },
  );

  test('that changes the limit of a connector while a message is sent applies to the next one', async () => {
    const { server, answer } = holding();
    const setup = await warmed({ server });
    const { producer, straight, lane, worker, config } = setup;
    await producer.send(messageFor('x', 'm'));
    await until(() => straight.length === 1, { what: 'the send' });
    const limits = { concurrency: 5, messagesPerMinute: 6_000 };
    await worker.worker.apply({ ...config, connectors: config.connectors.map((x) => ({ ...x, limits })) });
    answer();
    await producer.send(messageFor('x', 'paced'));
    expect(await counted(setup, ['m', 'paced'])).toEqual(allOnce(2));
    expect([straight, lane]).toEqual([['m'], ['warm-x', 'paced']]);
    expect(await healthy(setup)).toEqual([]);
  });
});

test.skipIf(shardCount() > 1)(
  'a worker that stops between the fetch of a message and its step loses nothing, and sends no copy of it',
  async () => {
    let stopped: Promise<boolean> | undefined;
    const setup = await warmed({}, async ({ worker }) => {
      stopped = worker.worker.stop();
    });
    await setup.producer.send(messageFor('x', 'm'));
    await until(() => stopped !== undefined, { what: 'the stop' });
    expect(await stopped).toBe(true);
    const { prefix, servers } = setup;
    const next = await startStraight({ x: {} }, { prefix });
    expect(account(await settled(next.producer, ['m']), [servers['x']!, next.servers['x']!])).toEqual(allOnce(1));
    expect(await healthy(setup)).toEqual([]);
  },
);

test('a connector of another shard has its mail by the lane, once', async () => {
  const redis = { url: redisUrl(), shards: 3 };
  const names = ['x', 'y', 'z', 'u', 'v', 'w'];
  const setup = await startStraight(Object.fromEntries(names.map((name) => [name, {}])), { redis });
  for (const name of names) await setup.warm(name);
  const ids = names.map((name) => `to-${name}`);
  for (const name of names) await setup.producer.send(messageFor(name, `to-${name}`));
  expect(await counted(setup, ids)).toEqual(allOnce(ids.length));
  expect([setup.straight, setup.lane.length]).toEqual([[], 2 * ids.length]);
});

describe('of sixteen messages that reach their steps together', () => {
  const ids = Array.from({ length: 16 }, (_, i) => (i === 7 ? 'm' : `n${i}`));
  /** Sixteen sessions of one connector, open and idle, and sixteen messages at their steps: two turns, as one has eight of a kind. */
  async function sixteen(meanwhile: (setup: Straight) => Promise<unknown>, options: StraightOptions = {}) {
    const here = Promise.withResolvers<void>();
    const first = Promise.withResolvers<undefined>();
    let [warming, steps] = [0, 0];
    const server: SmtpServerOptions = {
      script: {
        '.': () => {
          if ((warming += 1) === 16) first.resolve(undefined);
          return first.promise;
        },
      },
    };
    const setup: Straight = await startStraight(
      { x: { server, limits: { concurrency: 16, messagesPerMinute: null } } },
      {
        ...options,
        rest: { worker: { slots: 40, drainMs: 5_000 } },
        beforeStep: async (id) => {
          if (!ids.includes(id)) return;
          if ((steps += 1) === 16) {
            await meanwhile(setup);
            here.resolve();
          }
          if (steps <= 16) await here.promise;
        },
      },
    );
    const warm = Array.from({ length: 16 }, (_, i) => messageFor('x', `warm${i}`));
    await setup.producer.sendMany(warm);
    await settled(setup.producer, warm);
    await until(() => setup.worker.of('sent').length === 16, { what: 'sixteen sessions' });
    await setup.producer.sendMany(ids.map((id) => messageFor('x', id)));
    await here.promise;
    return setup;
  }

  test.skipIf(shardCount() > 1)(
    'one message with a key of the wrong type is refused alone, and is sent when the key is right',
    async () => {
      const redis = testConnection();
      const setup = await sixteen(({ prefix }) => redis.set(keysOf(prefix).ledger('m'), 'no hash'));
      const others = ids.filter((id) => id !== 'm');
      expect(await counted(setup, others)).toEqual(allOnce(15));
      expect(setup.straight.toSorted()).toEqual(others.toSorted());
      expect(copiesOf('m', [setup.servers['x']!])).toBe(0);
      await redis.del(keysOf(setup.prefix).ledger('m'));
      expect(await counted(setup, ids)).toEqual(allOnce(16));
      expect(await healthy(setup)).toEqual([]);
    },
  );

  test.skipIf(shardCount() > 1)(
    'all are refused by a Redis that is read-only: none is sent before it takes writes again, and then each once',
    async () => {
      const prefix = testPrefix();
      const own = await ownRedis();
      const setup = await sixteen(() => own.admin.replicaof('127.0.0.1', '1'), { prefix, redis: { url: own.url } });
      // A turn has eight of a kind; what is behind it may wait for the connection.
      const refused = () => setup.worker.of('error').filter(({ where }) => where === 'the lane of x');
      await until(() => refused().length >= 8, { what: 'the refusals of a turn' });
      expect([setup.straight, ids.some((id) => copiesOf(id, [setup.servers['x']!]) > 0)]).toEqual([[], false]);
      await own.admin.replicaof('NO', 'ONE');
      expect(await counted(setup, ids)).toEqual(allOnce(16));
      expect(setup.worker.of('uncertain')).toEqual([]);
    },
  );

  test.skipIf(shardCount() > 1)('all are sent once though Redis is full by then', async () => {
    const prefix = testPrefix();
    const own = await ownRedis();
    const setup = await sixteen(() => own.admin.config('SET', 'maxmemory', '1mb'), {
      prefix,
      redis: { url: own.url },
    });
    await expect(own.admin.set('more', 'x')).rejects.toThrow('OOM');
    expect(await counted(setup, ids)).toEqual(allOnce(16));
    expect(setup.straight.toSorted()).toEqual(ids.toSorted());
    expect(setup.worker.of('uncertain')).toEqual([]);
    await own.admin.config('SET', 'maxmemory', '0');
  });
});
