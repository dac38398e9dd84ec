/** How a job leaves the active ones of its lane: it ends with its result, it ends without one, or it goes back. */
import { asError } from '../../errors.ts';
import { followsFrom, type JobSteps } from '../bullmq/taken-job.ts';
import type { SettleInput } from '../ledger/ledger.ts';
import type { RunScript } from '../lua/script.ts';
import { endScript, finishScript } from './take-scripts.ts';

/** What is committed in the step that ends a job, and what follows once it is known whether that step has run. */
export interface Completion {
  readonly addOn: SettleInput;
  /** Called with the answer of the result after it is written, with the end of the job. 'no-row': nothing is written yet. */
  readonly committed: (answer: unknown) => Promise<void>;
  /** Called if Redis refused the step. → whether the job may end without it. */
  readonly detached: () => Promise<boolean>;
}

export interface EndingTools {
  readonly run: RunScript;
  readonly keys: Readonly<Record<'active' | 'stalled' | 'wait' | 'prioritized', string>>;
  readonly prefix: string;
  readonly steps: Pick<JobSteps, 'handBack' | 'fail'>;
}

export function createEndings({ run, keys, prefix, steps }: EndingTools) {
  const { active, stalled } = keys;

  const end = async (jobId: string, token: string): Promise<void> => {
    await run(endScript, { keys: { active, stalled, job: prefix + jobId }, args: { jobId, lockToken: token } });
  };

  /**
   * The result and the end of the job are one step. If that is refused, the result is written first, however long it takes. → whether
   * others may wait, if `look` asks for that.
   */
  const finish = async (jobId: string, token: string, completion: Completion, look: boolean): Promise<boolean> => {
    const { addOn } = completion;
    let answer: unknown;
    let others = 0;
    try {
      const lane = { active, stalled, wait: keys.wait, prioritized: keys.prioritized, job: prefix + jobId };
      const args = { ...addOn.args, jobId, lockToken: token, look: look ? 1 : 0 };
      const reply = (await run(finishScript, { ...addOn, keys: { ...addOn.keys, ...lane }, args })) as unknown[];
      answer = reply[0];
      others = Number(reply[2]);
    } catch {
      // The job has not failed. Without its result it must not end: it is left to be found abandoned, and its row says what is known.
      if (await completion.detached()) await end(jobId, token);
      return true;
    }
    await completion.committed(answer);
    if (answer !== 'no-row') return others > 0;
    await end(jobId, token);
    return true;
  };

  /** After anything but success the lane may wait, and the job may come again at once. */
  const giveBack = async (jobId: string, token: string, thrown: unknown): Promise<void> => {
    const follows = followsFrom(thrown);
    if (follows === 'hand-back') await steps.handBack(jobId, token);
    else if (follows === 'fail') await steps.fail(jobId, token, asError(thrown).message);
  };

  return { end, finish, giveBack };
}
