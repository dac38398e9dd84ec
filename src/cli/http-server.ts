/** The HTTP server of a process: `serve`, or a worker with `--serve`. It has a producer and an operator of its own. */
import type { Config } from '../config/config.ts';
import { startHttp, type HttpServer } from '../http/http.ts';
import type { HealthAnswers } from '../observability/health.ts';
import type { ProcessEvent } from '../observability/process-events.ts';
import { openOperator, openProducer } from './compose.ts';
import { shareOperator, type SharedOperator } from './shared-operator.ts';

export interface ServeOptions {
  /** In force now. */
  readonly config: () => Config;
  readonly operator: SharedOperator;
  readonly health: HealthAnswers;
  readonly tell: (event: ProcessEvent) => void;
}

/** The same beside a worker, which starts and stops it. */
export interface WorkerHttp {
  start(health: HealthAnswers): Promise<void>;
  apply(config: Config): void;
  close(): Promise<void>;
}

export function createWorkerHttp(config: () => Config, tell: (event: ProcessEvent) => void): WorkerHttp {
  const operator = shareOperator(() => openOperator(config()));
  let server: HttpServer | null = null;
  return {
    async start(health) {
      server = await serveHttp({ config, operator, health, tell });
    },
    apply: (next) => server?.apply(next),
    async close() {
      await server?.close();
      operator.close();
    },
  };
}

/** Listens, and says so. Rejects if it cannot. */
export async function serveHttp({ config, operator, health, tell }: ServeOptions): Promise<HttpServer> {
  const producer = await openProducer(config());
  const tools = { producer, operator: operator.get, config, now: Date.now };
  try {
    const server = await startHttp({ tools, health, tell });
    tell({ event: 'serving', host: config().api.listen.host, port: server.port });
    return {
      ...server,
      async close() {
        await server.close();
        await producer.close();
        tell({ event: 'served' });
      },
    };
  } catch (thrown) {
    await producer.close();
    throw thrown;
  }
}
