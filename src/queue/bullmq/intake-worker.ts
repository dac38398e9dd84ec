/** The worker of the intake: BullMQ's own, which takes a breath when Redis refuses, and survives jobs that cannot be read. */
import { setTimeout as pause } from 'node:timers/promises';
import { Worker, type Job, type JobJson } from 'bullmq';
import { soundJob } from './soundness.ts';

/** How long the intake waits after Redis has refused a fetch, in ms. */
const breathMs = 1_000;

/**
 * When Redis refuses a fetch (no memory, a replica), BullMQ tries again at once, thousands of times a second, each with an error in
 * the log; this worker takes a breath. Nothing that a job contains makes a fetch fail (guarded-steps.ts).
 */
export class IntakeWorker extends Worker {
  protected override async moveToActive(token: string, name?: string): Promise<Job> {
    try {
      return await super.moveToActive(token, name);
    } catch (error) {
      if (!this.closing) await pause(breathMs);
      throw error;
    }
  }

  protected override createJob(json: JobJson, jobId: string): Job {
    return soundJob((each) => super.createJob(each, jobId), json);
  }
}
