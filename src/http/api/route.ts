/**
 * How a route is declared: method, path, scope, what it takes, what it answers, and the function that does it. What OpenAPI says of it,
 * what is checked before it runs, and what it is given come from this one declaration; a route without a scope cannot be declared.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { z } from 'zod';
import type { Operator } from '../../admin/operator.ts';
import type { ApiToken } from '../../config/api.ts';
import type { Config } from '../../config/config.ts';
import type { Scope } from '../../config/scopes.ts';
import type { Submitter } from '../../producer/producer.ts';
import type { EventHub } from './event-hub.ts';
import type { Problem, ProblemCode } from '../problem.ts';

/** What handlers work with: what an application and an operator have. */
export interface Tools {
  readonly producer: Submitter;
  /** Rejects with `redis-unavailable` while Redis is away. One for all requests; a handler does not close it. */
  readonly operator: () => Promise<Operator>;
  /** Events for clients that listen. */
  readonly live: EventHub;
  /** Logs in to the server of a connector that sends, and sends nothing. */
  readonly tryConnector: (connector: string) => Promise<ConnectorCheck>;
  /** Sends a test event to a webhook of the configuration, from here and now. */
  readonly testWebhook: (webhook: string) => Promise<WebhookTry>;
  /** In force now. */
  readonly config: () => Config;
  readonly configState: () => ConfigState;
  /** ms since the epoch. */
  readonly now: () => number;
}

/** Of the file, since this process runs. Times in ms since the epoch. */
export interface ConfigState {
  readonly appliedAt: number;
  /** A later file has mistakes, and is not in force. */
  readonly rejectedAt: number | null;
  readonly mistakes: number;
}

/** What came of a log-in. */
interface ConnectorCheck {
  readonly connector: string;
  readonly transport: string;
  readonly ok: boolean;
  readonly fault: string | null;
  readonly code: string | null;
  readonly detail: string;
  readonly durationMs: number;
  /** null: the login failed. */
  readonly senders: { readonly tested: readonly TestedSender[] } | null;
}

/** What the server of a connector says about one of its senders, and what to do about it. */
export interface TestedSender {
  readonly address: string;
  readonly result: 'ok' | 'unproven' | 'refused' | 'unknown';
  readonly advice: string;
}

/** What came of a test event. */
interface WebhookTry {
  /** Of HTTP; null if there was no answer. */
  readonly status: number | null;
  /** null: it was taken. */
  readonly failure: string | null;
}

export interface Context {
  /** Who asks. It was valid, and had the scope, when the request came. */
  readonly token: ApiToken;
  /** IP address of the client, for audits. */
  readonly client: string;
  readonly through: 'api' | 'ui';
  readonly tools: Tools;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
  /** For streams alone. */
  readonly socket: { readonly request: IncomingMessage; readonly response: ServerResponse };
}

export type Reply =
  | {
      readonly kind: 'json';
      readonly status: number;
      readonly body: unknown;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'empty'; readonly status: number }
  | { readonly kind: 'problem'; readonly problem: Problem }
  /** The handler has written to the socket by itself. */
  | { readonly kind: 'streamed' };

export function json(body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Reply {
  return { kind: 'json', status, body, headers };
}

/** @public */
export const noContent: Reply = { kind: 'empty', status: 204 };

export function problem(code: ProblemCode, detail: string, more: Omit<Problem, 'code' | 'detail'> = {}): Reply {
  return { kind: 'problem', problem: { code, detail, ...more } };
}

/** A body that the handler reads by itself, as bytes. */
export interface Payload {
  /** Without parameters, such as `application/json`. */
  readonly contentType: string;
  readonly bytes: Buffer;
}

/** An answer, for OpenAPI: what it means and what is in it. Without a schema it has no body. */
export interface Answer {
  readonly description: string;
  readonly body?: z.ZodType;
  /** Default: `application/json`. */
  readonly contentType?: string;
}

type Shape = z.ZodObject;
type Output<S extends z.ZodType | undefined> = S extends z.ZodType ? z.output<S> : undefined;

interface Input<P extends Shape | undefined, Q extends Shape | undefined, B extends z.ZodType | undefined> {
  /** Of the path. A value that breaks its schema is `not-found`. */
  readonly params: Output<P>;
  readonly query: Output<Q>;
  /** Parsed and checked. */
  readonly body: Output<B>;
  /** Where the route has `payload`. */
  readonly payload: Payload | undefined;
}

interface RouteSpec<P extends Shape | undefined, Q extends Shape | undefined, B extends z.ZodType | undefined> {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** As OpenAPI writes it: `/v1/messages/{id}`. */
  readonly path: `/v1/${string}`;
  /** Of the operation: a verb and a noun, for generated clients, logs and metrics. */
  readonly name: string;
  readonly summary: string;
  readonly description?: string;
  /** `any`: every token. */
  readonly scope: Scope | 'any';
  readonly params?: P;
  /** Texts, or lists of them where a name may be repeated. An unknown name is refused unless the object is loose. */
  readonly query?: Q;
  readonly body?: B;
  /** The handler reads the body; the schemas are for OpenAPI. `maxBytes` is asked for each request. */
  readonly payload?: {
    readonly types: Readonly<Record<string, z.ZodType>>;
    readonly maxBytes: (config: Config) => number;
  };
  /** Of the request, for OpenAPI and for clients made from it. */
  readonly headers?: Shape;
  /** By status; problems are in `problems`. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Beside those that every route has. */
  readonly problems?: readonly ProblemCode[];
  readonly handle: (input: Input<P, Q, B>, context: Context) => Reply | Promise<Reply>;
}

/** A route whose types are checked already. */
export type Route = Omit<RouteSpec<Shape, Shape, z.ZodType>, 'handle'> & {
  readonly handle: (input: Input<undefined, undefined, undefined>, context: Context) => Reply | Promise<Reply>;
};

export function route<
  P extends Shape | undefined = undefined,
  Q extends Shape | undefined = undefined,
  B extends z.ZodType | undefined = undefined,
>(spec: RouteSpec<P, Q, B>): Route {
  return spec as unknown as Route;
}
