/** A burst: a slot takes several jobs from one lane before it looks at the others. */
import type { LaneWorker, Taken, TakenJob } from '../queue/lanes/lane-worker.ts';

/**
 * How many jobs a slot takes from one lane, and for how long. A burst saves the claim and two round trips a job; its price is that
 * other lanes wait for the slot, so it is short while they do.
 */
export const burstLimits = { alone: 64, amongOthers: 8, longestMs: 250 };

/**
 * Runs jobs of a lane one after the other. `next` is asked as each job ends, with the number of jobs so far and the time, in ms, at
 * which the burst should end: it gives the token for another one, or null. → ms until the lane is due again, -1 if it has nothing,
 * where the burst ended because the lane had no more; null if it ended otherwise.
 */
export async function runBurst(
  lane: LaneWorker,
  first: TakenJob,
  token: string,
  next: (count: number, endsAt: number) => string | null,
): Promise<number | null> {
  const endsAt = Date.now() + burstLimits.longestMs;
  let count = 0;
  const more = (): string | null => next((count += 1), endsAt);
  let taken: Taken | null = { job: first, token, dueInMs: 0 };
  while (taken?.job !== undefined) taken = await lane.runJob(taken.job, taken.token, more);
  return taken?.dueInMs ?? null;
}
