/** What a transport needs to know of the sessions that a connector has open elsewhere: rights to one each, for all processes together. */

/** The right to one connection to the server. Given back once, when the connection has ended. */
export interface SessionLease {
  release(): void;
}

export interface SessionLeases {
  /**
   * A lease, after `waitMs` at most; null if none became free, or the signal came. Never rejects: where nobody can say how
   * many there are (Redis is away), none is to be had.
   */
  acquire(waitMs: number, signal: AbortSignal): Promise<SessionLease | null>;
  /** Calls when idle sessions shall end: `one`, as another process waits for it, or `all`. → stops calling */
  onRecall(listener: (which: 'one' | 'all') => void): () => void;
}

/** No session may be opened now: those that the connector may have are open in other processes. Nobody's fault. */
export class NoLease extends Error {}
