/** The HTTP server of a process: `serve`, or a worker with `--serve`. It has a producer and an operator of its own. */
import type { Config } from '../config/config.ts';
import { startHttp, type HttpServer } from '../http/http.ts';
import type { HealthAnswers } from '../observability/health.ts';
import type { ProcessEvent } from '../observability/process-events.ts';
import { openProducer } from './compose.ts';
import type { SharedOperator } from './shared-operator.ts';

export interface ServeOptions {
  /** In force now. */
  readonly config: () => Config;
  readonly operator: SharedOperator;
  readonly health: HealthAnswers;
  readonly tell: (event: ProcessEvent) => void;
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
