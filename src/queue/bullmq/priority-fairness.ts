/**
 * Whose turn it is inside a lane. BullMQ serves high before normal before low, strictly: an endless stream of password resets
 * would keep a newsletter waiting for ever. So of ten jobs that a process takes from a lane, one is the first of normal and one
 * the first of low, if anything before them would keep them waiting. Within a class the order stays.
 */
import { jobPriorities } from '../jobs.ts';
import { run, script } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import { priorityScoreFactor } from './layout.ts';

type PromotedClass = 'normal' | 'low';

const lowestScoreOfLow = jobPriorities.low * priorityScoreFactor;

/**
 * Moves the first job of a class to the front of the list that BullMQ serves before all priorities, where it also puts jobs that
 * stalled; the job itself is not changed, and goes back to its class if it is returned. → 1, or 0 if no job of the class would
 * be kept waiting.
 *
 * @lua
 */
export const promoteScript = script(
  { keys: ['wait', 'prioritized'], args: ['class', 'lowestOfLow'], allowOom: true },
  /* lua */ `
local first = redis.call('ZRANGE', prioritized, 0, 0, 'WITHSCORES')
if not first[1] then return 0 end
local unclassed = redis.call('LLEN', wait)
local id = first[1]
if class == 'normal' then
  if unclassed == 0 or tonumber(first[2]) >= tonumber(lowestOfLow) then return 0 end
else
  id = redis.call('ZRANGEBYSCORE', prioritized, lowestOfLow, '+inf', 'LIMIT', 0, 1)[1]
  if not id or (unclassed == 0 and id == first[1]) then return 0 end
end
redis.call('ZREM', prioritized, id)
redis.call('RPUSH', wait, id)
return 1
`,
);

/** → whether a job of the class was moved ahead of others. */
export async function promote(
  redis: RedisClient,
  keys: { readonly wait: string; readonly prioritized: string },
  promoted: PromotedClass,
): Promise<boolean> {
  return (await run(redis, promoteScript, { keys, args: { class: promoted, lowestOfLow: lowestScoreOfLow } })) === 1;
}

/** A class of which nothing was kept waiting is not asked for again so soon, in ms: most lanes have but one. */
const restMs = 1_000;

export interface Turns {
  /** To be called for each job that begins; the next one that is fetched is then of the class whose turn it is. */
  began(): void;
}

/** `promote` → whether there was a job to move. A failure costs one turn. `now` in ms, monotonic. */
export function createTurns(promote: (promoted: PromotedClass) => Promise<boolean>, now: () => number): Turns {
  let count = 0;
  const restsUntil: Record<PromotedClass, number> = { normal: -Infinity, low: -Infinity };
  const turn = async (promoted: PromotedClass): Promise<void> => {
    try {
      if (!(await promote(promoted))) restsUntil[promoted] = now() + restMs;
    } catch {
      // Redis is away, or refuses: the fetch of the next job reports it.
    }
  };
  return {
    began() {
      count = (count + 1) % 10;
      const promoted = count === 4 ? 'normal' : count === 9 ? 'low' : null;
      if (promoted === null || now() < restsUntil[promoted]) return;
      void turn(promoted);
    },
  };
}
