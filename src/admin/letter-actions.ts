/** What an operator does to one dead letter or held message: replays it, drops it, or says what became of it. */
import { randomUUID } from 'node:crypto';
import { sleep } from '../async/timeout.ts';
import type { MessageLimits } from '../message/message.ts';
import { decodeIntake, jobIdOf } from '../queue/jobs.ts';
import { refsOf } from '../queue/ledger/content.ts';
import type { DeadLetter, DeadLetters } from '../queue/ledger/dead-letters.ts';
import type { OpenQueues } from '../queue/open.ts';
import { write } from '../queue/lua/script.ts';
import type { RedisClient } from '../queue/redis/connection.ts';
import { jobName } from '../queue/redis/keys.ts';
import { lifetimeOf, resolution, type AdminConfig } from './admin-config.ts';
import type { LetterResult, Operation } from './operations.ts';
import { wireOf } from './letter-wire.ts';
import { resolveHeld } from './resolve.ts';

/**
 * `already`: an earlier replay had put it back, only the dead letter was left. `held`: it is for `resolve`, and stays. `unreadable`: its
 * content is no JSON, is nested too deep, only a part of it was kept, or it is sealed as a whole and its key is not here; it stays. `changed`: it died again since, and stays.
 */
export type Replayed = 'replayed' | 'already' | 'held' | 'unreadable' | 'changed' | 'not-found';

interface ReplayHow {
  /** The connector to use instead of the From's. */
  readonly via: string | null;
  readonly now: number;
  /** Its new lifetime. */
  readonly lifetimeMs: number;
  /** A letter that died later is not the one that is meant, ms since the epoch. */
  readonly diedUntil?: number;
}

export interface LetterActions {
  /**
   * Puts a dead letter back into the intake under its id: same Message-ID, same Date, only its dead recipients. Replaying
   * twice is replaying once. `via` names the connector to use instead of the From's; `lifetimeMs` is its new lifetime.
   */
  replay(id: string, how: ReplayHow): Promise<Replayed>;
  /**
   * Settles a held message, whose last attempt has no known result: `sent` says that it arrived, `retry` sends it again to
   * whom it is not known to have reached, `drop` gives it up. → false if it is not held.
   */
  resolve(
    id: string,
    as: 'sent' | 'retry' | 'drop',
    how: { now: number; lifetimeMs: number; retentionMs: number },
  ): Promise<boolean>;
  /** Forgets a dead letter and frees its contents. true if it was there. */
  drop(id: string): Promise<boolean>;
}

/** A step of it may wait for Redis; after this time another operator may decide, in ms. */
const resolvingMs = 30_000;
/** A replay or a drop takes some milliseconds; what a crash leaves holds the next one up for so long, in ms. */
const actingMs = 5_000;
const lookAgainMs = 20;

export function letterActions(
  redis: RedisClient,
  { intake, ledger, deadLetters, contents, keys, sealing }: OpenQueues,
  limits: MessageLimits,
): LetterActions {
  const releaseContents = async (letter: DeadLetter): Promise<void> => {
    // What was kept unread stays unread: maintenance frees contents that nothing needs.
    if (letter.form !== 'json') return;
    const decoded = decodeIntake(letter.id, letter.acceptedAt, letter.data, limits, sealing(), letter.wasSealed);
    if (decoded.ok) await contents.release(letter.id, refsOf(decoded.job.message));
  };
  /**
   * What another program has left under the key of a job that is gone: BullMQ would take it for the job, add nothing and say
   * nothing, and the message would be in no queue.
   */
  const clearRemains = async (id: string): Promise<void> => {
    const key = keys.intakeJob(id);
    if ((await redis.exists(key)) > 0 && (await intake.getJobState(jobIdOf(id))) === 'unknown') await redis.del(key);
  };
  const enqueue = ({ id, acceptedAt: timestamp }: DeadLetter, data: unknown): Promise<unknown> =>
    intake.add(jobName, data, { jobId: jobIdOf(id), timestamp, removeOnComplete: true });
  /**
   * Of two operators one acts at a time: a drop between the steps of a replay would free the contents that the replayed message needs,
   * and tell its operator that nothing is sent. `waitMs`: how long to wait for the other; → null if that was not enough.
   */
  const never = new AbortController().signal;
  const alone = async <T>(id: string, forMs: number, waitMs: number, work: () => Promise<T>): Promise<T | null> => {
    const [key, token] = [keys.resolving(id), randomUUID()];
    const ends = performance.now() + waitMs;
    while ((await write(redis, 'SET', key, token, 'PX', forMs, 'NX')) === null) {
      if (performance.now() >= ends) return null;
      await sleep(lookAgainMs, never);
    }
    try {
      return await work();
    } finally {
      if ((await redis.get(key).catch(() => null)) === token) await redis.del(key).catch(() => 0);
    }
  };
  const replayAlone = async (id: string, { via, now, lifetimeMs, diedUntil }: ReplayHow): Promise<Replayed> => {
    const letter = await deadLetters.get(id);
    if (letter === null) return 'not-found';
    if (diedUntil !== undefined && letter.at > diedUntil) return 'changed';
    const data = wireOf(letter, limits, sealing());
    if (data === null) return 'unreadable';
    const entry = { at: now, event: 'replayed', ...(via === null ? {} : { detail: `via ${via}` }) };
    const deadline = now + lifetimeMs;
    // The row first, the job second, the dead letter last: a crash leaves the message where it was, or in both places.
    const released = await ledger.release(id, { from: ['dead', 'partial'], entry, deadline, via });
    if (released) {
      await clearRemains(id);
      await enqueue(letter, data);
    } else if ((await ledger.read(id))?.state === 'held') {
      // What is held may have arrived, so to send it again is a decision of its own; and this letter has its only copy.
      return 'held';
    }
    // By now the message may have died again, and its new letter is the only copy.
    await deadLetters.drop(id, letter);
    return released ? 'replayed' : 'already';
  };
  const dropAlone = async (id: string): Promise<boolean> => {
    const letter = await deadLetters.get(id);
    if (letter === null) return false;
    // In this order: a letter that another has replaced meanwhile still needs the contents.
    const dropped = await deadLetters.drop(id, letter);
    if (dropped) await releaseContents(letter);
    return dropped;
  };
  return {
    replay: async (id, how) => (await alone(id, actingMs, resolvingMs, () => replayAlone(id, how))) ?? 'changed',

    async resolve(id, as, how) {
      // `sent` and `retry` at once would leave a message that is neither.
      const tools = { ledger, deadLetters, limits, sealing: sealing(), enqueue, releaseContents };
      return (await alone(id, resolvingMs, 0, () => resolveHeld(id, as, how, tools))) ?? false;
    },

    drop: async (id) => (await alone(id, actingMs, resolvingMs, () => dropAlone(id))) ?? false,
  };
}

/** One letter of an operation. */
export async function actOn(
  { kind, via, until }: Operation,
  id: string,
  letters: LetterActions & Pick<DeadLetters, 'summary'>,
  config: AdminConfig,
): Promise<LetterResult> {
  const now = Date.now();
  const letter = await letters.summary(id);
  if (letter === null) return 'gone';
  if (letter.at > until) return 'changed';
  if (kind === 'drop') {
    const dropped = (await letters.resolve(id, 'drop', resolution(config, null, now))) || (await letters.drop(id));
    return dropped ? 'dropped' : 'gone';
  }
  const lifetimeMs = lifetimeOf(config, via ?? letter.connector);
  const result = await letters.replay(id, { via, now, lifetimeMs, diedUntil: until });
  return result === 'not-found' ? 'gone' : result;
}
