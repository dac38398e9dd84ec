/**
 * Waits until replicas have what was written (WAIT). One round at a time serves all calls that are waiting for it, so that
 * many at once cost little more than one.
 *
 * A round writes a word and waits for that: whatever was written before is replicated before. It looks for the messages in the
 * same round, as the master that had taken them may have been replaced meanwhile by one that never heard of them.
 */
import { PostlaneError } from '../../errors.ts';
import type { RedisClient } from './connection.ts';
import type { HomeKeys } from './keys.ts';

interface Round {
  readonly ids: string[];
  readonly replies: Promise<readonly [Error | null, unknown][]>;
}

/** `keys` are those of the shard that the intake is in. Rejects with `redis-unacknowledged` if there are too few in time. */
export function createAcknowledger(
  redis: RedisClient,
  keys: HomeKeys,
  { replicas, timeoutMs }: { readonly replicas: number; readonly timeoutMs: number },
): (id: string) => Promise<void> {
  let running: Promise<unknown> = Promise.resolve();
  let next: Round | null = null;

  const ask = async (ids: readonly string[]): Promise<readonly [Error | null, unknown][]> => {
    const pipeline = redis.pipeline();
    for (const id of ids) pipeline.exists(keys.ledger(id), keys.intakeJob(id), keys.location(id));
    return (await pipeline.set(keys.acknowledged, '1').wait(replicas, timeoutMs).exec()) ?? [];
  };

  return async (id) => {
    if (next === null) {
      const ids: string[] = [];
      const replies = running.then(() => {
        next = null;
        return ask(ids);
      });
      next = { ids, replies };
      running = replies.catch(() => undefined);
    }
    const { ids, replies } = next;
    const at = ids.push(id) - 1;
    const all = await replies;
    const [error] = all.flatMap(([each]) => each ?? []);
    if (error !== undefined) throw error;
    const reached = Number(all.at(-1)?.[1] ?? 0);
    if (Number(all[at]?.[1] ?? 0) === 0)
      throw unacknowledged('the master that took it was replaced before it was replicated', id);
    if (reached < replicas) throw unacknowledged(`${reached} of ${replicas} replicas have confirmed it`, id);
  };
}

function unacknowledged(why: string, id: string): PostlaneError {
  return new PostlaneError('redis-unacknowledged', `The message may not be safe: ${why}`, { id });
}
