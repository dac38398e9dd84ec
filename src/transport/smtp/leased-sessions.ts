/**
 * Opens sessions under leases: a connection needs one before it is dialled, and gives it back when it is closed and not
 * before, as the server counts it until then.
 */
import type net from 'node:net';
import { NoLease, type SessionLease, type SessionLeases } from './leases.ts';
import type { SmtpSession } from './session.ts';

/** Rejects with SmtpFailure. `onSocket` hears of the connection as soon as there is one. */
export type OpenSession = (signal: AbortSignal, onSocket: (socket: net.Socket) => void) => Promise<SmtpSession>;

export interface LeasedSessions {
  /** A lease for open(), after `waitMs` at most. Rejects with NoLease. */
  lease(signal: AbortSignal, waitMs: number): Promise<SessionLease>;
  /** From here on the lease is the connection's. Rejects as the opening does. */
  open(lease: SessionLease, signal: AbortSignal): Promise<SmtpSession>;
  /** Ends a session; whoever opens one next waits for its lease rather than ask for another. */
  quit(session: SmtpSession): void;
}

/** Where nobody else connects. */
const alone: SessionLease = { release: () => undefined };

export function leasedSessions(dial: OpenSession, leases: SessionLeases | null): LeasedSessions {
  /** Connections under a lease: being opened, `live`, or just ending. */
  let leased = 0;
  let opening = 0;
  const live = new Set<SmtpSession>();
  /** Who waits for a session that is just ending here. */
  const heirs: ((lease: SessionLease | null) => void)[] = [];

  const inherit = (signal: AbortSignal): Promise<SessionLease | null> =>
    new Promise((resolve) => {
      const heir = (lease: SessionLease | null): void => {
        signal.removeEventListener('abort', onAbort);
        resolve(lease);
      };
      const onAbort = (): void => {
        heirs.splice(heirs.indexOf(heir), 1);
        heir(null);
      };
      heirs.push(heir);
      signal.addEventListener('abort', onAbort, { once: true });
    });

  const open = async (lease: SessionLease, signal: AbortSignal): Promise<SmtpSession> => {
    let connection: net.Socket | undefined;
    const giveBack = (): void => {
      leased -= 1;
      const heir = heirs.shift();
      if (heir === undefined) lease.release();
      else heir(lease);
    };
    leased += 1;
    opening += 1;
    try {
      const session = await dial(signal, (socket) => {
        connection = socket;
        socket.once('close', giveBack);
      });
      live.add(session);
      connection?.once('close', () => live.delete(session));
      return session;
    } finally {
      opening -= 1;
      // A connection that was made, and then failed, is closed a moment later.
      if (connection === undefined) giveBack();
    }
  };

  return {
    async lease(signal, waitMs) {
      if (leases === null) return alone;
      const ending = leased - opening - live.size - heirs.length;
      const lease = await (ending > 0 && !signal.aborted ? inherit(signal) : leases.acquire(waitMs, signal));
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
