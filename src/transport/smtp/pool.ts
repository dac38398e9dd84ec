/**
 * The sessions of one connector: opened when first needed, never more than allowed, reused while they are warm.
 *
 *   slot     the right to one connection; waits in line for it
 *   idle     a session that waits for its next message; ends after `idleMs`
 *   lease    the right to one connection of those that the connector may have over all processes; ends with the connection
 *   trial    the first session, opened alone: a wrong password or a dead server costs one attempt and not one per slot,
 *            and providers lock accounts after some ten refused log-ins
 */
import { abortable } from '../../async/abort.ts';
import { leasedSessions, type OpenSession } from './leased-sessions.ts';
import { NoLease, type SessionLease, type LeaseProvider } from './lease-provider.ts';
import { SmtpFailure } from './failure.ts';
import type { SmtpSession } from './session.ts';
import type { Reservation } from '../transport.ts';

export interface PoolOptions {
  readonly open: OpenSession;
  readonly maxConnections: number;
  /** Null where nobody else connects. */
  readonly leases: LeaseProvider | null;
}

interface Held {
  readonly session: SmtpSession;
  readonly reused: boolean;
}

interface SessionOptions {
  /** Not one that has been used. */
  readonly fresh?: boolean;
  /** For a lease. */
  readonly waitMs?: number;
  /** A lease that is held already. */
  readonly right?: Right;
}

/** A lease until a connection takes it over. */
interface Right {
  lease: SessionLease | null;
}

export interface SmtpSlot {
  /** A warm session, or a new one. `reused` tells that the server may have closed it meanwhile. Rejects with SmtpFailure or NoLease. */
  session(signal: AbortSignal, options?: SessionOptions): Promise<Held>;
  /** Gives the slot back, with the session if there is one that can go on. */
  release(session: SmtpSession | null): void;
}

export interface SmtpPool {
  /** One that was reserved, else one that is free. Null if the signal came first. */
  slot(signal: AbortSignal): Promise<SmtpSlot | null>;
  /**
   * A slot for the next slot(), with the lease for its session; with `connect` the session itself, or its failure. Null if
   * no session is to be had now.
   */
  reserve(signal: AbortSignal, connect: boolean, limitMs: number): Promise<Reservation | null>;
  /** Ends idle sessions now, and the others when they come back. */
  close(): void;
}

/** Servers end idle sessions after minutes (RFC 5321 section 4.5.3.2.7: 5); some after 30 s. Ending first avoids the race. */
const idleMs = 30_000;
/** Servers limit messages per session (Exchange Online, Postfix with smtpd_client limits); 100 spreads the cost of TLS and AUTH well enough. */
const maxMessages = 100;
/** How long a message that is under way waits until another process ends an idle session. */
const leaseWaitMs = 3_000;

