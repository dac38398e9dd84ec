/**
 * The steps of a message through Redis, one by one: a worker dies before Redis has the step, or after it, before the answer is back;
 * or it loses the connection there, and sends the step once more.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import { startStepProxy } from '../../testkit/step-proxy.ts';
import { until } from '../../testkit/until.ts';
import { account, copiesOf, countable, isUncertain, settled, sink } from '../support/accounting.ts';
import { endLocks } from '../support/locks.ts';
import { testProducer } from '../support/postlane.ts';
import { redisUrl, shardCount, testConnection, testPrefix } from '../support/redis.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

/** A piece of each step that stands in no other. */
const steps = {
  'the fetch from the intake': ':outbound:marker',
  'the move into the lane': '"known":false',
  // Behind its length: packing.ts.
  'the take from the lane': '\u0005first',
  'the fence': '"worker":"',
  'the result with the end of the job': '"event":"sent"',
} as const;
type Step = keyof typeof steps;

async function stoppedAt(step: Step, where: 'before' | 'after') {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const server = await sink();
  const connectors = { relay: { port: server.port } };
  const proxy = await startStepProxy(Number(new URL(redisUrl()).port), steps[step], where);
  onTestFinished(() => proxy.stop());
  const first = await startWorkerProcess({ prefix, connectors, url: `redis://127.0.0.1:${proxy.port}` });
  proxy.arm();
  await producer.send(countable('m'));
  await until(proxy.reached, { what: step });
  const outcome = async () => {
    const rows = await settled(producer, ['m']);
    expect(account(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 1 } });
    return { copies: copiesOf('m', [server]), uncertain: isUncertain(rows[0]!) };
  };
  return { prefix, connectors, proxy, first, outcome };
}

const once = { copies: 1, uncertain: false };

// Over several shards a message is copied into its lane, in other steps.
describe.skipIf(shardCount() > 1)('a worker that is killed', () => {
  test.for<[Step, 'before' | 'after', { copies: number; uncertain: boolean }]>([
    ['the fetch from the intake', 'before', once],
    ['the fetch from the intake', 'after', once],
    ['the move into the lane', 'before', once],
    ['the move into the lane', 'after', once],
    ['the take from the lane', 'before', once],
    ['the take from the lane', 'after', once],
    ['the fence', 'before', once],
    // The attempt is open, and nobody knows that nothing was sent.
    ['the fence', 'after', { copies: 1, uncertain: true }],
    // The server has the message, and only the dead worker knew.
    ['the result with the end of the job', 'before', { copies: 2, uncertain: true }],
    ['the result with the end of the job', 'after', once],
  ])('at %s, %s Redis has it: nothing is lost, and a second copy is marked', async ([step, where, expected]) => {
    const { prefix, connectors, first, outcome } = await stoppedAt(step, where);
    await first.kill();
    await endLocks(testConnection(), prefix);
    await startWorkerProcess({ prefix, connectors });
    expect(await outcome()).toEqual(expected);
  });
});

describe.skipIf(shardCount() > 1)('a connection that breaks', () => {
  test.for(Object.keys(steps).flatMap((step) => (['before', 'after'] as const).map((where) => [step, where] as const)))(
    'at %s, %s Redis has it: the step is sent once more, and the message goes out once, without a mark',
    async ([step, where]) => {
      const { proxy, first, outcome } = await stoppedAt(step as Step, where);
      proxy.cut();
      // No lock ends meanwhile: what was taken was not forgotten.
      expect(await outcome()).toEqual(once);
      expect(first.of('uncertain')).toEqual([]);
    },
  );
});
