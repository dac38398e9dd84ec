/** Which of BullMQ's scripts run on a full Redis: held against the installed version, whose scripts have other names one day. */
import type { Queue } from 'bullmq';
import { expect, test } from 'vitest';
import { serving } from '../../../src/queue/bullmq/full-redis.ts';
import { splitFlag } from '../../../src/queue/lua/script.ts';
import { openQueues } from '../../../src/queue/open.ts';
import { testConnection, testPrefix } from '../../support/redis.ts';

const adding = ['addDelayedJob', 'addPrioritizedJob', 'addStandardJob'];

/** The names of BullMQ's scripts on a connection that have the flag, and that have not. */
async function scriptsOf(options: { newMail?: boolean }): Promise<{ flagged: string[]; plain: string[] }> {
  const redis = testConnection();
  const { intake }: { intake: Queue } = openQueues(redis, { prefix: testPrefix(), ...options });
  await intake.waitUntilReady();
  const defined = Object.entries<{ lua: string }>(redis.scriptsSet);
  const names = (wanted: boolean): string[] =>
    defined.flatMap(([name, { lua }]) => (splitFlag(lua).allowsOom === wanted ? [name.split(':')[0]!] : [])).sort();
  return { flagged: names(true), plain: names(false) };
}

test('a worker and an operator run the scripts that take, end and hand back a job although Redis is full', async () => {
  expect((await scriptsOf({})).flagged).toEqual([...serving, ...adding].sort());
});

test('a producer runs none of them: a full Redis refuses new mail', async () => {
  const { flagged, plain } = await scriptsOf({ newMail: true });
  expect(flagged).toEqual([]);
  expect(plain).toEqual(expect.arrayContaining([...serving, ...adding]));
});
