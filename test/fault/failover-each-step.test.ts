/**
 * The steps of a message from the lane of a connector at fault to that of its fallback: a worker dies at each of them, before Redis has it or
 * after it, or stands still there and goes on once another one has done its work.
 */
import { expect, onTestFinished, test } from 'vitest';
import { startStepProxy } from '../../testkit/step-proxy.ts';
import { holds, until } from '../../testkit/until.ts';
import { arrivedScript, moveLaneScript, setOutScript } from '../../src/queue/lanes/fallback-scripts.ts';
import { putScript, takeScript } from '../../src/queue/ledger/location.ts';
import { openQueues } from '../../src/queue/open.ts';
import { account, allOnce, copiesOf, countable, settled, sink } from '../support/accounting.ts';
import { after, redisOf, switched, timing } from '../support/fallback.ts';
import { endLocks } from '../support/locks.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { redisUrl, testConnection, testPrefix } from '../support/redis.ts';
import { sweep } from '../support/sweep.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

/** Of three shards, `a` is in the last one and `d` in the one before. */
const [primary, standby] = ['a', 'd'] as const;

/** A piece of each step that stands in no other, by the number of shards. */
const steps = [
  [1, 'the move', moveLaneScript.sha],
  [3, 'the leave', setOutScript.sha],
  [3, 'the count as a guest', `${primary} m`],
  [3, 'the word where it goes', '$3\r\n1 2\r\n'],
  [3, 'the take of its row', takeScript.sha],
  [3, 'the copy of its row', putScript.sha],
  [3, 'the entering of the other lane', '"detail":"fallback"'],
  [3, 'the end of the move', arrivedScript.sha],
] as const;

const before = steps.map(([shards, step, text]) => [step, 'before', shards, text] as const);
// After any other step is before the next one.
const last = steps.filter(([, step]) => step === 'the move' || step === 'the end of the move');
const places = [...before, ...last.map(([shards, step, text]) => [step, 'after', shards, text] as const)];

async function stoppedAt(text: string, where: 'before' | 'after', shards: number) {
  const prefix = testPrefix();
  const redis = testConnection();
  // What Redis does not know is sent twice, and the first is no step.
  for (const { lua } of [moveLaneScript, setOutScript, takeScript, putScript, arrivedScript]) {
    await redis.script('LOAD', lua);
  }
  const over = { url: redisUrl(), shards };
  const producer = testProducer(prefix, redisOf(shards));
  const { server } = await switched();
  const other = await sink();
  const connectors = {
    [primary]: { port: server.port, fallback: after(0, standby) },
    [standby]: { port: other.port },
  };
  const proxy = await startStepProxy(Number(new URL(redisUrl()).port), text, where);
  onTestFinished(() => proxy.stop());
  proxy.arm();
  const through = { url: `redis://127.0.0.1:${proxy.port}`, shards };
  const first = await startWorkerProcess({ prefix, connectors, timing, redis: through });
  await producer.send(countable('m'));
  await until(proxy.reached, { what: 'the step' });
  const operator = await testOperator(prefix, redisUrl(), over);
  const doctor = async (fix: boolean): Promise<string[]> => {
    const options = { now: Date.now, senders: [primary, standby], lifetimeMs: 3_600_000, retentionMs: 86_400_000 };
    const found: string[] = [];
    for await (const { kind } of operator.diagnose({ ...options, fix, lookAgainMs: 5 })) found.push(kind);
    return found;
  };
  /** Those who look for lost mail look now. */
  const searched = async (): Promise<void> => {
    expect(await doctor(true)).not.toContain('message-nowhere');
    // In a lane it would be overdue.
    const { ledger } = openQueues(redis, { prefix, shards });
    if ((await ledger.idStatus('m')).kind === 'requeued') await sweep(prefix, shards);
  };
  const goOn = () => startWorkerProcess({ prefix, connectors, timing, redis: over });
  const outcome = async () => {
    const rows = await settled(producer, ['m']);
    expect(rows).toMatchObject([{ state: 'sent', connector: standby }]);
    expect(rows[0]!.history.map(({ event }) => event)).not.toContain('uncertain');
    await until(async () => (await doctor(false)).length === 0, { what: 'nothing to be left' });
    return account(rows, [server, other]);
  };
  return { prefix, redis, first, proxy, other, searched, goOn, outcome };
}

test.for(places)(
  'a worker that is killed at %s, %s Redis has it (shards: %i): the message is lost to nobody who looks for it, and sent once',
  async ([, where, shards, text]) => {
    const { prefix, redis, first, searched, goOn, outcome } = await stoppedAt(text, where, shards);
    await first.kill();
    await endLocks(redis, prefix);
    await searched();
    await goOn();
    expect(await outcome()).toEqual(allOnce(1));
  },
);

test.for(before)(
  'a worker that stands still at %s, %s Redis has it (shards: %i), and goes on when another one has done its work: the message is sent once',
  async ([, where, shards, text]) => {
    const { proxy, other, searched, goOn, outcome } = await stoppedAt(text, where, shards);
    await searched();
    await goOn();
    expect(await outcome()).toEqual(allOnce(1));
    proxy.cut();
    await holds(() => copiesOf('m', [other]) === 1, { what: 'one copy', forMs: 500 });
    expect(await outcome()).toEqual(allOnce(1));
  },
);
