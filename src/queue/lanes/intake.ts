/**
 * The intake as a process serves it: takes several jobs in one script, runs what routes them, and ends those that were routed otherwise
 * than by moving them. It waits for work by BullMQ's own marker, on a connection of its own.
 *
 *   waits for the marker ──▶ takes a batch ──▶ routes each ──▶ takes the next batch while there is room …
 *        ▲                        └─ nothing there, or paused ─┐
 *        └──────────────── the next one's time, or 5 s ────────┘
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { asError } from '../../errors.ts';
import { createWakeup } from '../../async/wakeup.ts';
import { textOfCarrier } from '../../tracing/context.ts';
import { withData, type ReadField } from '../bullmq/apart-data.ts';
import type { Locks } from '../bullmq/locks.ts';
import type { JobBounds } from '../bullmq/soundness.ts';
import { takenJob, type JobSteps, type TakenJob } from '../bullmq/taken-job.ts';
import { maxOfKind, maxTurnBytes } from '../lua/exchange.ts';
import type { RunScript } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import { idOfIntakeJob } from '../redis/job-ids.ts';
import { jobName } from '../redis/keys.ts';
import type { IntakePace } from './intake-pace.ts';
import { fetchScript, leaveScript } from './intake-scripts.ts';

/** A job of the intake. `plain`: nothing but its hash and its place in the queue belongs to it, so it can be moved as it is. */
export interface IntakeJob extends TakenJob {
  readonly plain: boolean;
  /** The context in which it was sent (src/tracing/context.ts), '' if none is known. */
  readonly trace: string;
}

/** Routes a job. → `end` if it is still in the intake and is to be removed; `left` if it is not there, or stays. */
export type IntakeProcessor = (job: IntakeJob, token: string) => Promise<'end' | 'left'>;

type IntakeKeys = Readonly<
  Record<'wait' | 'prioritized' | 'delayed' | 'active' | 'meta' | 'limiter' | 'pc' | 'marker' | 'stalled', string>
>;

export interface IntakeTools {
  readonly run: RunScript;
  readonly readField: ReadField;
  readonly keys: IntakeKeys;
  /** Of its jobs. */
  readonly prefix: string;
  readonly lockMs: number;
  readonly stalledMs: number;
  readonly bounds: () => JobBounds;
  readonly steps: JobSteps;
  readonly locks: Locks;
  /** Tokens begin with it; it differs between processes, also those that come one after the other. */
  readonly tokenStart: string;
  /** A connection that may block. It is the intake's to close. */
  readonly blocking: () => RedisClient;
  /** Of a message that was not routed. */
  readonly rowKey: (id: string) => string;
  readonly process: IntakeProcessor;
  readonly pace: IntakePace;
  readonly failed: (error: Error) => void;
}

export interface Intake {
  start(): void;
  /** Looks again whether there is room. */
  readonly wake: () => void;
  /** Takes nothing more until it is resumed. What was taken is routed. */
  pause(): void;
  resume(): void;
  /** Takes nothing more; resolves when all that was taken is routed. */
  close(): Promise<void>;
}

/** Jobs that one process has in hand at once: some batches, so that one is fetched while others are routed. */
const atOnce = 4 * maxOfKind;
/** How long the marker is waited for, in ms: BullMQ's `drainDelay`. */
const longestWaitMs = 5_000;
/** Redis rounds a shorter wait down to none, which would be one without end (bullmq#2054). */
const shortestWaitMs = 10;
/** How long the intake waits after Redis has refused, in ms. */
const breathMs = 1_000;

