/** A job that a worker has taken, and what can become of it. */
import { DelayedError, RateLimitError, WaitingError } from 'bullmq';
import { jobName } from '../redis/keys.ts';
import { unsoundName, type Verdict } from './soundness.ts';

/** What becomes of a job beside its end. Each needs the token of the job's lock. */
export interface JobSteps {
  /** Back to the front of its queue, behind those that were taken before it. */
  handBack(jobId: string, token: string): Promise<void>;
  /** `at` in ms since the epoch. */
  delay(jobId: string, token: string, at: number): Promise<void>;
  /** Ends it, with all that BullMQ keeps beside it. */
  complete(jobId: string, token: string): Promise<void>;
  /** Fails for good: maintenance makes a dead letter of it. */
  fail(jobId: string, token: string, why: string): Promise<void>;
  /** Puts jobs back whose worker has died. Single-shot per interval over all processes (BullMQ's own lock). */
  recoverStalled(): Promise<void>;
}

/** A job that a worker has taken. One that is unsound says so by `verdictOf`. */
export interface TakenJob {
  readonly id: string;
  readonly name: string;
  readonly data: unknown;
  /** When it was added, in ms since the epoch. */
  readonly timestamp: number;
  /** How often it was taken, and how often it was found abandoned. */
  readonly attemptsStarted: number;
  readonly stalledCounter: number;
  moveToDelayed(at: number, token: string): Promise<void>;
  moveToWait(token: string): Promise<void>;
}

/** `found`: id, verdict, time, starts, stalls, data and routing, as Lua answers. What the router says stands beside the data. */
export function takenJob(found: readonly string[], steps: Pick<JobSteps, 'delay' | 'handBack'>): TakenJob {
  const [id = '', verdict = '', timestamp, starts, stalls, data = '', routing = ''] = found;
  const job = {
    ...heldJob(id, Number(timestamp), steps),
    attemptsStarted: Number(starts),
    stalledCounter: Number(stalls),
  };
  if (verdict !== '') return { ...job, name: unsoundName, data: verdict };
  try {
    return { ...job, name: jobName, data: routed(JSON.parse(data), routing) };
  } catch {
    return { ...job, name: unsoundName, data: 'not-json' satisfies Verdict };
  }
}

/** A job whose data its worker has already, and that it alone ever had. */
export function heldJob(id: string, timestamp: number, steps: Pick<JobSteps, 'delay' | 'handBack'>): TakenJob {
  return {
    id,
    name: jobName,
    data: null,
    timestamp,
    attemptsStarted: 1,
    stalledCounter: 0,
    moveToDelayed: (at, token) => steps.delay(id, token, at),
    moveToWait: (token) => steps.handBack(id, token),
  };
}

/** The data of a job together with what the router says of it. What is no JSON was not written by a router, and says nothing. */
export function routed(data: unknown, routing: string): unknown {
  if (routing === '' || typeof data !== 'object' || data === null) return data;
  try {
    return { ...data, ...(JSON.parse(routing) as object) };
  } catch {
    return data;
  }
}

/** What follows from the error with which a processor ended: BullMQ's say that the job has been moved, or is to go back to the front. */
export function followsFrom(thrown: unknown): 'moved' | 'hand-back' | 'fail' {
  if (thrown instanceof DelayedError || thrown instanceof WaitingError) return 'moved';
  return thrown instanceof RateLimitError ? 'hand-back' : 'fail';
}
