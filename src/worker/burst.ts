/** A burst: a slot takes several jobs from one lane before it looks at the others. */
import type { LaneWorker } from '../queue/bullmq/shared-queues.ts';

type Job = Parameters<LaneWorker['runJob']>[0];

/**
 * How many jobs a slot takes from one lane, and for how long. A burst saves the claim and two round trips a job; its price is that
 * other lanes wait for the slot, so it is short while they do.
 */
export const burstLimits = { alone: 64, amongOthers: 8, longestMs: 250 };

/**
 * Runs jobs of a lane one after the other, under one token. `mayTakeMore(count, endsAt)` is asked as each job ends, with the number
 * of jobs so far and the time, in ms, at which the burst should end. → whether the burst ended because the lane had no more.
 */
export async function runBurst(
  lane: LaneWorker,
  first: Job,
  token: string,
  mayTakeMore: (count: number, endsAt: number) => boolean,
): Promise<boolean> {
  const endsAt = Date.now() + burstLimits.longestMs;
  let count = 0;
  let asked = false;
  const more = (): boolean => {
    count += 1;
    asked = mayTakeMore(count, endsAt);
    return asked;
  };
  for (let job: Job | undefined = first; job !== undefined;) {
    asked = false;
    job = await lane.runJob(job, token, more);
  }
  return asked;
}
