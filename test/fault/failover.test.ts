/** The server of a connector is away: its mail goes by the fallback, each message once, and the connector takes over again. */
import { expect, test } from 'vitest';
import { account, allOnce, allSent, copiesOf, countable, countableMany, settled, sink } from '../support/accounting.ts';
import { endLocks } from '../support/locks.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { after, hourMs, redisOf, startSender, switched, timing } from '../support/fallback.ts';
import { testConnection, testPrefix } from '../support/redis.ts';
import { expectNoneBurned } from '../support/smtp-sender.ts';
import { startWorkerProcess } from '../support/worker-process.ts';
import { shardsOf } from '../../src/queue/redis/shards.ts';
import { holds, paced, until } from '../../testkit/until.ts';

/** Ids of two connectors in the same shard, or in different ones. */
function idsFor(prefix: string, shards: number | undefined): readonly [string, string] {
  if (shards === undefined) return ['primary', 'standby'];
  const { of } = shardsOf(prefix, shards);
  const second = ['standby', 'standby2', 'standby3', 'standby4', 'standby5'].find((id) => of(id) !== of('primary'));
  return ['primary', second!];
}

/** A connector whose server is away, and one beside it that works. */
async function serverAway(shards: number | undefined) {
  const prefix = testPrefix();
  const [primary, standby] = idsFor(prefix, shards);
  const producer = testProducer(prefix, redisOf(shards));
  return { prefix, primary, standby, producer, ...(await switched()), other: await sink() };
}

test.for([undefined, 3])(
  'a server that is away for an hour delays nothing: the fallback sends each message once, and the connector takes over again (shards: %s)',
  { timeout: 60_000 },
  async (shards) => {
    const { prefix, primary, standby, producer, server, is, other } = await serverAway(shards);
    const connectors = {
      [primary]: { port: server.port, connector: { fallback: after(60_000, standby) } },
      [standby]: { port: other.port },
    };
    const worker = await startSender(prefix, connectors, shards === undefined ? {} : { shards });
    const during: string[] = [];
    const began = Date.now();
    while (Date.now() - began < hourMs) {
      const id = `m${during.length}`;
      await producer.send(countable(id, { priority: (['high', 'normal', 'low'] as const)[during.length % 3]! }));
      during.push(id);
      await paced(20);
    }
    const rows = await settled(producer, during);
    expect(account(rows, [server, other])).toEqual(allOnce(during.length));
    expectNoneBurned(rows);
    expect(server.received.transactions).toHaveLength(0);
    expect(new Set(rows.map(({ connector }) => connector))).toEqual(new Set([standby]));
    const [first] = rows;
    expect(first!.history.find(({ event }) => event === 'fallback')).toMatchObject({
      connector: standby,
      detail: expect.stringContaining(`${primary} is at fault: unreachable`) as string,
    });
    expect(worker.of('fallback-began')).toMatchObject([{ connector: primary, to: standby, fault: 'unreachable' }]);
    // The alarm goes on: its faults are counted as if there were no fallback.
    expect(worker.of('connector-fault').length).toBeGreaterThan(3);
    is.away = false;
    let late = 0;
    await until(
      async () => {
        await producer.send(countable(`late${late}`));
        late += 1;
        return worker.of('fallback-ended').length === 1;
      },
      { what: 'the connector to take over again' },
    );
    await producer.sendMany(countableMany(20, 'after'));
    const lateRows = await settled(producer, [...countableMany(late, 'late'), ...countableMany(20, 'after')]);
    expect(account(lateRows, [server, other])).toEqual(allOnce(late + 20));
    const own = lateRows.filter(({ id }) => id.startsWith('after')).map(({ connector }) => connector);
    expect(new Set(own)).toEqual(new Set([primary]));
    expect(worker.of('connector-recovered')).toHaveLength(1);
  },
);

test.for([undefined, 3])(
  'workers that are killed while mail goes by the fallback and comes back lose none, and send none twice (shards: %s)',
  { timeout: 120_000 },
  async (shards) => {
    const { prefix, primary, standby, producer, server, is, other } = await serverAway(shards);
    const connectors = {
      [primary]: { port: server.port, fallback: after(60_000, standby) },
      [standby]: { port: other.port },
    };
    const options = { prefix, connectors, timing, ...redisOf(shards) };
    const ids: string[] = [];
    const sendSome = async (count: number): Promise<void> => {
      const some = countableMany(count, `r${ids.length}-`);
      await producer.sendMany(some);
      ids.push(...some.map(({ id }) => id!));
    };
    for (let round = 0; round < 3; round += 1) {
      await sendSome(60);
      const worker = await startWorkerProcess(options);
      // Amid the moves: some are in the lane of the fallback, and some are not.
      await until(() => worker.of('fell-back').length >= 1, { what: 'messages to be moved' });
      await worker.kill();
      await endLocks(testConnection(), prefix);
    }
    is.away = false;
    await sendSome(20);
    await startWorkerProcess(options);
    const rows = await settled(producer, ids, 60_000);
    expect(account(rows, [server, other])).toMatchObject(allSent(ids.length));
  },
);

