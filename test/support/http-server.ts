/** Runs `postlane serve` for a test, with tokens made for it, and sends requests to it from outside. */
import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import type { TestServer } from './cli-config.ts';
import { startTestServer } from './cli-config.ts';
import { project, type Project, type WorkerProcess } from './cli.ts';
import { testPrefix } from './redis.ts';

interface TokenSpec {
  readonly id: string;
  readonly scopes: readonly string[];
  readonly from?: readonly string[];
  readonly ratePerMinute?: number;
  readonly messagesPerDay?: number;
  readonly recipientsPerDay?: number;
  readonly expires?: string;
}

export interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** Parsed; undefined if it is no JSON. */
  readonly body: any; // oxlint-disable-line typescript/no-explicit-any -- tests compare what they get
}

interface Asked {
  readonly method?: string;
  /** Id of a token; null sends none. Default: `all`. */
  readonly as?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** Of another process. */
  readonly port?: number;
  /** What is no text or bytes is sent as JSON. */
  readonly body?: unknown;
}

export interface ServedApi {
  readonly here: Project;
  readonly mail: TestServer;
  readonly serve: WorkerProcess;
  readonly port: number;
  readonly prefix: string;
  /** Id → the token itself. */
  readonly tokens: ReadonlyMap<string, string>;
  readonly ask: (path: string, asked?: Asked) => Promise<Answered>;
  readonly post: (path: string, body?: unknown, asked?: Asked) => Promise<Answered>;
  /** The configuration with these tokens. */
  readonly config: (tokens: readonly TokenSpec[], rest?: readonly string[]) => string;
}

export interface ServeOptions {
  readonly tokens?: readonly TokenSpec[];
  /** Further keys of `api`, in flow form: `hosts: [a]`. */
  readonly api?: string;
  readonly rest?: readonly string[];
  readonly others?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  /** The whole section, in flow form, where it is not the Redis of this run; `prefix` is `{postlane}`. */
  readonly redis?: string;
}

const everything: TokenSpec = { id: 'all', scopes: ['admin'] };

/** Until the test ends. There is always a token `all` that may do everything. */
export async function serveApi({
  tokens = [],
  api = '',
  rest = [],
  others,
  env,
  redis,
}: ServeOptions = {}): Promise<ServedApi> {
  const mail = await startTestServer();
  const prefix = redis === undefined ? testPrefix() : '{postlane}';
  const secrets = new Map<string, string>();
  const secretOf = (id: string): string => {
    const secret = secrets.get(id) ?? `plk_${id}_${randomBytes(24).toString('base64url')}`;
    secrets.set(id, secret);
    return secret;
  };
  const config = (specs: readonly TokenSpec[], more: readonly string[] = []): string => {
    const list = [everything, ...specs].map(
      ({ id, ...spec }) => `    - ${JSON.stringify({ id, sha256: hashOf(secretOf(id)), ...spec })}`,
    );
    const section = ['api:', '  listen: 127.0.0.1:0', ...(api === '' ? [] : [`  ${api}`]), '  tokens:', ...list];
    const text = mail.config(prefix, others, [...section, ...rest, ...more]);
    return redis === undefined ? text : text.replace(/^redis: .*$/m, `redis: ${redis}`);
  };
  const here = project(config(tokens));
  const serve = await here.serve(env === undefined ? {} : { env });
  const port = Number((await serve.logged('serving'))['port']);
  const asking = (path: string, asked: Asked = {}): Promise<Answered> => {
    const { as = 'all', port: at = port, headers = {}, ...rest } = asked;
    const authorization: Record<string, string> = as === null ? {} : { authorization: `Bearer ${secretOf(as)}` };
    return ask(at, path, { ...rest, headers: { ...authorization, ...headers } });
  };
  return {
    here,
    mail,
    serve,
    port,
    prefix,
    tokens: secrets,
    config,
    ask: asking,
    post: (path, body, asked = {}) => asking(path, { method: 'POST', body, ...asked }),
  };
}

export function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** One request on a connection of its own. `fetch` does not let a caller choose the Host. */
export async function ask(port: number, path: string, asked: Omit<Asked, 'as' | 'port'> = {}): Promise<Answered> {
  const { method = 'GET', headers = {}, body } = asked;
  const plain = typeof body === 'string' || Buffer.isBuffer(body);
  const sent = body === undefined ? undefined : plain ? body : JSON.stringify(body);
  const type: Record<string, string> = sent === undefined || plain ? {} : { 'content-type': 'application/json' };
  const answered = Promise.withResolvers<Answered>();
  const length: Record<string, string> =
    sent === undefined || 'transfer-encoding' in headers ? {} : { 'content-length': String(Buffer.byteLength(sent)) };
  const all = { host: 'localhost', ...type, ...length, ...headers };
  const call = request({ host: '127.0.0.1', port, path, method, headers: all, agent: false }, (response) => {
    const { statusCode: status = 0, headers } = response;
    const whole = text(response).then((text) => ({ status, headers, text, body: parsed(text) }));
    answered.resolve(whole);
  });
  call.on('error', answered.reject);
  call.end(sent);
  return answered.promise;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
