/** Events of the process around a worker: start, configuration, signals. The worker has its own events. */

/** A mistake in the configuration; it never contains a value. */
interface ConfigMistake {
  readonly key: string;
  readonly rule: string;
  readonly message: string;
  readonly file: string;
  readonly line: number;
}

export type ProcessEvent =
  | { readonly event: 'starting'; readonly config: string; readonly connectors: number; readonly node: string }
  | { readonly event: 'start-failed'; readonly detail: string }
  | { readonly event: 'health-listening'; readonly host: string; readonly port: number }
  | { readonly event: 'metrics-listening'; readonly host: string; readonly port: number }
  /** Mail is sent without metrics; the address is tried again. */
  | { readonly event: 'metrics-unavailable'; readonly host: string; readonly port: number; readonly detail: string }
  | { readonly event: 'serving'; readonly host: string; readonly port: number }
  | { readonly event: 'served' }
  /** A request of the HTTP API was answered. `route` is the name of its operation. */
  | {
      readonly event: 'request';
      readonly method: string;
      readonly route: string;
      readonly status: number;
      readonly code: string | null;
      readonly durationMs: number;
      readonly tokenId: string | null;
      readonly client: string;
      /** Of the message or connector that the path names. */
      readonly id: string | null;
    }
  | { readonly event: 'request-failed'; readonly route: string; readonly detail: string }
  /** An operation over dead letters could not go on; it is tried again. */
  | { readonly event: 'operation-failed'; readonly detail: string }
  /** The first failure of a webhook after a success. */
  | { readonly event: 'webhook-failed'; readonly webhook: string; readonly reason: string }
  /** The first success after failures. */
  | { readonly event: 'webhook-recovered'; readonly webhook: string; readonly failures: number }
  | { readonly event: 'webhook-dead'; readonly webhook: string; readonly eventId: string; readonly reason: string }
  /** Nothing is sent to it until an operator enables it. */
  | { readonly event: 'webhook-off'; readonly webhook: string; readonly reason: string }
  /** Something within this process or Redis; it is tried again. */
  | { readonly event: 'webhook-error'; readonly webhook: string; readonly detail: string }
  | ({ readonly event: 'config-warning' } & ConfigMistake)
  | { readonly event: 'config-rejected'; readonly mistakes: readonly ConfigMistake[] }
  /** A credential or certificate ends soon, or has ended: said once a day. `key` is its place in the configuration. */
  | { readonly event: 'ends-soon'; readonly key: string; readonly endsAt: string; readonly days: number }
  | { readonly event: 'config-unchanged' }
  | { readonly event: 'restart-needed'; readonly keys: readonly string[] }
  | { readonly event: 'signal'; readonly signal: string };
