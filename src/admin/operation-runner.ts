/**
 * Works on operations that are not over: takes the lease of one, does a batch, writes the results, waits as its rate asks for, and so on.
 * Any number of processes may run this. One that is killed loses its lease within seconds, and another one does its last batch once more:
 * each step on a dead letter is idempotent, so no message is sent twice.
 */
import { randomUUID } from 'node:crypto';
import { eachBounded } from '../async/bounded.ts';
import { sleep } from '../async/timeout.ts';
import { asError } from '../errors.ts';
import { redisError, type RedisClient } from '../queue/redis/connection.ts';
import type { HomeKeys } from '../queue/redis/keys.ts';
import { takeLease, writeProgress } from './operation-progress.ts';
import type { LetterResult, Operation, Operations } from './operations.ts';

export interface RunnerOptions {
  readonly redis: RedisClient;
  readonly keys: HomeKeys;
  readonly operations: Operations;
  /** Does it to one letter. */
  readonly act: (operation: Operation, id: string) => Promise<LetterResult>;
  /** Hears of each letter. */
  readonly onResult?: (operation: Operation, id: string, result: LetterResult) => void;
  readonly onError?: (error: Error) => void;
  readonly signal: AbortSignal;
}

/** Between two looks for operations, in ms. */
const lookMs = 1_000;
/** A wait is looked at again so often: the rate may be changed, or the operation stopped, in ms. */
const sliceMs = 1_000;
/** Letters of one batch: what is done again after a kill. */
const mostOfBatch = 100;
/** A batch takes about so long at its rate, in ms. */
const batchMs = 500;
const atOnce = 20;
/** Operations that one process works on side by side. */
const operationsAtOnce = 4;

/** Until the signal ends it. */
export async function runOperations(options: RunnerOptions): Promise<void> {
  const { operations, signal, onError } = options;
  const working = new Set<string>();
  while (!signal.aborted) {
    try {
      for (const id of await operations.open()) {
        if (signal.aborted || working.size >= operationsAtOnce) break;
        if (working.has(id)) continue;
        working.add(id);
        void runOperation(id, options)
          .catch((thrown: unknown) => onError?.(asError(thrown)))
          .finally(() => working.delete(id));
      }
    } catch (thrown) {
      onError?.(asError(thrown));
    }
    await sleep(lookMs, signal);
  }
}

/** Works on one operation until it is over, or another process has it. → whether it is over. */
export async function runOperation(id: string, options: RunnerOptions): Promise<boolean> {
  const { redis, keys, operations, signal } = options;
  const token = randomUUID();
  if (!(await takeLease(redis, keys, id, token))) return false;
  let progress = await writeProgress(redis, keys, id, token, 0, new Map());
  while (progress.state === 'running' && !signal.aborted) {
    const operation = await operations.get(id);
    if (operation === null) return true;
    const { ratePerSecond } = progress;
    const startedAt = performance.now();
    const ids = await redis.lrange(keys.operationIds(id), 0, batchSize(ratePerSecond) - 1);
    const results = new Map<LetterResult, number>();
    await eachBounded(ids, atOnce, async (letter) => {
      const result = await actOn(operation, letter, options);
      results.set(result, (results.get(result) ?? 0) + 1);
    });
    progress = await writeProgress(redis, keys, id, token, ids.length, results);
    // From start to start, so that the work does not slow the pace. Lost time is not made up for.
    for (;;) {
      const rate = progress.ratePerSecond;
      const waitMs = rate === null ? 0 : startedAt + (ids.length / rate) * 1_000 - performance.now();
      if (waitMs <= 0 || progress.state !== 'running' || signal.aborted) break;
      await sleep(Math.min(waitMs, sliceMs), signal);
      if (waitMs > sliceMs) progress = await writeProgress(redis, keys, id, token, 0, new Map());
    }
  }
  // A process that stops leaves it to the next one at once.
  if (progress.state === 'running') await releaseLease(redis, keys.operationLease(id), token);
  return progress.state !== 'running' && progress.state !== 'lost';
}

async function releaseLease(redis: RedisClient, lease: string, token: string): Promise<void> {
  if ((await redis.get(lease)) === token) await redis.del(lease);
}

function batchSize(ratePerSecond: number | null): number {
  if (ratePerSecond === null) return mostOfBatch;
  return Math.max(1, Math.min(mostOfBatch, Math.round((ratePerSecond * batchMs) / 1_000)));
}

async function actOn(operation: Operation, id: string, { act, onResult }: RunnerOptions): Promise<LetterResult> {
  let result: LetterResult;
  try {
    result = await act(operation, id);
  } catch (thrown) {
    // While Redis is away, full or read-only nothing is known of this letter, and the operation goes on later. Any other error would come again.
    const { code, message } = redisError(thrown);
    const passes =
      code === 'redis-unavailable' || code === 'redis-full' || /READONLY|NOPERM|CLUSTERDOWN|LOADING/.test(message);
    if (passes) throw asError(thrown);
    result = 'failed';
  }
  onResult?.(operation, id, result);
  return result;
}
