/**
 * Opens sessions under leases. A connection needs a lease before it is dialled and keeps it until it is closed, because the
 * server counts it until then.
 */
import type net from 'node:net';
import { createWaiters } from '../../async/waiters.ts';
import { NoLease, type LeaseProvider, type SessionLease } from './lease-provider.ts';
import type { SmtpSession } from './session.ts';

/** Rejects with SmtpFailure. `onSocket` is called as soon as there is a connection, of several hosts for each. */
export type OpenSession = (signal: AbortSignal, onSocket: (socket: net.Socket) => void) => Promise<SmtpSession>;

export interface LeasedSessions {
  /** A lease for open(), after `waitMs` at most. Rejects with NoLease. */
  lease(signal: AbortSignal, waitMs: number): Promise<SessionLease>;
  /** The connection takes over the lease. Rejects as `OpenSession` does. */
  open(lease: SessionLease, signal: AbortSignal): Promise<SmtpSession>;
  /** Ends a session. The next caller of lease() waits for this session's lease instead of asking for another. */
  quit(session: SmtpSession): void;
}

/** For a connector that no other process connects for. */
const unlimited: SessionLease = { release: () => undefined };

export function leasedSessions(dial: OpenSession, leases: LeaseProvider | null): LeasedSessions {
  /** Connections under a lease: being opened, `live`, or ending. */
  let leased = 0;
  let opening = 0;
  const live = new Set<SmtpSession>();
  /** Callers that take over the lease of a session that is ending in this process. */
  const handOff = createWaiters<SessionLease>();

  const open = async (lease: SessionLease, signal: AbortSignal): Promise<SmtpSession> => {
    let connection: net.Socket | undefined;
    // Of several hosts, each may have had a connection.
    let [connections, dialling] = [0, true];
    const giveBack = (): void => {
      if (dialling || connections > 0) return;
      leased -= 1;
      if (!handOff.give(lease)) lease.release();
    };
    leased += 1;
    opening += 1;
    try {
      const session = await dial(signal, (socket) => {
        connection = socket;
        connections += 1;
        socket.once('close', () => {
          connections -= 1;
          giveBack();
        });
      });
      live.add(session);
      connection?.once('close', () => live.delete(session));
      return session;
    } finally {
      opening -= 1;
      dialling = false;
      // A connection that was made and then failed gives its lease back when it closes, a moment later.
      giveBack();
    }
  };

  return {
    async lease(signal, waitMs) {
      if (leases === null) return unlimited;
      const ending = leased - opening - live.size - handOff.length;
      const lease = await (ending > 0 && !signal.aborted ? handOff.wait(signal) : leases.acquire(waitMs, signal));
      if (lease === null) throw new NoLease();
      return lease;
    },
    open,
    quit(session) {
      live.delete(session);
      session.quit();
    },
  };
}
