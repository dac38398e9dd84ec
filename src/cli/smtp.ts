/** `smtp`: one process that takes mail by SMTP and enqueues it. It sends nothing; workers do. */
import { asError } from '../errors.ts';
import type { Config } from '../config/config.ts';
import { workerName } from '../embed/compose.ts';
import { createMetrics } from '../metrics/metrics.ts';
import type { Log, LogEvent } from '../observability/log.ts';
import type { TraceIds } from '../tracing/tracing.ts';
import type { Call } from './command.ts';
import { requireConfig } from './compose.ts';
import type { ExitCode } from './failure.ts';
import { beginLongRun, changedKeys, openLog, type Loaded } from './long-run.ts';
import { openSubmission, submissionRestartKeys, type RunningSubmission } from './submission.ts';
import { version } from './version.ts';
import { listenForMetrics } from './worker-metrics.ts';

export async function runSmtp(call: Call): Promise<ExitCode> {
  const loaded = await requireConfig(call, call.configFile);
  const name = `smtp-${workerName()}`;
  return serve(call, loaded, name, openLog(name, loaded));
}

async function serve(call: Call, loaded: Loaded, name: string, log: Log): Promise<ExitCode> {
  let running: RunningSubmission | null = null;
  const idle = { ready: false, clients: 0, maxClients: 0, bytesHeld: 0, maxBytes: 0 };
  const state = () => running?.state() ?? idle;
  const metrics = createMetrics({ version: version(), worker: null, fleet: null, submission: state });
  const tell = (event: LogEvent, trace: TraceIds | null = null): void => {
    log(event, trace);
    metrics.onEvent(event);
  };
  const submission = await openSubmission(loaded.config, tell);
  running = submission;
  const run = beginLongRun({
    call,
    loaded,
    log,
    name,
    tell,
    restartKeys,
    onChange: (next) => submission.apply(next),
  });
  const ended = new AbortController();
  let failed = false;
  // `/readyz` says whether a message would get its 250.
  const [connected, ready] = [() => submission.connected(), () => submission.state().ready];
  const watching = listenForMetrics({ config: loaded.config, connected, ready, metrics, log, signal: ended.signal });
  try {
    await submission.start();
    await run.stopped;
  } catch (thrown) {
    failed = true;
    tell({ event: 'start-failed', detail: asError(thrown).message });
  }
  ended.abort();
  const drained = await submission.stop();
  await (await watching)?.close();
  run.close();
  return drained && !failed ? 0 : 1;
}

function restartKeys(before: Config, next: Config): string[] {
  const settings = ({ redis, metrics }: Config) => ({ redis, metrics });
  return [...changedKeys(settings(before), settings(next)), ...submissionRestartKeys(before, next)];
}
