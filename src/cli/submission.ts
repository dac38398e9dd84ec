/** Submission by SMTP within a process: its own connections to Redis, and the order in which they end. For `smtp` and `worker --smtp`. */
import type { Config } from '../config/config.ts';
import type { SubmissionEvent, SubmissionState } from '../submission/submission.ts';
import type { TraceIds } from '../tracing/tracing.ts';
import { openProducer } from './compose.ts';
import { UsageError } from './failure.ts';
import { changedKeys } from './long-run.ts';

export interface RunningSubmission {
  /** Rejects if an address cannot be had. */
  start(): Promise<void>;
  apply(config: Config): void;
  /** → whether every message under way was finished. */
  stop(): Promise<boolean>;
  state(): SubmissionState;
  connected(): boolean;
}

/** Until a message must be in Redis, in ms. RFC 5321 section 4.5.3.2.6: the client waits ten minutes for the reply. */
const storeMs = 20_000;

/** A UsageError if there is nothing to listen on. Opens connections to Redis, and waits for none. */
export async function openSubmission(
  config: Config,
  onEvent: (event: SubmissionEvent, trace?: TraceIds | null) => void,
): Promise<RunningSubmission> {
  const { submission: settings, redis, encryption } = config;
  if (settings.listeners.length === 0) {
    throw new UsageError('there is nothing to listen on: the configuration has no `submission.listeners`');
  }
  const [{ createSubmission }, { openSubmissionStore }] = await Promise.all([
    import('../submission/submission.ts'),
    import('../admin/submissions.ts'),
  ]);
  let { message } = config;
  const producer = await openProducer(config, {
    timeoutMs: storeMs,
    replicas: settings.acknowledgeReplicas,
    limits: () => message,
  });
  const store = openSubmissionStore({ redis, timeoutMs: storeMs, encryption });
  const submission = createSubmission({ config, producer, store, onEvent });
  return {
    start: () => submission.start(),
    apply(next) {
      message = next.message;
      submission.apply(next);
    },
    state: () => submission.state(),
    connected: () => store.connected(),

    async stop() {
      const drained = await submission.drain(config.worker.drainMs);
      await producer.close();
      store.close();
      return drained;
    },
  };
}

/** What is read once: addresses, and what connections and the producer were made with. */
export function submissionRestartKeys(before: Config, next: Config): string[] {
  const settings = ({ hostname, encryption, tracing, submission: { listeners, acknowledgeReplicas } }: Config) => ({
    hostname,
    encryption,
    tracing,
    'submission.listeners': listeners.map(({ listen, security, tls }) => [listen, security, tls?.clientCa ?? null]),
    'submission.acknowledgeReplicas': acknowledgeReplicas,
  });
  return changedKeys(settings(before), settings(next));
}
