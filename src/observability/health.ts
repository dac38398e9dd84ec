/** The health check over HTTP, for orchestrators: is this process alive, and is it ready for work? */
import { createServer, type ServerResponse } from 'node:http';

export interface HealthState {
  /** The process reaches Redis and its event loop is not blocked. */
  readonly ok: boolean;
  /** Status of the connection to Redis. */
  readonly redis: string;
  /** Time since the event loop last ran, in ms. */
  readonly idleForMs: number;
}

export interface HealthOptions {
  readonly host: string;
  /** 0 chooses a free port. */
  readonly port: number;
  readonly health: () => HealthState;
  /** Whether the worker is serving: started and not stopping. */
  readonly ready: () => boolean;
}

export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * `GET /healthz` (or `/health`): 200 if the process is alive, otherwise 503, and a restart may help. `GET /readyz`: 200 if
 * it is also serving. Rejects if the port is in use. The responses contain nothing secret, but the address is meant for the
 * internal network.
 */
export async function startHealthServer({ host, port, health, ready }: HealthOptions): Promise<HealthServer> {
  const server = createServer({ requestTimeout: 5_000, headersTimeout: 5_000 }, (request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      answer(response, 405, { status: 'method-not-allowed' });
      return;
    }
    const state = health();
    switch (request.url?.split('?', 1)[0] ?? '') {
      case '/healthz':
      case '/health':
        answer(response, state.ok ? 200 : 503, { status: state.ok ? 'ok' : 'failing', ...state });
        return;
      case '/readyz': {
        const serves = state.ok && ready();
        answer(response, serves ? 200 : 503, { status: serves ? 'ready' : 'not-ready', ...state, ok: serves });
        return;
      }
      default:
        answer(response, 404, { status: 'not-found' });
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(response: ServerResponse, status: number, body: Record<string, unknown>): void {
  // One request per connection: a kept-alive connection would delay the end of the process.
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', Connection: 'close' });
  response.end(`${JSON.stringify(body)}\n`);
}
