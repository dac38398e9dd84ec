/** The door of this room: the HTTP server of a process, with the health checks and metrics of the process and the API. */
import type { IncomingMessage } from 'node:http';
import type { Config } from '../config/config.ts';
import { asError } from '../errors.ts';
import { answerHealth, healthPaths, type HealthAnswers } from '../observability/health.ts';
import type { ProcessEvent } from '../observability/process-events.ts';
import { isValid } from './api/access.ts';
import type { TraceIds } from '../tracing/tracing.ts';
import { createApi } from './api/app.ts';
import { createEventHub } from './api/event-hub.ts';
import { openApiDocument } from './api/openapi.ts';
import type { Tools } from './api/route.ts';
import { routes } from './api/routes.ts';
import { createBodyBudget } from './body.ts';
import { maxBodyBytesInFlight } from './limits.ts';
import { startServer } from './server.ts';
import { createUi } from './ui/app.ts';
import { readAssets } from './ui/assets.ts';

export interface HttpOptions {
  readonly tools: Omit<Tools, 'live'>;
  readonly health: HealthAnswers;
  /** A subscriber of what happens here: the log, and metrics. */
  readonly tell: (event: ProcessEvent, trace?: TraceIds | null) => void;
}

export interface HttpServer {
  readonly port: number;
  /** Names, proxies and certificates of a new configuration. Tokens are read for each request. */
  apply(config: Config): void;
  /** Lets running requests end for a while, and ends streams at once. */
  close(): Promise<void>;
}

/** Listens as `api` says. Rejects if it cannot. */
export async function startHttp({ tools: given, health, tell }: HttpOptions): Promise<HttpServer> {
  const { producer, operator, config, now } = given;
  const live = createEventHub({
    events: async () => (await operator()).events,
    fromOf: async (id) => (await producer.status(id))?.from ?? null,
    isValid: (token) => isValid(token, config(), now()),
    now,
  });
  const tools: Tools = { ...given, live };
  const budget = createBodyBudget(maxBodyBytesInFlight);
  const failed = (route: string, thrown: unknown): void =>
    tell({ event: 'request-failed', route, detail: asError(thrown).stack ?? String(thrown) });
  const ui = createUi({ tools, assets: await readAssets(), budget, failed });
  const api = createApi({
    routes,
    tools,
    budget,
    document: JSON.stringify(openApiDocument(routes)),
    failed,
  });
  const server = await startServer({
    settings: tools.config().api,
    health(request, response) {
      if (!healthPaths.has(request.url?.split('?', 1)[0] ?? '')) return false;
      void answerHealth(request, response, health);
      return true;
    },
    answer: (request, bindings) => (isUi(bindings.incoming) ? ui(request, bindings) : api.fetch(request, bindings)),
    answered: ({ span, ...request }) => tell({ event: 'request', ...request }, span),
  });
  return {
    port: server.port,
    apply({ api: settings }) {
      server.apply(settings);
      live.recheck();
    },
    close: () => server.close(() => live.close()),
  };
}

/** The dashboard; and who opens the server by its name in a browser. */
function isUi({ url = '', headers }: IncomingMessage): boolean {
  if (url === '/ui' || url.startsWith('/ui/') || url.startsWith('/ui?')) return true;
  return url === '/' && (headers.accept ?? '').includes('text/html');
}
