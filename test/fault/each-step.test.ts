/**
 * The steps of a message through Redis, one by one: a worker dies before Redis has the step, or after it, before the answer is back;
 * or it loses the connection there, and sends the step once more.
 *
 * `KILLS_PER_STEP=20 vitest run test/fault/each-step.test.ts` kills one that often at each step, with one message and with a dozen.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import { startStepProxy } from '../../testkit/step-proxy.ts';
import { until } from '../../testkit/until.ts';
import {
  account,
  allSent,
  copiesOf,
  countable,
  countableMany,
  isUncertain,
  settled,
  sink,
} from '../support/accounting.ts';
import { examine } from '../support/doctor.ts';
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
  // Of a message that finds a session open and none waiting.
  'the entering of its lane with the fence': '"worker":"',
  'the result of a message that went straight through': '"event":"sent"',
} as const;
type Step = keyof typeof steps;
type Place = readonly [Step, 'before' | 'after'];

const kills = Number(process.env['KILLS_PER_STEP'] ?? 1);
const places = Object.keys(steps).flatMap((step) =>
  (['before', 'after'] as const).map((where): Place => [step as Step, where]),
);

/** Each of them so often, with its number. */
function repeated(rows: readonly Place[]): [...Place, number][] {
  return rows.flatMap((row) => Array.from({ length: kills }, (_, i): [...Place, number] => [...row, i + 1]));
}

async function stoppedAt([step, where]: Place, messages = [countable('m')]) {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const server = await sink();
  const connectors = { relay: { port: server.port } };
  const proxy = await startStepProxy(Number(new URL(redisUrl()).port), steps[step], where);
  onTestFinished(() => proxy.stop());
  const first = await startWorkerProcess({ prefix, connectors, url: `redis://127.0.0.1:${proxy.port}` });
  if (step.startsWith('the entering') || step.endsWith('straight through')) {
    await producer.send(countable('before'));
    await settled(producer, ['before']);
    // Its session is idle by then.
    await until(() => first.of('sent').length === 1, { what: 'the message before' });
  }
  proxy.arm();
  const sent = await producer.sendMany(messages);
  expect(sent.filter(({ ok }) => !ok)).toEqual([]);
  await until(proxy.reached, { what: step });
  const outcome = async () => {
    const rows = await settled(producer, ['m']);
    expect(account(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 1 } });
    return { copies: copiesOf('m', [server]), uncertain: isUncertain(rows[0]!) };
  };
  return { prefix, producer, server, connectors, proxy, first, outcome };
}

const once = { copies: 1, uncertain: false };

// Over several shards a message is copied into its lane, in other steps.
describe.skipIf(shardCount() > 1)('a worker that is killed', () => {
  const whatBecomes = ([step, where]: Place): { copies: number; uncertain: boolean } => {
    // The attempt is open, and nobody knows that nothing was sent.
    const isFence = step === 'the fence' || step === 'the entering of its lane with the fence';
    if (isFence && where === 'after') return { copies: 1, uncertain: true };
    // The server has the message, and only the dead worker knew.
    const isResult = step === 'the result with the end of the job' || step.endsWith('straight through');
    if (isResult && where === 'before') return { copies: 2, uncertain: true };
    return once;
  };

  test.for(repeated(places))(
    'at %s, %s Redis has it: nothing is lost, and a second copy is marked (%i)',
    async ([step, where]) => {
      const { prefix, connectors, first, outcome } = await stoppedAt([step, where]);
      await first.kill();
      await endLocks(testConnection(), prefix);
      await startWorkerProcess({ prefix, connectors });
      expect(await outcome()).toEqual(whatBecomes([step, where]));
      expect(await examine(prefix)).toEqual([]);
    },
  );

  test.for(repeated(places))(
    'at %s, %s Redis has it, with a dozen messages in hand: nothing is lost, and every second copy is marked (%i)',
    async ([step, where]) => {
      const messages = countableMany(12);
      const { prefix, producer, server, connectors, first } = await stoppedAt([step, where], messages);
      await first.kill();
      await endLocks(testConnection(), prefix);
      await startWorkerProcess({ prefix, connectors });
      expect(account(await settled(producer, messages), [server])).toMatchObject(allSent(messages.length));
      expect(await examine(prefix)).toEqual([]);
    },
  );
});

describe.skipIf(shardCount() > 1)('a connection that breaks', () => {
  test.for(repeated(places))(
    'at %s, %s Redis has it: the step is sent once more, and the message goes out once, without a mark (%i)',
    async ([step, where]) => {
      const { proxy, first, outcome } = await stoppedAt([step, where]);
      proxy.cut();
      // No lock ends meanwhile: what was taken was not forgotten.
      expect(await outcome()).toEqual(once);
      expect(first.of('uncertain')).toEqual([]);
    },
  );
});
