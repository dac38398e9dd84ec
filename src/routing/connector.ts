/** What all rooms know of a connector: its id, its direction, the addresses it may send for, and its limits. */

export type Direction = 'incoming' | 'outgoing' | 'both';

/** `addresses` holds normalised patterns: `local@domain` or `*@domain`, domain as A-label, all in lower case. */
export interface Connector {
  readonly id: string;
  readonly direction: Direction;
  readonly addresses: readonly string[];
  /** What happens to its mail while it is at fault. Default: it waits. */
  readonly fallback?: Fallback | null;
  /** Whom it may stand in for beside its own addresses: patterns, or `*`. */
  readonly fallbackFor?: readonly string[];
}

/** Who stands in for a connector, and from when. */
export interface Fallback {
  /** Ids of connectors, the first one that can is taken. */
  readonly to: readonly string[];
  /** How long it has been at fault before. */
  readonly afterMs: number;
  /** Faults after which nothing is waited for. */
  readonly atOnce: readonly string[];
}

/** What a connector may send, over all workers. docs/limits.md says where each limit is enforced. */
export interface ConnectorLimits {
  /** Messages that are sent at once, and connections to an SMTP server. */
  readonly concurrency: number;
  /** Evenly spaced, one every 60/n seconds; null is unlimited. */
  readonly messagesPerMinute: number | null;
  /** Within any 24 hours; null is unlimited. */
  readonly recipientsPerDay?: number | null;
  /** Bytes of mail within any window of that length; null is unlimited. */
  readonly bytesPerWindow?: { readonly bytes: number; readonly windowMs: number } | null;
  /** Bytes of a message as it is sent; null is what the server accepts. */
  readonly maxBytes?: number | null;
  /** Recipients of one SMTP transaction; a message to more is sent in several. Null is what the server accepts. */
  readonly recipientsPerMessage?: number | null;
  /** Messages of one SMTP session; the next goes on a new one. Null is what the server accepts, and 100 at most. */
  readonly messagesPerSession?: number | null;
  /** The group whose limits hold beside these; null is none. */
  readonly group?: GroupLimits | null;
}

/** What several connectors may send together, over all workers. null is unlimited; one of them is set. */
export interface GroupLimits {
  readonly id: string;
  /** Within any 60 seconds. */
  readonly messagesPerMinute: number | null;
  /** Within any 24 hours. */
  readonly recipientsPerDay: number | null;
  /** Bytes of mail within any window of that length. */
  readonly bytesPerWindow: { readonly bytes: number; readonly windowMs: number } | null;
}

/** Only these directions ever send. */
export function sends(direction: Direction): boolean {
  return direction === 'outgoing' || direction === 'both';
}

export type RouteRule = 'exact' | 'domain' | 'default' | 'none';

/** Which connector sends for a From: `connector` is null exactly if `rule` is `none`. */
export interface Route {
  readonly connector: string | null;
  readonly rule: RouteRule;
  readonly passedOver: readonly { readonly connector: string; readonly why: string }[];
}
