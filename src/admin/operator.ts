/** What an operator does to the queue from outside a worker: looks at lanes, pauses them, replays and drops dead letters. */
import { PostlaneError } from '../errors.ts';
import { connectFailFast, whenReady } from '../queue/redis/connection.ts';
import { refsOf } from '../queue/ledger/content.ts';
import type { DeadLetter, DeadLetters } from '../queue/ledger/dead-letters.ts';
import { diagnose } from './doctor/diagnose.ts';
import { readFleet, type FleetQuestion, type FleetSnapshot } from './fleet.ts';
import { wireOf } from './letter-wire.ts';
import { seenOf, type Seen } from './messages.ts';
import { resolveHeld } from './resolve.ts';
import type { DiagnoseOptions, Finding } from './doctor/findings.ts';
import { decodeIntake, jobIdOf } from '../queue/jobs.ts';
import { defaultIndex, type IndexSettings } from '../queue/journal/index-entries.ts';
import type { Lanes } from '../queue/lanes/lanes.ts';
import { jobName } from '../queue/redis/keys.ts';
import { openQueues } from '../queue/open.ts';
import type { Quota } from '../queue/lanes/quota.ts';
import { defaultReservePercent, type RoomAnswer } from '../queue/room.ts';
import type { TokenRate } from '../queue/callers.ts';
import type { RedisSettings } from '../queue/redis/settings.ts';
import type { MessageLimits } from '../message/message.ts';

export interface OperatorOptions {
  readonly redis: RedisSettings & {
    readonly prefix: string;
    readonly shards?: number;
    readonly reservePercent?: number;
  };
  /** Every command answers within this time, in ms. */
  readonly timeoutMs: number;
  readonly limits: MessageLimits;
  /** As the workers have it. Default: that of a configuration without it. */
  readonly index?: IndexSettings;
}

/**
 * `already`: an earlier replay had put it back, only the dead letter was left. `held`: it is for `resolve`, and stays. `unreadable`: its
 * content is no JSON, is nested too deep, or only a part of it was kept; it stays.
 */
type Replayed = 'replayed' | 'already' | 'held' | 'unreadable' | 'not-found';

export interface Operator extends Seen {
  readonly lanes: Lanes;
  readonly deadLetters: DeadLetters;
  readonly quota: Pick<Quota, 'used'>;
  /** Counts requests of a token of the HTTP API. */
  readonly tokenRate: TokenRate;
  /** Everything at once, for metrics. */
  fleet(question: FleetQuestion): Promise<FleetSnapshot>;
  /** Whether Redis is there. */
  connected(): boolean;
  /** How much room there is for new messages, with this reserve. */
  room(): Promise<RoomAnswer>;
  readonly reservePercent: number;
  /** Jobs in the intake. */
  intakeCounts(): Promise<{ readonly waiting: number; readonly delayed: number; readonly active: number }>;
  /**
   * Puts a dead letter back into the intake under its id: same Message-ID, same Date, only its dead recipients. Replaying
   * twice is replaying once. `via` names the connector to use instead of the From's; `lifetimeMs` is its new lifetime.
   */
  replay(id: string, how: { via: string | null; now: number; lifetimeMs: number }): Promise<Replayed>;
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
  /** What disagrees between ledger, queues, dead letters and contents, as it is found; repairs it if asked to. */
  diagnose(options: DiagnoseOptions): AsyncGenerator<Finding>;
  close(): void;
}

/** Connects; throws `redis-unavailable` if Redis is away. */
export async function openOperator({
  redis: at,
  timeoutMs,
  limits,
  index = defaultIndex,
}: OperatorOptions): Promise<Operator> {
  const redis = connectFailFast(at, timeoutMs, 'postlane-cli');
  redis.on('error', () => undefined);
  try {
    await whenReady(redis, timeoutMs);
  } catch (error) {
    redis.disconnect();
    throw error;
  }
  const { reservePercent = defaultReservePercent } = at;
  const open = openQueues(redis, { ...at, failFast: true, limits: () => limits, searched: () => index });
  if ((await open.form.read()).kind === 'waits') {
    redis.disconnect();
    throw new PostlaneError('format-newer', 'what is stored was written by a newer release of Postlane');
  }
  const { intake, ledger, deadLetters, contents, lanes } = open;
  const releaseContents = async ({ id, acceptedAt, data, form }: DeadLetter): Promise<void> => {
    // What was kept unread stays unread: maintenance frees contents that nothing needs.
    if (form !== 'json') return;
    const decoded = decodeIntake(id, acceptedAt, data, limits);
    if (decoded.ok) await contents.release(id, refsOf(decoded.job.message));
  };
  /**
   * What another program has left under the key of a job that is gone: BullMQ would take it for the job, add nothing and say
   * nothing, and the message would be in no queue.
   */
  const clearRemains = async (id: string): Promise<void> => {
    const key = open.keys.intakeJob(id);
    if ((await redis.exists(key)) > 0 && (await intake.getJobState(jobIdOf(id))) === 'unknown') await redis.del(key);
  };
  const enqueue = ({ id, acceptedAt: timestamp }: DeadLetter, data: unknown): Promise<unknown> =>
    intake.add(jobName, data, { jobId: jobIdOf(id), timestamp, removeOnComplete: true });
  const intakeCounts = async (): Promise<NonNullable<FleetSnapshot['intake']>> => {
    const counts = await intake.getJobCounts('wait', 'prioritized', 'delayed', 'active');
    const waiting = (counts['wait'] ?? 0) + (counts['prioritized'] ?? 0);
    return { waiting, delayed: counts['delayed'] ?? 0, active: counts['active'] ?? 0 };
  };
  return {
    lanes,
    deadLetters,
    quota: open.quota,
    tokenRate: open.tokenRate,
    ...seenOf(open),
    reservePercent,
    room: () => open.room(reservePercent),

    intakeCounts,
    fleet: (question) => readFleet(open, intakeCounts, question),
    connected: () => redis.status === 'ready',

    async replay(id, { via, now, lifetimeMs }) {
      const letter = await deadLetters.get(id);
      if (letter === null) return 'not-found';
      const data = wireOf(letter, limits);
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
    },

    resolve: (id, as, how) => resolveHeld(id, as, how, { ledger, deadLetters, limits, enqueue, releaseContents }),

    async drop(id) {
      const letter = await deadLetters.get(id);
      if (letter === null) return false;
      // In this order: a letter that another has replaced meanwhile still needs the contents.
      const dropped = await deadLetters.drop(id, letter);
      if (dropped) await releaseContents(letter);
      return dropped;
    },

    diagnose: (options) => diagnose({ redis, limits, ...open }, options),

    close: () => redis.disconnect(),
  };
}
