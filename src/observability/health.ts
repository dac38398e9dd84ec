/** What a process answers over HTTP to orchestrators and to Prometheus: is it alive, is it ready for work, what does it count? */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isOurs } from './host.ts';

export interface HealthState {
  /** The process reaches Redis and its event loop is not blocked. */
  readonly ok: boolean;
  /** Its loop turns, or cannot as Redis is away: then a restart would not help. */
  readonly live: boolean;
  /** Status of the connection to Redis. */
  readonly redis: string;
  /** Time since the event loop last ran, in ms. */
  readonly idleForMs: number;
}

export interface HealthOptions extends HealthAnswers {
  readonly host: string;
  /** 0 chooses a free port. */
  readonly port: number;
}

export interface HealthAnswers {
  readonly health: () => HealthState;
  /** Whether the process is serving: started and not stopping. */
  readonly ready: () => boolean;
  /** What `GET /metrics` answers. Without it there is no such path. */
  readonly metrics?: () => Promise<Exposition>;
  /**
   * Names in `Host` that are answered, beside `localhost` and the address that the client has connected to. A page in a browser that
   * gives its own name our address (DNS rebinding) sends another one. Default: every name.
   */
  readonly hosts?: readonly string[];
}

interface Exposition {
  readonly contentType: string;
  readonly text: string;
}

export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Of the header of a request, and of the clients at once: a scrape or a probe needs less than a tenth. */
const maxHeaderBytes = 8 * 1024;
const maxClients = 100;
/** Until a request must be there as a whole, in ms. */
const requestMs = 5_000;

/**
 * `GET /livez`: 200 unless a restart would help; `GET /healthz` (or `/health`): 200 if the process also reaches Redis; `GET /readyz`: 200 if
 * it is serving, too. Rejects if the port is in use. The responses contain nothing secret, but the address is meant for the
 * internal network.
 */
export async function startHealthServer(options: HealthOptions): Promise<HealthServer> {
  const timeouts = { requestTimeout: requestMs, headersTimeout: requestMs, connectionsCheckingInterval: 1_000 };
  const server = createServer({ ...timeouts, maxHeaderSize: maxHeaderBytes }, (request, response) => {
    void answerHealth(request, response, options);
  });
  server.maxConnections = maxClients;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Paths that need no token, in whichever server. */
export const healthPaths: ReadonlySet<string> = new Set(['/livez', '/healthz', '/health', '/readyz', '/metrics']);

/** Answers one request. Never rejects. */
export async function answerHealth(
  request: IncomingMessage,
  response: ServerResponse,
  options: HealthAnswers,
): Promise<void> {
  const { health, ready, metrics, hosts } = options;
  if (hosts !== undefined && !isOurs(request.headers.host, request.socket.localAddress, hosts)) {
    return answer(response, 421, { status: 'misdirected', detail: 'Host is not in api.hosts' });
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    return answer(response, 405, { status: 'method-not-allowed' });
  }
  const state = health();
  switch (request.url?.split('?', 1)[0] ?? '') {
    case '/livez':
      return answer(response, state.live ? 200 : 503, { status: state.live ? 'live' : 'hanging', ...state });
    case '/healthz':
    case '/health':
      return answer(response, state.ok ? 200 : 503, { status: state.ok ? 'ok' : 'failing', ...state });
    case '/readyz': {
      const serves = state.ok && ready();
      return answer(response, serves ? 200 : 503, { status: serves ? 'ready' : 'not-ready', ...state, ok: serves });
    }
    case '/metrics':
      if (metrics !== undefined) return answerMetrics(response, metrics);
      break;
    default:
  }
  answer(response, 404, { status: 'not-found' });
}

async function answerMetrics(response: ServerResponse, metrics: () => Promise<Exposition>): Promise<void> {
  let shown: Exposition;
  try {
    shown = await metrics();
  } catch {
    return answer(response, 500, { status: 'failing' });
  }
  send(response, 200, shown.contentType, shown.text);
}

function answer(response: ServerResponse, status: number, body: Record<string, unknown>): void {
  send(response, status, 'application/json', `${JSON.stringify(body)}\n`);
}

function send(response: ServerResponse, status: number, contentType: string, text: string): void {
  // One request per connection: a kept-alive connection would delay the end of the process.
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    Connection: 'close',
  });
  response.end(text);
}