export function createSmtpPool({ open, maxConnections, leases }: PoolOptions): SmtpPool {
  const sessions = leasedSessions(open, leases);
  const idle: { session: SmtpSession; timer: NodeJS.Timeout }[] = [];
  /** Each takes the slot that it is handed, or makes one. */
  const waiting: ((place?: SmtpSlot) => void)[] = [];
  let busy = 0;
  /** Slots that hold a session. */
  let using = 0;
  let trial: { readonly session: Promise<SmtpSession>; readonly signal: AbortSignal } | null = null;
  let closed = false;
  /** The last session that was to be opened failed. */
  let failing = false;
  const reserved: SmtpSlot[] = [];
  const leave = (): void => {
    busy -= 1;
    waiting.shift()?.();
  };

  const keep = (session: SmtpSession): void => {
    if (closed || !session.usable || session.messages >= maxMessages) return sessions.quit(session);
    const entry = {
      session,
      timer: setTimeout(() => {
        idle.splice(idle.indexOf(entry), 1);
        sessions.quit(session);
      }, idleMs),
    };
    entry.timer.unref();
    idle.push(entry);
  };

  /** The session used last: the others get to end, and its server has had the least time to close it. */
  const warm = (): SmtpSession | undefined => {
    const entry = idle.pop();
    clearTimeout(entry?.timer);
    return entry?.session;
  };

  const openNow = async (signal: AbortSignal, waitMs: number, right: Right): Promise<SmtpSession> => {
    const lease = right.lease ?? (await sessions.lease(signal, waitMs));
    right.lease = null;
    try {
      const session = await sessions.open(lease, signal);
      failing = false;
      return session;
    } catch (error) {
      failing = true;
      throw error;
    }
  };

  /** Opens at once while other sessions prove that the server takes us; otherwise one alone, whose failure is everybody's. */
  const openOne = async (signal: AbortSignal, waitMs: number, right: Right): Promise<SmtpSession> => {
    if (using > 0 || idle.length > 0) return openNow(signal, waitMs, right);
    const other = trial;
    if (other === null) {
      const mine = { session: openNow(signal, waitMs, right), signal };
      trial = mine;
      try {
        return await mine.session;
      } finally {
        trial = null;
      }
    }
    try {
      await unlessAborted(other.session, signal);
    } catch (error) {
      // That somebody else was stopped says nothing about the server; that the server used up his time does.
      const timedOut = error instanceof SmtpFailure && error.reply.code === 'ETIMEDOUT';
      if (!other.signal.aborted || signal.aborted || timedOut) throw error;
    }
    // The trial's owner takes its session first; from then on everybody may open.
    await Promise.resolve();
    return openOne(signal, waitMs, right);
  };

  const slot = (): SmtpSlot => {
    busy += 1;
    let held = true;
    let has = false;
    const take = (session: SmtpSession): SmtpSession => {
      if (!has) using += 1;
      has = true;
      return session;
    };
    return {
      async session(signal, { fresh = false, waitMs = leaseWaitMs, right = { lease: null } } = {}) {
        try {
          for (let found = fresh ? undefined : warm(); found !== undefined; found = warm()) {
            if (await found.clear(signal)) return { session: take(found), reused: true };
            sessions.quit(found);
          }
          return { session: take(await openOne(signal, waitMs, right)), reused: false };
        } finally {
          right.lease?.release();
          right.lease = null;
        }
      },
      release(session) {
        if (!held) return;
        held = false;
        if (has) using -= 1;
        if (session !== null) keep(session);
        leave();
      },
    };
  };

  const reserve = async (signal: AbortSignal, connect: boolean): Promise<Reservation | null> => {
    const place = slot();
    const right: Right = { lease: null };
    let ready: Held | SmtpFailure | null = null;
    try {
      if (connect || idle.length > 0) ready = await place.session(signal, { waitMs: 0 });
      else right.lease = await sessions.lease(signal, 0);
    } catch (error) {
      if (!(error instanceof SmtpFailure)) {
        place.release(null);
        if (error instanceof NoLease) return null;
        throw error;
      }
      ready = error;
    }
    const entry: SmtpSlot = {
      session(ownSignal, options) {
        const mine = ready;
        ready = null;
        if (mine instanceof SmtpFailure) return Promise.reject(mine);
        return mine === null ? place.session(ownSignal, { ...options, right }) : Promise.resolve(mine);
      },
      release(session) {
        right.lease?.release();
        right.lease = null;
        place.release(session);
      },
    };
    // Who came meanwhile and waits for a slot goes first: whoever reserved this one may be waiting for him.
    const next = waiting.shift();
    if (next === undefined) reserved.push(entry);
    else next(entry);
    return {
      cancel() {
        const index = reserved.indexOf(entry);
        if (index < 0) return;
        reserved.splice(index, 1);
        entry.release(ready === null || ready instanceof SmtpFailure ? null : ready.session);
      },
    };
  };

  const end = (which: 'one' | 'all'): void => {
    // The one used longest ago: nobody will miss it.
    for (const entry of idle.splice(0, which === 'one' ? 1 : idle.length)) {
      clearTimeout(entry.timer);
      sessions.quit(entry.session);
    }
  };
  const forget = leases?.onRecall(end);

  return {
    reserve(signal, connect, limitMs) {
      if (signal.aborted) return Promise.resolve(null);
      // As many sends as the connector may have are under way: there is nothing to get ready.
      // Where sessions fail, only a message that was taken may try: all processes together take one at a time then.
      const ahead = connect && !failing;
      if (busy >= maxConnections || (leases === null && !ahead)) return Promise.resolve(nothingReserved);
      // A warm session needs no time, nor does a lease; signals cost more than they do.
      const quick = !ahead || idle.length > 0;
      return reserve(quick ? signal : AbortSignal.any([signal, AbortSignal.timeout(limitMs)]), ahead);
    },
    slot(signal) {
      if (signal.aborted) return Promise.resolve(null);
      const place = reserved.shift();
      if (place !== undefined) return Promise.resolve(place);
      if (busy < maxConnections) return Promise.resolve(slot());
      return new Promise((resolve) => {
        const enter = (ready = slot()): void => {
          signal.removeEventListener('abort', onAbort);
          resolve(ready);
        };
        const onAbort = (): void => {
          waiting.splice(waiting.indexOf(enter), 1);
          resolve(null);
        };
        waiting.push(enter);
        signal.addEventListener('abort', onAbort, { once: true });
      });
    },
    close() {
      closed = true;
      forget?.();
      end('all');
    },
  };
}

const nothingReserved: Reservation = { cancel: () => undefined };

/** Waiting for a session that another message opens. */
function unlessAborted(work: Promise<unknown>, signal: AbortSignal): Promise<unknown> {
  return abortable(work, signal, () => {
    throw new SmtpFailure('connect', { code: 'ETIMEDOUT', text: 'no session could be opened in time' });
  });
}
