/** The HTTP server of a process, and its webhooks: `serve`, or a worker with `--serve`. It has a producer and an operator of its own. */
import { settlesWithin, sleep } from '../async/timeout.ts';
import type { Config } from '../config/config.ts';
import { checkConnector, serverCount, type ConnectorCheck } from '../embed/check-connector.ts';
import { sendersOf } from '../embed/senders.ts';
import { PostlaneError } from '../errors.ts';
import { startHttp, type HttpOptions, type HttpServer } from '../http/http.ts';
import type { HealthAnswers } from '../observability/health.ts';
import type { ProcessEvent } from '../observability/process-events.ts';
import type { TraceIds } from '../tracing/tracing.ts';
import { startWebhooks } from '../webhooks/webhooks.ts';
import { openOperator, openProducer } from './compose.ts';
import { tryWebhook, type WebhookTry } from './webhook-test.ts';
import { shareOperator, type SharedOperator } from './shared-operator.ts';

export interface ServeOptions {
  /** In force now. */
  readonly config: () => Config;
  readonly operator: SharedOperator;
  readonly health: HealthAnswers;
  readonly tell: (event: ProcessEvent, trace?: TraceIds | null) => void;
}

/** The same beside a worker, which starts and stops it. */
export interface WorkerHttp {
  start(health: HealthAnswers): Promise<void>;
  apply(config: Config): void;
  rejected(mistakes: number): void;
  close(): Promise<void>;
}

/** It also hears of a file that is not in force, which it shows. */
export interface ServedHttp extends HttpServer {
  rejected(mistakes: number): void;
}

export function createWorkerHttp(config: () => Config, tell: ServeOptions['tell']): WorkerHttp {
  const operator = shareOperator(() => openOperator(config()));
  let server: ServedHttp | null = null;
  return {
    async start(health) {
      server = await serveHttp({ config, operator, health, tell });
    },
    apply: (next) => server?.apply(next),
    rejected: (mistakes) => server?.rejected(mistakes),
    async close() {
      await server?.close();
      operator.close();
    },
  };
}

/** Listens, and says so. Rejects if it cannot. */
export async function serveHttp({ config, operator, health, tell }: ServeOptions): Promise<ServedHttp> {
  const producer = await openProducer(config(), { limits: () => config().message });
  let state: ReturnType<HttpOptions['tools']['configState']> = { appliedAt: Date.now(), rejectedAt: null, mistakes: 0 };
  const tools = {
    producer,
    operator: operator.get,
    tryConnector: (id: string) => tryConnector(id, config()),
    testWebhook: (id: string) => testWebhook(id, config()),
    config,
    configState: () => state,
    now: Date.now,
  };
  const ended = new AbortController();
  try {
    const server = await startHttp({ tools, health, tell });
    tell({ event: 'serving', host: config().api.listen.host, port: server.port });
    const operating = operate(operator, config, tell, ended.signal);
    const webhooks = startWebhooks({ redis: config().redis, endpoints: config().webhooks, tell });
    return {
      ...server,
      apply(next) {
        state = { appliedAt: Date.now(), rejectedAt: null, mistakes: 0 };
        server.apply(next);
        webhooks.apply(next.webhooks);
      },
      rejected(mistakes) {
        state = { ...state, rejectedAt: Date.now(), mistakes };
      },
      async close() {
        ended.abort();
        await server.close();
        await Promise.all([settlesWithin(operating, stopMs), webhooks.close()]);
        await producer.close();
        tell({ event: 'served' });
      },
    };
  } catch (thrown) {
    await producer.close();
    throw thrown;
  }
}

/** How long a stop waits for the letters that an operation has in hand, in ms; another process goes on with the rest. */
const stopMs = 5_000;
/** Between two tries to reach Redis, in ms. */
const tryAgainMs = 2_000;
/** How long a login and the question for its senders may take, in ms: less than the time of a request. */
const tryMs = 20_000;
/** Of each of several hosts, at least. */
const leastTryMs = 3_000;

/** Works on operations over dead letters, as every process that serves does. */
async function operate(
  operator: SharedOperator,
  config: () => Config,
  tell: (event: ProcessEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const onError = ({ message: detail }: Error): void => tell({ event: 'operation-failed', detail });
  while (!signal.aborted) {
    const opened = await operator.get().catch(() => null);
    if (opened === null) await sleep(tryAgainMs, signal);
    else await opened.run({ config, signal, onError });
  }
}

async function testWebhook(id: string, { webhooks }: Config): Promise<WebhookTry> {
  const endpoint = webhooks.find((each) => each.id === id);
  if (endpoint === undefined) throw new PostlaneError('not-found', `no webhook ${id} is in the configuration`);
  return tryWebhook(endpoint);
}

async function tryConnector(id: string, config: Config): Promise<ConnectorCheck> {
  const { connectors, hostname } = config;
  const connector = connectors.find((each) => each.id === id);
  const { loadTransports } = await import('../embed/transports.ts');
  const build = await loadTransports(connector === undefined ? [] : [connector]);
  const checked =
    connector === undefined
      ? null
      : await checkConnector(connector, {
          build,
          hostname,
          timeoutMs: Math.max(leastTryMs, tryMs / 2 / serverCount(connector)),
          senders: sendersOf(config)(connector),
        });
  if (checked === null) throw new PostlaneError('not-found', `the connector ${id} never sends`);
  return checked;
}
