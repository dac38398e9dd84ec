/**
 * Everything that leans on BullMQ's less public parts: queues and workers that share one connection, and a lane's worker
 * without a loop of its own. `bullmq` is pinned exactly, and `test/queue/bullmq/bullmq.test.ts` holds what is assumed here.
 *
 * Why: a native Worker has a blocking connection each, so 2,000 lanes would be 2,000 connections per process.
 */
import {
  createRedisBackend,
  Job,
  Queue,
  QueueKeys,
  RedisConnection,
  Worker,
  type BackendFactory,
  type JobJson,
  type JobsOptions,
  type Processor,
  type WorkerOptions,
} from 'bullmq';
import type { RedisClient } from '../redis/connection.ts';
import { IntakeWorker } from './intake-worker.ts';
export type { IntakeWorker } from './intake-worker.ts';
import { soundJob, type JobBounds } from './soundness.ts';
import { createStepRunner, SteppedBackend, type Attachment, type ScriptAddOn } from './steps.ts';
import { createTurns, promote, type Turns } from './priority-fairness.ts';

export interface SharedQueues {
  queue(name: string): Queue;
  /** Adds a job to a queue in one step with a script of ours. → the script's answer. */
  addWith(
    queue: Queue,
    job: { readonly name: string; readonly data: unknown; readonly opts: JobsOptions },
    addOn: ScriptAddOn,
  ): Promise<unknown>;
  /** A worker that fetches only when told to. */
  laneWorker(name: string, processor: LaneProcessor, options: LaneOptions): LaneWorker;
  /** A native worker of the intake, with a blocking connection of its own. */
  intakeWorker(name: string, processor: Processor, options: LaneOptions & { readonly atOnce: number }): IntakeWorker;
}

export interface LaneOptions {
  readonly lockMs: number;
  readonly stalledMs: number;
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
    laneWorker: (name, processor, { lockMs, stalledMs }) => {
      const lists = { wait: queueKeys.toKey(name, 'wait'), prioritized: queueKeys.toKey(name, 'prioritized') };
      const turns = createTurns(
        (promoted) => promote(redis, lists, promoted),
        () => performance.now(),
      );
      return new LaneWorker(
        name,
        processor,
        {
          connection: redis,
          prefix,
          autorun: false,
          lockDuration: lockMs,
          stalledInterval: stalledMs,
          maxStalledCount: boundsOf(name).maxStalls,
          removeOnComplete: { count: 0 },
          removeOnFail: { count: -1 },
        },
        factory,
        turns,
      );
    },
    intakeWorker: (name, processor, { lockMs, stalledMs, atOnce }) => {
      const options: WorkerOptions = {
        connection: redis,
        prefix,
        concurrency: atOnce,
        lockDuration: lockMs,
        stalledInterval: stalledMs,
        maxStalledCount: boundsOf(name).maxStalls,
        removeOnComplete: { count: 0 },
        removeOnFail: { count: -1 },
      };
      return new IntakeWorker(name, processor, options, (...args) => {
        // BullMQ's own backend makes the connections; ours uses them.
        const made = createRedisBackend(...args);
        made.on('error', () => undefined);
        const toKey = (type: string): string => made.toKey(type);
        const steps = { runStep, bounds: () => boundsOf(name) };
        return new SteppedBackend(steps, made.connection, name, made.keys, toKey, args[1], made.blockingConnection);
      });
    },
  };
}

/** What is committed in the step that ends a job, and what follows once it is known whether that step has run. */
export interface Completion {
  readonly addOn: ScriptAddOn;
  /** Called with the add-on's answer after both have run. */
  readonly committed: (answer: unknown) => Promise<void>;
  /** Called once if the add-on has not run: the step was refused, or the job did not end here. → whether the job may end without it. */
  readonly detached: () => Promise<boolean>;
}

/** → what is to be committed with the end of the job; null if nothing is. */
export type LaneProcessor = (job: Job, token: string, signal: AbortSignal | undefined) => Promise<Completion | null>;

