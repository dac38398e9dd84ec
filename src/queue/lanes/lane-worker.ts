/**
 * One lane as a process serves it: takes a job under a lock, runs what processes it, and moves it where its result says.
 * It has no loop and no connection of its own; the scheduler says when to take.
 */
import { asError } from '../../errors.ts';
import type { Locks } from '../bullmq/locks.ts';
import type { Turns } from '../bullmq/priority-fairness.ts';
import type { JobBounds } from '../bullmq/soundness.ts';
import { followsFrom, takenJob, type JobSteps, type TakenJob } from '../bullmq/taken-job.ts';
export type { TakenJob } from '../bullmq/taken-job.ts';
import type { SettleInput } from '../ledger/ledger.ts';
import type { RunScript } from '../lua/script.ts';
import { jobName } from '../redis/keys.ts';
import { endScript, finishScript, laterTurn, takeScript } from './take-scripts.ts';

/** What is committed in the step that ends a job, and what follows once it is known whether that step has run. */
export interface Completion {
  readonly addOn: SettleInput;
  /** Called with the answer of the result after it is written, with the end of the job. 'no-row': nothing is written yet. */
  readonly committed: (answer: unknown) => Promise<void>;
  /** Called if Redis refused the step. → whether the job may end without it. */
  readonly detached: () => Promise<boolean>;
}

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

export interface LaneWorker {
  /** Takes the lane's next job. `first`: of a burst; then `announce` tells other processes that there are more. */
  take(token: string, how: { readonly first: boolean; readonly announce: boolean }): Promise<Taken>;
  /**
   * Runs the processor and moves the job where its result says. → what was taken next under the token that `more` gives, in the step
   * that ends this one; null if it gives none, or the job did not end.
   */
  runJob(job: TakenJob, token: string, more: () => string | null): Promise<Taken | null>;
  /** Puts jobs back whose worker has died. */
  recoverStalled(): Promise<void>;
  /** Aborts what runs. */
  cancelAllJobs(reason: string): void;
}

export function createLaneWorker(tools: LaneWorkerTools): LaneWorker {
  const { run, keys, prefix, steps, locks, turns } = tools;
  const { active, stalled } = keys;
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
      })) as [number, ...string[]];
    let found = await ask();
    // Each turn gives at least one.
    while (found[0] === laterTurn) found = await ask();
    const [dueInMs] = found;
    return { token, dueInMs, job: found.length === 1 ? undefined : takenJob(found.slice(1) as string[], steps) };
  };

  const end = async (jobId: string, token: string): Promise<void> => {
    await run(endScript, { keys: { active, stalled, job: prefix + jobId }, args: { jobId, lockToken: token } });
  };

  /** The result and the end of the job are one step. If that is refused, the result is written first, however long it takes. */
  const finish = async (jobId: string, token: string, completion: Completion): Promise<void> => {
    const { addOn } = completion;
    let answer: unknown;
    try {
      const input = { ...addOn, keys: { ...addOn.keys, active, stalled, job: prefix + jobId } };
      const reply = await run(finishScript, { ...input, args: { ...addOn.args, jobId, lockToken: token } });
      answer = (reply as unknown[])[0];
    } catch {
      // The job has not failed. Without its result it must not end: it is left to be found abandoned, and its row says what is known.
      if (await completion.detached()) await end(jobId, token);
      return;
    }
    await completion.committed(answer);
    if (answer === 'no-row') await end(jobId, token);
  };

  /** After anything but success the lane may wait, and the job may come again at once. */
  const giveBack = async (jobId: string, token: string, thrown: unknown): Promise<void> => {
    const follows = followsFrom(thrown);
    if (follows === 'hand-back') await steps.handBack(jobId, token);
    else if (follows === 'fail') await steps.fail(jobId, token, asError(thrown).message);
  };

  return {
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
        const ended = completion === null ? end(id, token).catch(() => undefined) : finish(id, token, completion);
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

    recoverStalled: () => steps.recoverStalled(),

    cancelAllJobs(reason) {
      for (const controller of running) controller.abort(reason);
    },
  };
}
