/**
 * Workers as processes of their own, which a test can kill, suspend, block and move in time. Each ends with its test.
 *
 * Times are short, so that a test sees in seconds what takes minutes in production: the order of the events is the same.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { RedisSettings } from '../../src/queue/redis/settings.ts';
import type { GraphSettings } from '../../src/transport/graph/settings.ts';
import type { SmtpTimeouts } from '../../src/transport/smtp/settings.ts';
import type { ConnectorConfig, SendPolicy, WorkerConfig } from '../../src/worker/settings.ts';
import type { Timing } from '../../src/worker/worker.ts';
import { configOf } from './postlane.ts';
import { redisUrl, shardCount } from './redis.ts';
import { smtpSettings } from './smtp-client.ts';
import { until } from '../../testkit/until.ts';
import type { WorkerMainSettings } from './worker-main.ts';

export interface ProcessConnector {
  /** Of a server on the loopback. */
  readonly port: number;
  readonly addresses?: readonly string[];
  readonly concurrency?: number;
  /** Default: not paced. */
  readonly messagesPerMinute?: number;
  readonly timeouts?: Partial<SmtpTimeouts>;
}

interface GraphProcessConnector {
  readonly graph: GraphSettings;
  readonly addresses?: readonly string[];
  readonly concurrency?: number;
}

export interface WorkerProcessOptions {
  readonly prefix: string;
  readonly connectors: Readonly<Record<string, ProcessConnector | GraphProcessConnector>>;
  /** Default: the Redis of the run. */
  readonly url?: string;
  /** Instead of `url`. */
  readonly redis?: RedisSettings & { readonly shards?: number };
  readonly timing?: Partial<Timing>;
  readonly retry?: Partial<SendPolicy>;
  readonly worker?: Partial<WorkerConfig['worker']>;
}

/** One line of the process: a WorkerEvent, or `outcome`, `told` and `unblocked` of test/support/worker-main.ts. */
type ProcessEvent = { readonly event: string } & Readonly<Record<string, unknown>>;

interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface RunningProcess {
  readonly events: readonly ProcessEvent[];
  readonly exited: Promise<Exit>;
  /** The first event of that name, and of that message if one is named. */
  waitFor(event: string, id?: string): Promise<ProcessEvent>;
  signal(signal: NodeJS.Signals): void;
  /** A line on its stdin. */
  tell(line: string): void;
  /** SIGKILL: nothing is finished, nobody is told. Resolves when it is gone. */
  kill9(): Promise<Exit>;
  /** SIGTERM: a drain. Resolves when it is gone. */
  stop(): Promise<Exit>;
}

export interface WorkerProcess extends RunningProcess {
  readonly name: string;
  /** SIGSTOP: it stands still, and its connections stay open. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
}

/** The lock is long enough for two busy cores: a worker that is not scheduled for a second has not lost it. */
const defaultTiming = { lockMs: 2_000, maintenanceMs: 250, lateResultMs: 400 };
const defaultRetry: SendPolicy = { firstDelayMs: 50, maxDelayMs: 200, lifetimeMs: 3_600_000, onUncertain: 'retry' };

/** A program that prints JSON lines, ended at the latest when the test ends. */
export function startProcess(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): RunningProcess {
  // Halves the time that a worker needs to start, which is most of what these tests wait for.
  const NODE_COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/compile', import.meta.url));
  const child = spawn(process.execPath, [file, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { NODE_COMPILE_CACHE, ...env },
  });
  const events: ProcessEvent[] = [];
  const complaints: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => events.push(JSON.parse(line) as ProcessEvent));
  child.stderr.setEncoding('utf8').on('data', (text: string) => complaints.push(text));
  // Writing to one that has just ended is no fault of the test.
  child.stdin.on('error', () => undefined);
  const exited: Promise<Exit> = once(child, 'close').then(([code, signal]) => ({ code, signal }));
  const kill9 = (): Promise<Exit> => {
    child.kill('SIGKILL');
    return exited;
  };
  onTestFinished(async () => {
    await kill9();
  });
  return {
    events,
    exited,
    waitFor: (name, id) =>
      until(
        () => {
          const found = events.find(({ event, ...rest }) => event === name && (id === undefined || rest['id'] === id));
          if (found === undefined && complaints.length > 0) throw new Error(complaints.join(''));
          return found;
        },
        { what: `the event ${name} of a process`, timeoutMs: 20_000 },
      ),
    signal: (signal) => void child.kill(signal),
    tell: (line) => void child.stdin.write(`${line}\n`),
    kill9,
    stop() {
      child.kill('SIGTERM');
      return exited;
    },
  };
}

/** Starts a worker process; resolves once it serves. */
export async function startWorkerProcess(options: WorkerProcessOptions): Promise<WorkerProcess> {
  const name = `p-${randomBytes(4).toString('hex')}`;
  const entries = Object.entries(options.connectors);
  const settings: WorkerMainSettings = {
    redis: { shards: shardCount(), ...(options.redis ?? { url: options.url ?? redisUrl() }), prefix: options.prefix },
    name,
    config: configFor(options),
    smtp: Object.fromEntries(
      entries.flatMap(([id, connector]) =>
        'port' in connector ? [[id, smtpSettings(connector.port, { timeouts: connector.timeouts ?? {} })]] : [],
      ),
    ),
    graph: Object.fromEntries(
      entries.flatMap(([id, connector]) => ('graph' in connector ? [[id, connector.graph]] : [])),
    ),
    timing: { ...defaultTiming, ...options.timing },
  };
  const program = fileURLToPath(new URL('worker-main.ts', import.meta.url));
  const running = startProcess(program, [JSON.stringify(settings)]);
  await running.waitFor('ready');
  return { ...running, name, pause: () => running.signal('SIGSTOP'), resume: () => running.signal('SIGCONT') };
}

function configFor({ connectors, retry, worker }: WorkerProcessOptions): WorkerConfig {
  const policy = { ...defaultRetry, ...retry };
  const list = Object.entries(connectors).map(([id, settings]) => {
    const { addresses = [], concurrency = 5 } = settings;
    const messagesPerMinute = 'messagesPerMinute' in settings ? (settings.messagesPerMinute ?? null) : null;
    const connector: Partial<ConnectorConfig> = {
      addresses,
      retry: policy,
      limits: { concurrency, messagesPerMinute },
    };
    return [id, connector] as const;
  });
  return configOf(Object.fromEntries(list), {
    retry: policy,
    worker: { slots: 40, drainMs: 5_000, ...worker },
  });
}
