/**
 * BullMQ's scripts on a Redis that has reached `maxmemory`: those that serve accepted messages run all the same, as ours do
 * (`allowOom` in lua/script.ts). Otherwise a full Redis could not be emptied: BullMQ takes, ends and hands back a job by writes.
 *
 * BullMQ defines its scripts on a connection that it is given; `test/queue/bullmq/full-redis.test.ts` holds it.
 */
import { allowOom } from '../lua/script.ts';
import { isCluster, type RedisClient } from '../redis/connection.ts';

/** Scripts that add a job. In a Cluster the lane may be on another master than the intake, and only fill that one. */
const adding = ['addStandardJob', 'addPrioritizedJob', 'addDelayedJob'];

/** Scripts that take, end, hand back or remove a job, or hold its lock. */
export const serving: readonly string[] = [
  'extendLock',
  'extendLocks',
  'moveJobFromActiveToWait',
  'moveJobsToWait',
  'moveStalledJobsToWait',
  'moveToActive',
  'moveToDelayed',
  'moveToFinished',
  'pause',
  'promote',
  'releaseLock',
  'removeJob',
  'reprocessJob',
  'retryJob',
];

/** For workers and operators, before BullMQ gets the connection. A producer's is left alone: what it adds is new. */
export function serveWhenFull(redis: RedisClient): void {
  const flagged = new Set(isCluster(redis) ? serving : [...serving, ...adding]);
  const define = redis.defineCommand.bind(redis);
  redis.defineCommand = (name, definition) => {
    const lua = flagged.has(name.split(':')[0]!) ? allowOom(definition.lua) : definition.lua;
    define(name, { ...definition, lua });
  };
}
