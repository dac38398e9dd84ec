/**
 * Jobs of the intake that no worker will ever fetch: those with a delay beyond any time, and those that are over and were kept. Foreign
 * clients make them, by `delay: 1e300` or with a worker of their own.
 */
import type { Queue } from 'bullmq';
import { run, script } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import { delayedScoreFactor } from './layout.ts';
import { maxTimestamp } from './soundness.ts';

export interface Strays {
  /** Ids of jobs whose time is before 1970 or after 9999; BullMQ looks for due jobs from 0 on. */
  readonly never: readonly string[];
  /** Jobs that are over, and when they were, in ms since the epoch. */
  readonly over: readonly { readonly jobId: string; readonly at: number }[];
}

/** How many of each kind are found at once. */
const atOnce = 200;

/**
 * → number of ids that are never due, those, then id and time of each that is over.
 * @lua
 */
export const straysScript = script(
  { keys: ['delayed', 'completed'], args: ['lastScore', 'count'] },
  /* lua */ `
local found = {}
if redis.call('TYPE', delayed).ok == 'zset' then
  for _, range in ipairs({ { '-inf', '(0' }, { '(' .. lastScore, '+inf' } }) do
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', delayed, range[1], range[2], 'LIMIT', 0, count)) do found[#found + 1] = id end
  end
end
local answer = { #found }
for _, id in ipairs(found) do answer[#answer + 1] = id end
if redis.call('TYPE', completed).ok == 'zset' then
  for _, each in ipairs(redis.call('ZRANGE', completed, 0, count - 1, 'WITHSCORES')) do answer[#answer + 1] = each end
end
return answer
`,
);

export async function findStrays(redis: RedisClient, queue: Queue): Promise<Strays> {
  const keys = { delayed: queue.toKey('delayed'), completed: queue.toKey('completed') };
  const lastScore = (maxTimestamp + 1) * delayedScoreFactor;
  const found = (await run(redis, straysScript, { keys, args: { lastScore, count: atOnce } })) as [number, ...string[]];
  const [count, ...ids] = found;
  const over = [];
  for (let i = count; i + 1 < ids.length; i += 2) over.push({ jobId: ids[i]!, at: Number(ids[i + 1]) });
  return { never: ids.slice(0, count), over };
}
