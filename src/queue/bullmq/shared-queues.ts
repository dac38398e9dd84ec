/**
 * Everything that leans on BullMQ's less public parts: queues that share one connection, and steps of its backend.
 * `bullmq` is pinned exactly, and `test/queue/bullmq/bullmq.test.ts` holds what is assumed here.
 *
 * Why: a native Worker has a blocking connection each, so 2,000 lanes would be 2,000 connections per process.
 */
import {
  Job,
  Queue,
  QueueKeys,
  RedisConnection,
  type BackendFactory,
  type JobsOptions,
  type WorkerOptions,
} from 'bullmq';
import type { RedisClient } from '../redis/connection.ts';
import type { JobBounds } from './soundness.ts';
import { createStepRunner, SteppedBackend, type ScriptAddOn } from './steps.ts';
import type { JobSteps } from './taken-job.ts';

export interface SharedQueues {
  queue(name: string): Queue;
  /** Adds a job to a queue in one step with a script of ours. → the script's answer. */
  addWith(
    queue: Queue,
    job: { readonly name: string; readonly data: unknown; readonly opts: JobsOptions },
    addOn: ScriptAddOn,
  ): Promise<unknown>;
  /** BullMQ's own steps for jobs that a worker of ours has taken: what is rare. */
  steps(name: string, options: Pick<LaneOptions, 'stalledMs'>): JobSteps;
}

export interface LaneOptions {
  readonly lockMs: number;
  readonly stalledMs: number;
}

/** The backend is made when a step is first asked for: that is rare, and 2,000 lanes would have as many. */
function stepsOf(make: () => SteppedBackend): JobSteps {
  let made: SteppedBackend | null = null;
  const backend = (): SteppedBackend => (made ??= make());
  return {
    async handBack(jobId, token) {
      await backend().moveJobFromActiveToWait(jobId, token);
    },
    async delay(jobId, token, at) {
      const now = Date.now();
      await backend().moveToDelayed(jobId, now, Math.max(0, at - now), token, { skipAttempt: true });
    },
    async complete(jobId, token) {
      const job = { id: jobId, opts: {} } as unknown as Job;
      await backend().moveToCompleted(job, 'null', true, token, false);
    },
    async fail(jobId, token, why) {
      const job = { id: jobId, opts: {} } as unknown as Job;
      await backend().moveToFailed(job, why, false, token, false);
    },
    async recoverStalled() {
      await backend().moveStalledJobsToWait();
    },
  };
}

export interface ShareOptions {
  /** For producers: BullMQ neither waits for the connection nor asks for the version, as a failed answer to that would be remembered for ever. */
  readonly failFast?: boolean;
  /** What jobs are judged by when they are fetched. */
  readonly boundsOf?: (queueName: string) => JobBounds;
}

/** Without a worker nothing is fetched. */
const noBounds = (): JobBounds => ({ maxDataBytes: Number.MAX_SAFE_INTEGER, maxStalls: 1 });

/** Postlane reads no job events of a lane; the stream cannot be turned off, and 10,000 entries would be 0.5 MB a lane. */
const maxLaneEvents = 100;

/** Queues and lane workers over one connection, which stays the caller's to close. */
export function shareConnection(
  redis: RedisClient,
  prefix: string,
  { failFast = false, boundsOf = noBounds }: ShareOptions = {},
): SharedQueues {
  const connection = new RedisConnection(redis, {
    shared: true,
    blocking: false,
    skipVersionCheck: failFast,
    skipWaitingForReady: failFast,
  });
  // The owner of `redis` hears its errors; without a listener here they would be thrown.
  connection.on('error', () => undefined);
  // A backend that owns no connection: closing one lane must not close the others'.
  const runStep = createStepRunner(redis);
  const queueKeys = new QueueKeys(prefix);
  const factory: BackendFactory<SteppedBackend> = (name, options) => {
    const toKey = (type: string): string => queueKeys.toKey(name, type);
    return new SteppedBackend(
      { runStep, bounds: () => boundsOf(name) },
      connection,
      name,
      queueKeys.getKeys(name),
      toKey,
      options,
      undefined,
      false,
    );
  };
  const backends = new WeakMap<Queue, SteppedBackend>();
  return {
    queue: (name) => {
      const streams = { events: { maxLen: maxLaneEvents } };
      let backend: SteppedBackend | undefined;
      const made = new Queue(name, { connection: redis, prefix, streams, skipMetasUpdate: failFast }, (...args) => {
        backend = factory(...args);
        return backend;
      });
      if (backend !== undefined) backends.set(made, backend);
      return made;
    },
    async addWith(queue, { name, data, opts }, addOn) {
      // BullMQ has defined its scripts on the connection once it is ready.
      await queue.waitUntilReady();
      const backend = backends.get(queue);
      if (backend === undefined) throw new TypeError(`the queue ${queue.name} is not of this connection`);
      return backend.addWith(new Job(queue, name, data, opts, opts.jobId), addOn);
    },
    steps(name, { stalledMs }) {
      const options: WorkerOptions = {
        connection: redis,
        prefix,
        stalledInterval: stalledMs,
        maxStalledCount: boundsOf(name).maxStalls,
      };
      return stepsOf(() => factory(name, options));
    },
  };
}