test('an answer that is lost after the body does not fail over: only the connector that may have delivered it tries again', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  let away = false;
  let lost = false;
  const server = await sink({
    script: {
      CONNECT: () => (away ? 'close' : undefined),
      // It has taken the mail, and goes away before it says so.
      '.': () => {
        if (lost) return undefined;
        away = true;
        lost = true;
        return 'close';
      },
    },
  });
  const other = await sink();
  const worker = await startSender(prefix, {
    primary: { port: server.port, connector: { fallback: after(0, 'standby') } },
    standby: { port: other.port },
  });
  await producer.send(countable('lost'));
  await until(async () => ((await producer.status('lost'))?.history ?? []).some(({ event }) => event === 'uncertain'), {
    what: 'the lost answer',
  });
  await producer.sendMany(countableMany(20));
  const rows = await settled(producer, countableMany(20));
  expect(account(rows, [other])).toEqual(allOnce(20));
  await holds(() => copiesOf('lost', [other]) === 0, { what: 'no copy by the fallback', forMs: 1_000 });
  expect(await producer.status('lost')).toMatchObject({ connector: 'primary', recipients: [{ outcome: 'uncertain' }] });
  away = false;
  // The next message shows that the server is back, if this one's own time has not come.
  await producer.send(countable('next'));
  const [row] = await settled(producer, ['lost', 'next']);
  expect(row).toMatchObject({ state: 'sent', connector: 'primary' });
  expect(copiesOf('lost', [other])).toBe(0);
  expect(worker.of('fell-back').every(({ to }) => to === 'standby')).toBe(true);
});

test('a fallback that is at fault, too, gives back what it has, and the next one in the list sends it', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const [first, second] = [await switched(), await switched()];
  const third = await sink();
  const worker = await startSender(prefix, {
    primary: { port: first.server.port, connector: { fallback: after(0, 'second', 'third') } },
    second: { port: second.server.port },
    third: { port: third.port },
  });
  await producer.sendMany(countableMany(100));
  const rows = await settled(producer, countableMany(100));
  expect(account(rows, [first.server, second.server, third])).toEqual(allOnce(100));
  expectNoneBurned(rows);
  expect(third.received.transactions).toHaveLength(100);
  expect(worker.of('fell-back').some(({ back }) => back)).toBe(true);
});

test('mail waits where every fallback is at fault, and goes by the first that works again', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const [first, second] = [await switched(), await switched()];
  await startSender(prefix, {
    primary: { port: first.server.port, connector: { fallback: after(0, 'second') } },
    second: { port: second.server.port },
  });
  await producer.sendMany(countableMany(30));
  await until(() => second.server.received.connections > 3, { what: 'the fallback to be tried several times' });
  second.is.away = false;
  const rows = await settled(producer, countableMany(30));
  expect(account(rows, [first.server, second.server])).toEqual(allOnce(30));
  expectNoneBurned(rows);
  expect(second.server.received.transactions).toHaveLength(30);
});

test('only a connector that may send for the From stands in: the others wait', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const { server, is } = await switched();
  const other = await sink();
  await startSender(
    prefix,
    {
      gateway: { port: other.port, connector: { addresses: ['*@elsewhere.example'] } },
      primary: {
        port: server.port,
        connector: { addresses: ['a@example.com', 'b@example.com'], fallback: after(0, 'standby') },
      },
      standby: { port: other.port, connector: { addresses: ['own@example.com'], fallbackFor: ['a@example.com'] } },
    },
    { default: 'gateway' },
  );
  await producer.send(countable('b', { from: 'b@example.com' }));
  await producer.send(countable('a', { from: 'A@Example.com' }));
  const [a] = await settled(producer, ['a']);
  expect(a).toMatchObject({ state: 'sent', connector: 'standby' });
  await holds(() => copiesOf('b', [other]) === 0, { what: 'b to wait', forMs: 500 });
  is.away = false;
  const [b] = await settled(producer, ['b']);
  expect(b).toMatchObject({ state: 'sent', connector: 'primary' });
});

test('a newsletter of a connector at fault does not hold up the mail of the fallback’s own senders', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const { server } = await switched();
  const order: string[] = [];
  const other = await sink({
    script: {
      '.': async ({ to }) => {
        order.push(to[0]!.split('@')[0]!);
        await paced(5);
        return undefined;
      },
    },
  });
  const limits = { concurrency: 2, messagesPerMinute: null };
  await startSender(
    prefix,
    {
      primary: { port: server.port, connector: { addresses: ['news@example.com'], fallback: after(0, 'standby') } },
      standby: { port: other.port, connector: { limits } },
    },
    { default: 'standby' },
  );
  const news = countableMany(400, 'news').map((message) => ({ ...message, from: 'news@example.com' }));
  await producer.sendMany(news);
  await until(() => order.length > 20, { what: 'the newsletter to go by the fallback' });
  const before = order.length;
  await producer.send(countable('own', { from: 'own@example.com' }));
  await settled(producer, ['own']);
  // Ten transactions of each session, and those that were under way.
  expect(order.indexOf('own') - before).toBeLessThan(40);
  expect(account(await settled(producer, news), [server, other])).toEqual(allOnce(400));
});

test('an operator’s pause holds the mail of a connector at fault, too', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const { server, is } = await switched();
  const other = await sink();
  const worker = await startSender(prefix, {
    primary: { port: server.port, connector: { fallback: after(0, 'standby') } },
    standby: { port: other.port },
  });
  await producer.send(countable('first'));
  await settled(producer, ['first']);
  const operator = await testOperator(prefix);
  await operator.lanes.pause('primary', { by: 'test', reason: 'test', forMs: null });
  await producer.sendMany(countableMany(5));
  await holds(() => other.received.transactions.length === 1, { what: 'the mail to wait', forMs: 500 });
  is.away = false;
  await operator.lanes.resume('primary');
  const rows = await settled(producer, countableMany(5));
  expect(account(rows, [server, other])).toEqual(allOnce(5));
  expect(worker.of('fallback-began')).toHaveLength(1);
});
