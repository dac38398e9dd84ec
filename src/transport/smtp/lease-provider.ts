/** What the SMTP transport needs of whatever knows a connector's sessions and hosts over all processes: the interface, without an implementation. */

/** The right to one connection to the server. Released once, after the connection has ended. */
export interface SessionLease {
  release(): void;
}

export interface LeaseProvider {
  /**
   * A lease, after `waitMs` at most; null if none became free or the signal came. Never rejects: while the count is unknown
   * (Redis is away), there is no lease.
   */
  acquire(waitMs: number, signal: AbortSignal): Promise<SessionLease | null>;
  /**
   * Calls `listener` when idle sessions have to end: `one` because another process waits for it, or `all`. Returns the
   * function that unsubscribes.
   */
  onRecall(listener: (which: 'one' | 'all') => void): () => void;
}

/** `probed`: another caller tries it now, after its time was over. */
export type HostStanding = 'free' | 'probe' | 'probed' | 'away';

/** What all workers know of a connector's hosts. */
export interface HostMemory {
  /**
   * Asked right before a host is tried. `away`: it could not be used a short time ago. `probe`: that time is over, and the caller is the
   * one of all that tries it; for the others it is `probed`. Never rejects: while nothing is known, each is `free`.
   */
  ask(name: string): Promise<HostStanding>;
  /** It could not be used. Never rejects. */
  failed(name: string): Promise<void>;
  /** It was not `free`, and has a session. Never rejects. */
  works(name: string): Promise<void>;
}

/** No session may be opened now, because other processes hold all that the connector may have. Not a fault. */
export class NoLease extends Error {}
