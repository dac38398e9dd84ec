/** Without an SDK of OpenTelemetry, tracing costs a message one look at a global where it is sent and one where it is handled, and no memory. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { countable, settled } from '../support/accounting.ts';
import { configOf, startWorker, testProducer } from '../support/postlane.ts';
import { keysOf } from '../../src/queue/redis/keys.ts';
import { shardCount, testConnection, testPrefix } from '../support/redis.ts';
import { root } from '../support/source.ts';
import { messageFor, startStraight } from '../support/straight.ts';

/** Counts how often this process asks the API for what an SDK would have registered. */
function looks(): () => number {
  const key = Symbol.for('opentelemetry.js.api.1');
  const globals = globalThis as { [key]?: object };
  const before = globals[key];
  let count = 0;
  globals[key] = {
    version: '1.9.0',
    get trace() {
      count += 1;
      return undefined;
    },
    get context() {
      throw new Error('there is nothing to look for in a context');
    },
  };
  onTestFinished(() => {
    globals[key] = before!;
  });
  return () => count;
}

const ids = Array.from({ length: 40 }, (_, i) => `m${i}`);

test('`send` looks once, and the job says nothing of a trace', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const count = looks();
  await producer.sendMany(ids.map((id) => countable(id)));
  expect(count()).toBe(ids.length);
  expect(await testConnection().hget(keysOf(prefix).intakeJob('m0'), 'opts')).toBe(
    '{"removeOnComplete":true,"priority":10,"attempts":0}',
  );
});

test('a worker looks once where it routes a message, and once where it takes it from its lane', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  await producer.sendMany(ids.map((id) => countable(id)));
  const count = looks();
  await startWorker({ prefix, config: configOf({ x: {} }) });
  await settled(producer, ids);
  expect(count()).toBe(2 * ids.length);
  const row = await testConnection().hgetall(keysOf(prefix).ledger('m0'));
  expect(JSON.stringify(row)).not.toContain('trace');
});

test.skipIf(shardCount() > 1)('a worker looks once at a message that goes straight through', async () => {
  const { producer, straight, warm } = await startStraight({ x: {} });
  await warm('x');
  const count = looks();
  for (const id of ids) {
    await producer.send(messageFor('x', id));
    await settled(producer, [id]);
  }
  expect(straight).toEqual(ids);
  // The producer is in this process, too.
  expect(count()).toBe(2 * ids.length);
});

test('a look allocates nothing', () => {
  // In a process of its own, as a test runner wraps what is imported; with so much room that nothing is collected in between.
  const code = `
    import { tracing } from '${join(root, 'src/tracing/tracing.ts')}';
    const look = (count) => { for (let i = 0; i < count; i += 1) tracing(); };
    look(100_000);
    const before = process.memoryUsage().heapUsed;
    look(1_000_000);
    console.log(process.memoryUsage().heapUsed - before);`;
  const { stdout } = spawnSync(process.execPath, [
    '--min-semi-space-size=128',
    '--max-semi-space-size=128',
    '--input-type=module',
    '-e',
    code,
  ]);
  // The least object has 16 bytes.
  expect(stdout.toString()).toMatch(/^-?\d+\n$/);
  expect(Number(stdout.toString())).toBeLessThan(8_000_000);
});