export function createIntake(tools: IntakeTools): Intake {
  const { run, keys, prefix, steps, locks, pace, failed } = tools;
  const inHand = new Set<Promise<void>>();
  const wakeup = createWakeup();
  const closing = new AbortController();
  let paused = false;
  let fetches = 0;
  let blocking: RedisClient | null = null;
  let loop: Promise<void> = Promise.resolve();
  let stalledTimer: NodeJS.Timeout | undefined;

  /** A job as it was fetched. */
  const handle = async (found: readonly (string | null)[], token: string): Promise<void> => {
    const jobId = found[0] ?? '';
    const key = prefix + jobId;
    // Should it be lost, the step that moves or ends the job finds out.
    const release = locks.hold({ job: key, jobId, stalled: keys.stalled, token, lost: () => undefined });
    try {
      const values = await withData(tools.readField, key, found, tools.bounds().maxDataBytes);
      if (values === null) return;
      const job = intakeJob(values, steps);
      if ((await tools.process(job, token)) === 'left') return;
      if (!job.plain) await steps.complete(job.id, token);
      else {
        const rowKey = tools.rowKey(idOfIntakeJob(job.id, job.timestamp));
        const left = await run(leaveScript, {
          keys: { active: keys.active, stalled: keys.stalled, job: key, rowKey },
          args: { jobId: job.id, lockToken: token },
        });
        if (left === 'again') await steps.handBack(job.id, token);
      }
    } catch (thrown) {
      // It is found abandoned, and routed again.
      failed(asError(thrown));
    } finally {
      release();
    }
  };

  const fetch = async (count: number): Promise<number> => {
    const token = `${tools.tokenStart}:i${(fetches += 1)}`;
    const { maxDataBytes, maxStalls } = tools.bounds();
    const { lockMs } = tools;
    const args = { prefix, token, lockMs, at: Date.now(), count, maxBytes: maxTurnBytes };
    const [dueInMs, ...found] = (await run(fetchScript, {
      keys,
      args: { ...args, jobName, maxDataBytes, maxStalls },
    })) as [number, ...(string | null)[]];
    let suspect = false;
    for (let i = 0; i + fetchedFields <= found.length; i += fetchedFields) {
      const fields = found.slice(i, i + fetchedFields);
      const handled = handle(fields, token).finally(() => {
        inHand.delete(handled);
        wakeup.signal();
      });
      inHand.add(handled);
      suspect ||= Number(fields[stallsAt]) > 0;
    }
    pace.fetched(found.length >= count * fetchedFields);
    // A worker may have died of it: nothing more is taken that would be lost with it.
    if (suspect) await Promise.all(inHand);
    return found.length === 0 ? dueInMs : 0;
  };

  const wait = async (dueInMs: number): Promise<void> => {
    if (closing.signal.aborted) return;
    const ms = Math.min(longestWaitMs, Math.max(shortestWaitMs, dueInMs < 0 ? longestWaitMs : dueInMs));
    await (blocking ??= tools.blocking()).bzpopmin(keys.marker, ms / 1_000);
  };

  const turn = async (): Promise<void> => {
    if (paused || inHand.size > atOnce - maxOfKind) return wakeup.wait(longestWaitMs);
    const room = pace.room(inHand.size);
    if (room <= 0) return wakeup.wait(pace.waitMs);
    const dueInMs = await fetch(Math.min(maxOfKind, room));
    if (dueInMs === 0) return;
    pace.emptied();
    await wait(dueInMs);
  };

  const recoverStalled = (): void => {
    if (!paused) steps.recoverStalled().catch((thrown: unknown) => failed(asError(thrown)));
  };

  return {
    start() {
      recoverStalled();
      stalledTimer = setInterval(recoverStalled, tools.stalledMs).unref();
      loop = (async () => {
        while (!closing.signal.aborted) {
          try {
            await turn();
          } catch (thrown) {
            if (closing.signal.aborted) break;
            failed(asError(thrown));
            await sleep(breathMs, undefined, { signal: closing.signal }).catch(() => undefined);
          }
        }
      })();
    },
    wake: () => wakeup.signal(),
    pause() {
      paused = true;
    },
    resume() {
      paused = false;
      wakeup.signal();
    },
    async close() {
      closing.abort();
      clearInterval(stalledTimer);
      wakeup.signal();
      blocking?.disconnect();
      await loop;
      await Promise.all(inHand);
    },
  };
}

function intakeJob(values: string[], steps: JobSteps): IntakeJob {
  // In the place of what a router says, which has not seen it yet.
  const carrier = values[traceAt] ?? '';
  values[traceAt] = '';
  const trace = carrier === '' ? '' : textOfCarrier(carrier);
  return { ...takenJob(values, steps), plain: Number(values[fetchedFields - 1]) === 1, trace };
}

/** Values of each job in the answer of `fetchScript`. */
const fetchedFields = 8;
const stallsAt = 4;
const traceAt = 6;
