/** A process that looks after fallbacks stands still amid a round: what it does when it goes on is out of date, and changes nothing. */
import { expect, onTestFinished, test } from 'vitest';
import { account, allOnce, countableMany, settled, sink } from '../support/accounting.ts';
import { after, startSender, switched } from '../support/fallback.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { redisUrl, shardCount, testPrefix } from '../support/redis.ts';
import { startStepProxy } from '../../testkit/step-proxy.ts';
import { holds, until } from '../../testkit/until.ts';

const messages = countableMany(5);
const hold = { by: 'test', reason: 'test', forMs: null };

/** A worker that stands still right before it moves five messages of `primary` to `standby`. */
async function standingStill(messagesPerMinute: number | null) {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const { server, is } = await switched();
  const other = await sink();
  const limits = { concurrency: 1, messagesPerMinute };
  const connectors = {
    primary: { port: server.port, connector: { limits, fallback: after(0, 'standby') } },
    standby: { port: other.port },
  };
  // The arguments of the script begin with the way and the lane.
  const proxy = await startStepProxy(Number(new URL(redisUrl()).port), 'out\r\n$7\r\nprimary', 'before');
  onTestFinished(() => proxy.stop());
  const url = `redis://127.0.0.1:${proxy.port}`;
  const stale = await startSender(prefix, connectors, { name: 'stale', url });
  proxy.arm();
  await producer.sendMany(messages);
  await until(proxy.reached, { what: 'a move' });
  const goOn = async (): Promise<void> => {
    proxy.cut();
    await holds(() => stale.of('fell-back').length === 0, { what: 'nothing to be moved', forMs: 500 });
  };
  const finish = async () => {
    const rows = await settled(producer, messages);
    const moved = rows.filter(({ history }) => history.some(({ event }) => event === 'fallback'));
    return { ...account(rows, [server, other]), moved };
  };
  return { prefix, operator, connectors, is, goOn, finish };
}

test.skipIf(shardCount() > 1)('mail of a lane that an operator has paused meanwhile stays there', async () => {
  const { operator, is, goOn, finish } = await standingStill(null);
  await operator.lanes.pause('primary', hold);
  await goOn();
  is.away = false;
  await operator.lanes.resume('primary');
  expect(await finish()).toEqual({ ...allOnce(5), moved: [] });
});

test.skipIf(shardCount() > 1)(
  'mail of a connector whose failover another process has ended meanwhile stays',
  async () => {
    // Those that wait for their time have not gone by the time the process goes on.
    const { prefix, operator, connectors, is, goOn, finish } = await standingStill(20);
    await operator.lanes.pause('standby', hold);
    is.away = false;
    const other = await startSender(prefix, connectors, { name: 'other' });
    await until(() => other.of('fallback-ended').length === 1, { what: 'the failover to end' });
    expect((await operator.lanes.status('primary')).waiting).toBeGreaterThan(0);
    await goOn();
    expect((await operator.lanes.status('primary')).fallback).toBeNull();
    expect(await finish()).toEqual({ ...allOnce(5), moved: [] });
  },
);
