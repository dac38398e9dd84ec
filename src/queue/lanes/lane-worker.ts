/**
 * One lane as a process serves it: takes a job under a lock, runs what processes it, and moves it where its result says.
 * It has no loop and no connection of its own; the scheduler says when to take.
 */
import { withData, type ReadField } from '../bullmq/apart-data.ts';
import type { Locks } from '../bullmq/locks.ts';
import type { Turns } from '../bullmq/priority-fairness.ts';
import type { JobBounds } from '../bullmq/soundness.ts';
import { heldJob, takenJob, type JobSteps, type TakenJob } from '../bullmq/taken-job.ts';
export type { TakenJob } from '../bullmq/taken-job.ts';
import type { RunScript } from '../lua/script.ts';
import { jobName } from '../redis/keys.ts';
import { createEndings, type Completion } from './endings.ts';
import { laterTurn, takeScript } from './take-scripts.ts';
export type { Completion } from './endings.ts';

/** → what is to be committed with the end of the job; null if nothing is. Throws BullMQ's errors for a job that does not end. */
export type LaneProcessor = (job: TakenJob, token: string, signal: AbortSignal) => Promise<Completion | null>;

/** What a take came to. */
export interface Taken {
  /** Undefined: the lane has nothing to take now. */
  readonly job: TakenJob | undefined;
  readonly token: string;
  /** Until the lane is due again, in ms; -1 if it has nothing. Of the first job of a burst, or where there is none. */
  readonly dueInMs: number;
}

type TakeKeys = Readonly<
  Record<'ready' | 'wait' | 'prioritized' | 'delayed' | 'active' | 'meta' | 'limiter' | 'pc' | 'stalled', string>
>;

export interface LaneWorkerTools {
  readonly connectorId: string;
  readonly run: RunScript;
  readonly readField: ReadField;
  readonly keys: TakeKeys;
  /** Of the lane's jobs, and the channel on which idle processes hear of it. */
  readonly prefix: string;
  readonly channel: string;
  readonly lockMs: number;
  readonly bounds: () => JobBounds;
  readonly steps: JobSteps;
  readonly locks: Locks;
  readonly turns: Turns;
  readonly process: LaneProcessor;
}

/** A job that is in no lane yet. */
export interface Entering {
  readonly id: string;
  /** When it was accepted, in ms since the epoch. */
  readonly timestamp: number;
  readonly token: string;
  readonly process: (job: TakenJob, signal: AbortSignal, entered: () => void) => Promise<Completion | null>;
}

export interface LaneWorker {
  readonly lockMs: number;
  /** Takes the lane's next job. `first`: of a burst; then `announce` tells other processes that there are more. */
  take(token: string, how: { readonly first: boolean; readonly announce: boolean }): Promise<Taken>;
  /**
   * Runs the processor and moves the job where its result says. → what was taken next under the token that `more` gives, in the step
   * that ends this one; null if it gives none, or the job did not end.
   */
  runJob(job: TakenJob, token: string, more: () => string | null): Promise<Taken | null>;
  /**
   * Runs a job that enters the lane by what processes it: the lock is held from when `entered` is called. Moves it where the result says.
   * → whether others wait in the lane now, false if it did not enter; null if it did not end.
   */
  runDirect(entering: Entering): Promise<boolean | null>;
  /** Puts jobs back whose worker has died. */
  recoverStalled(): Promise<void>;
  /** Aborts what runs. */
  cancelAllJobs(reason: string): void;
}

export function createLaneWorker(tools: LaneWorkerTools): LaneWorker {
  const { run, keys, prefix, steps, locks, turns } = tools;
  const { stalled } = keys;
  const running = new Set<AbortController>();

  const take: LaneWorker['take'] = async (token, { first, announce }) => {
    const { maxDataBytes, maxStalls } = tools.bounds();
    const ask = async () =>
      (await run(takeScript, {
        keys,
        args: {
          connector: tools.connectorId,
          channel: announce ? tools.channel : '',
          mode: first ? 'first' : 'next',
          prefix,
          token,
          lockMs: tools.lockMs,
          at: Date.now(),
          jobName,
          maxDataBytes,
          maxStalls,
        },
      })) as [number, ...(string | null)[]];
    let found = await ask();
    // Each turn gives at least one.
    while (found[0] === laterTurn) found = await ask();
    const [dueInMs] = found;
    if (found.length === 1) return { token, dueInMs, job: undefined };
    const values = found.slice(1) as (string | null)[];
    const whole = await withData(tools.readField, prefix + values[0], values, maxDataBytes);
    return { token, dueInMs, job: whole === null ? undefined : takenJob(whole, steps) };
  };

  const { end, finish, giveBack } = createEndings({ run, keys, prefix, steps });

  return {
    lockMs: tools.lockMs,
    take,

    async runJob(job, token, more) {
      const { id } = job;
      // On its way before the step that ends this job and takes the next, or any other take.
      turns.began();
      const controller = new AbortController();
      running.add(controller);
      const release = locks.hold({
        job: prefix + id,
        jobId: id,
        stalled,
        token,
        lost: () => controller.abort('lock lost'),
      });
      try {
        let completion: Completion | null;
        try {
          completion = await tools.process(job, token, controller.signal);
        } catch (thrown) {
          // If Redis refuses, it is found abandoned.
          await giveBack(id, token, thrown).catch(() => undefined);
          return null;
        }
        const next = more();
        const ended =
          completion === null ? end(id, token).catch(() => undefined) : finish(id, token, completion, false);
        // Asked for in the same turn: behind the end of this one, in the same script.
        const taken = next === null ? null : take(next, { first: false, announce: false });
        const [done, found] = await Promise.allSettled([ended, taken]);
        if (found.status === 'rejected') throw found.reason;
        if (done.status === 'rejected' && found.value?.job === undefined) throw done.reason;
        return found.value;
      } finally {
        release();
        running.delete(controller);
      }
    },

    async runDirect({ id, timestamp, token, process }) {
      const controller = new AbortController();
      running.add(controller);
      let release: (() => void) | null = null;
      const entered = (): void => {
        const lock = { job: prefix + id, jobId: id, stalled, token };
        release ??= locks.hold({ ...lock, lost: () => controller.abort('lock lost') });
      };
      try {
        let completion: Completion | null;
        try {
          completion = await process(heldJob(id, timestamp, steps), controller.signal, entered);
        } catch (thrown) {
          if (release === null) return false;
          await giveBack(id, token, thrown).catch(() => undefined);
          return null;
        }
        if (release === null) return false;
        if (completion !== null) return await finish(id, token, completion, true);
        await end(id, token).catch(() => undefined);
        return true;
      } finally {
        (release as (() => void) | null)?.();
        running.delete(controller);
      }
    },

    recoverStalled: () => steps.recoverStalled(),

    cancelAllJobs(reason) {
      for (const controller of running) controller.abort(reason);
    },
  };
}
