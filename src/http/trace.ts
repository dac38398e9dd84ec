/** What is noted of a request while it is answered, for its line in the log and its metrics: never a body, a query or a token. */
import type { TraceIds } from '../tracing/tracing.ts';

export interface Trace {
  readonly startedAt: number;
  /** IP address of the client. */
  readonly client: string;
  /** Name of the operation; `unknown` until one is found. */
  route: string;
  /** Id of the token that was valid. */
  tokenId: string | null;
  /** Of the message or connector that the path names. */
  id: string | null;
  /** Code of the problem that was answered. */
  code: string | null;
  /** The span of the request, where there is one. */
  span: TraceIds | null;
}
