/**
 * Opens new sessions, and only one at a time until the server has proved that it accepts this connector: the half-open probe
 * of a circuit breaker. A wrong password or a dead server then costs one attempt instead of one per slot; providers lock
 * accounts after some ten refused logins.
 */
import { abortable } from '../../async/abort.ts';
import { SmtpFailure } from './failure.ts';
import type { LeasedSessions } from './leased-sessions.ts';
import type { SessionLease } from './lease-provider.ts';
import type { SmtpSession } from './session.ts';

/** Holds a lease until a connection takes it over. */
export interface ReservedLease {
  lease: SessionLease | null;
}

export interface SessionOpener {
  /** The last session could not be opened. */
  readonly failing: boolean;
  /** Opens under the reserved lease, else under one that is free within `waitMs`. Rejects with SmtpFailure or NoLease. */
  open(signal: AbortSignal, waitMs: number, reserved: ReservedLease): Promise<SmtpSession>;
}

/** `isProven`: another session of this process shows that the server accepts the connector. */
export function createSessionOpener(sessions: LeasedSessions, isProven: () => boolean): SessionOpener {
  let probe: { readonly session: Promise<SmtpSession>; readonly signal: AbortSignal } | null = null;
  let failing = false;

  const openNow = async (signal: AbortSignal, waitMs: number, reserved: ReservedLease): Promise<SmtpSession> => {
    const lease = reserved.lease ?? (await sessions.lease(signal, waitMs));
    reserved.lease = null;
    try {
      const session = await sessions.open(lease, signal);
      failing = false;
      return session;
    } catch (error) {
      failing = true;
      throw error;
    }
  };

  const open = async (signal: AbortSignal, waitMs: number, reserved: ReservedLease): Promise<SmtpSession> => {
    if (isProven()) return openNow(signal, waitMs, reserved);
    if (probe === null) {
      const own = { session: openNow(signal, waitMs, reserved), signal };
      probe = own;
      try {
        return await own.session;
      } finally {
        probe = null;
      }
    }
    const other = probe;
    try {
      await abortable<unknown>(other.session, signal, () => {
        throw new SmtpFailure('connect', { code: 'ETIMEDOUT', text: 'no session could be opened in time' });
      });
    } catch (error) {
      // A probe that its owner aborted says nothing about the server. One that used up its time does.
      const timedOut = error instanceof SmtpFailure && error.reply.code === 'ETIMEDOUT';
      if (!other.signal.aborted || signal.aborted || timedOut) throw error;
    }
    // The owner of the probe takes its session first. After that, every caller may open one.
    await Promise.resolve();
    return open(signal, waitMs, reserved);
  };

  return {
    get failing() {
      return failing;
    },
    open,
  };
}
