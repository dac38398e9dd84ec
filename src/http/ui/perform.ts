/** Does what a form asks for, by the route of the API that does the same: with its scope, its checks, its rate and its entry in the audit. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ApiToken } from '../../config/api.ts';
import { hasScope, missingScope, takeRate } from '../api/access.ts';
import { check } from '../api/input.ts';
import type { Context, Reply, Tools } from '../api/route.ts';
import { routes } from '../api/routes.ts';
import { problemOf, type Problem } from '../problem.ts';

export interface Asker {
  readonly token: ApiToken;
  /** IP address. */
  readonly client: string;
  readonly tools: Tools;
  readonly socket: { readonly request: IncomingMessage; readonly response: ServerResponse };
  readonly signal: AbortSignal;
}

export interface Input {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** For routes that read their body by themselves; sent as JSON. */
  readonly payload?: unknown;
}

export type Performed =
  | { readonly ok: true; readonly body: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly problem: Problem };

/** `name`: that of a route. */
export async function perform(name: string, input: Input, asker: Asker): Promise<Performed> {
  const { token, tools } = asker;
  const route = routes.find((each) => each.name === name);
  if (route === undefined) throw new Error(`no route is called ${name}`);
  if (!hasScope(token, route.scope)) return { ok: false, problem: missingScope(token, route.scope) };
  try {
    const over = await takeRate(token, 1, tools);
    if (over !== null) return { ok: false, problem: over };
    const params = route.params === undefined ? null : check(route.params, input.params ?? {});
    if (params?.ok === false)
      return { ok: false, problem: { code: 'not-found', detail: 'there is nothing of this name' } };
    const query = route.query === undefined ? null : check(route.query, input.query ?? {});
    if (query?.ok === false) return query;
    const body = route.body === undefined ? null : check(route.body, input.body);
    if (body?.ok === false) return body;
    const payload =
      input.payload === undefined
        ? undefined
        : { contentType: 'application/json', bytes: Buffer.from(JSON.stringify(input.payload)) };
    const context: Context = { ...asker, through: 'ui' };
    const given = { params: params?.value, query: query?.value, body: body?.value, payload };
    return answerOf(await route.handle(given as never, context));
  } catch (thrown) {
    const problem = problemOf(thrown);
    if (problem.code === 'internal') throw thrown;
    return { ok: false, problem };
  }
}

function answerOf(reply: Reply): Performed {
  if (reply.kind === 'problem') return { ok: false, problem: reply.problem };
  const body = reply.kind === 'json' ? (Object(reply.body) as Readonly<Record<string, unknown>>) : {};
  return { ok: true, body };
}
