/**
 * Whose turn it is inside a lane. BullMQ serves high before normal before low, strictly: an endless stream of password resets
 * would keep a newsletter waiting for ever. So of ten jobs that a process takes from a lane, one is the first of normal and one
 * the first of low, if anything before them would keep them waiting. Within a class the order stays.
 */
import { jobPriorities } from '../jobs.ts';
import { script } from '../lua/script.ts';

type LiftedClass = 'normal' | 'low';

/** BullMQ keeps the priority in the upper bits of the score, and a counter below (getPriorityScore.lua). */
const lowestScoreOfLow = jobPriorities.low * 2 ** 32;

/**
 * Moves the first job of a class to the front of the list that BullMQ serves before all priorities, where it also puts jobs that
 * stalled; the job itself is not changed, and goes back to its class if it is returned. KEYS: wait, prioritized. ARGV: class,
 * lowest score of low. → 1, or 0 if there is none that others would keep waiting.
 */
export const liftScript = script(`
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if not first[1] then return 0 end
local unclassed = redis.call('LLEN', KEYS[1])
local id = first[1]
if ARGV[1] == 'normal' then
  if unclassed == 0 or tonumber(first[2]) >= tonumber(ARGV[2]) then return 0 end
else
  id = redis.call('ZRANGEBYSCORE', KEYS[2], ARGV[2], '+inf', 'LIMIT', 0, 1)[1]
  if not id or (unclassed == 0 and id == first[1]) then return 0 end
end
redis.call('ZREM', KEYS[2], id)
redis.call('RPUSH', KEYS[1], id)
return 1
`);

/** Arguments of the script for a class. */
export function liftArgs(lifted: LiftedClass): (string | number)[] {
  return [lifted, lowestScoreOfLow];
}

/** A class of which nothing was kept waiting is not asked for again so soon, in ms: most lanes have but one. */
const restMs = 1_000;

export interface Turns {
  /** To be called for each job that begins; the next one that is fetched is then of the class whose turn it is. */
  began(): void;
}

/** `lift` → whether there was somebody to lift. Its failures are a turn lost, and nothing else. `now` in ms, monotonic. */
export function createTurns(lift: (lifted: LiftedClass) => Promise<boolean>, now: () => number): Turns {
  let count = 0;
  const restsUntil: Record<LiftedClass, number> = { normal: -Infinity, low: -Infinity };
  const turn = async (lifted: LiftedClass): Promise<void> => {
    try {
      if (!(await lift(lifted))) restsUntil[lifted] = now() + restMs;
    } catch {
      // Redis is away, or refuses: whoever fetches the next job says so.
    }
  };
  return {
    began() {
      count = (count + 1) % 10;
      const lifted = count === 4 ? 'normal' : count === 9 ? 'low' : null;
      if (lifted === null || now() < restsUntil[lifted]) return;
      void turn(lifted);
    },
  };
}