/** The end of one run of a job. */
interface Ending {
  readonly completion: Completion;
  readonly attachment: Attachment;
  /** Set once the completion was detached. */
  detached: Promise<boolean> | null;
}

/** One lane's fetching and processing, by BullMQ's own code: locks, their renewal, stalled and failed jobs are all native. */
export class LaneWorker extends Worker {
  readonly #stepped: SteppedBackend;
  readonly #endings: WeakMap<Job, Ending>;
  readonly #turns: Turns;

  constructor(
    name: string,
    processor: LaneProcessor,
    options: WorkerOptions,
    factory: BackendFactory<SteppedBackend>,
    turns: Turns,
  ) {
    let stepped: SteppedBackend | undefined;
    const endings = new WeakMap<Job, Ending>();
    // BullMQ passes a signal to a processor of three parameters only.
    const process: Processor = async (job, token, signal) => {
      const completion = await processor(job, token ?? '', signal);
      if (completion === null) return;
      const attachment = stepped!.attachToCompletion(String(job.id), completion.addOn);
      endings.set(job, { completion, attachment, detached: null });
    };
    super(name, process, options, (...args) => {
      stepped ??= factory(...args);
      return stepped;
    });
    this.#endings = endings;
    this.#stepped = stepped!;
    this.#turns = turns;
    // A lane that fails must not end the process: the scheduler listens, and without a listener 'error' would throw.
    this.on('error', () => undefined);
    this.on('lockRenewalFailed', (ids: string[]) => {
      for (const id of ids) this.cancelJob(id, 'lock lost');
    });
    // Redis says at each fetch whether the lane is limited. What BullMQ remembers of it in the process would keep a lane
    // waiting that an operator has resumed, or whose settings were corrected, elsewhere. The method is private in the types.
    Reflect.set(this, 'isRateLimited', () => false);
    this.lockManager.start();
  }

  protected override createJob(json: JobJson, jobId: string): Job {
    return soundJob((each) => super.createJob(each, jobId), json);
  }

  /** The next job under a lock with this token, or undefined. Never blocks. */
  fetch(token: string): Promise<Job | undefined> {
    return this.getNextJob(token, { block: false });
  }

  /**
   * Runs the processor and moves the job where its result says. → the lane's next job, under the same token, if `more` says
   * so once the job is completed: BullMQ fetches it in the step that ends this one, which saves a round trip.
   */
  async runJob(job: Job, token: string, more: () => boolean): Promise<Job | undefined> {
    // On its way before the step that ends this job and fetches the next, or any other fetch.
    this.#turns.began();
    try {
      return (await this.processJob(job, token, more)) ?? undefined;
    } finally {
      await this.#conclude(job);
    }
  }

  async #conclude(job: Job): Promise<void> {
    const ending = this.#endings.get(job);
    if (ending === undefined) return;
    const { completion, attachment } = ending;
    if (typeof attachment.outcome === 'object') await completion.committed(attachment.outcome.answer);
    else await this.#detach(job, ending);
  }

  #detach(job: Job, ending: Ending): Promise<boolean> {
    this.#stepped.detach(String(job.id), ending.attachment);
    return (ending.detached ??= ending.completion.detached());
  }

  /** After anything but success the lane may wait, and the job may come again at once: fetched anew, under another token. */
  protected override async handleFailed(error: Error, job: Job, token: string): Promise<Job> {
    const ending = this.#endings.get(job);
    if (ending?.attachment.outcome !== 'refused') return super.handleFailed(error, job, token, () => false);
    // Redis refused the job's end together with the result. The job has not failed: it ends once the result is written. Without
    // its result it must not end: it is left to be found abandoned, and its row then says what is known.
    this.lockManager.trackJob(String(job.id), token, Date.now());
    if (await this.#detach(job, ending)) await job.moveToCompleted(undefined, token, false);
    return undefined as unknown as Job;
  }

  /** Puts jobs back whose worker has died. Single-shot per interval over all processes (BullMQ's own lock). */
  async recoverStalled(): Promise<void> {
    await this.getBackend().moveStalledJobsToWait();
  }
}
