/**
 * The sessions of one connector: opened when first needed, never more than allowed, reused while they are idle.
 *
 *   slot          the right to one connection of this process; callers wait in line for it
 *   lease         the right to one of the connections that all processes together may have; ends with the connection
 *   reservation   a slot made ready, with its lease or its session, before the message is known
 */
import { createWaiters } from '../../async/waiters.ts';
import { SmtpFailure } from './failure.ts';
import { createIdleSessions } from './idle-sessions.ts';
import { leasedSessions, type OpenSession } from './leased-sessions.ts';
import { NoLease, type LeaseProvider } from './lease-provider.ts';
import { createSessionOpener, type ReservedLease } from './session-opener.ts';
import type { SmtpSession } from './session.ts';
import type { Reservation } from '../transport.ts';

export interface PoolOptions {
  readonly open: OpenSession;
  readonly maxConnections: number;
  /** Null if no other process connects for this connector. */
  readonly leases: LeaseProvider | null;
  /** Default: 100. */
  readonly maxMessagesPerSession?: () => number;
}

export interface HeldSession {
  readonly session: SmtpSession;
  /** It carried a message before, so the server may have closed it meanwhile. */
  readonly reused: boolean;
}

interface SessionOptions {
  /** Opens a new session even if one is idle. */
  readonly fresh?: boolean;
  /** How long to wait for a lease. */
  readonly waitMs?: number;
  readonly reserved?: ReservedLease;
}

export interface SmtpSlot {
  /** An idle session, or a new one. Rejects with SmtpFailure or NoLease. */
  session(signal: AbortSignal, options?: SessionOptions): Promise<HeldSession>;
  /** Gives the slot back, with the session if it can carry another message. */
  release(session: SmtpSession | null): void;
}

export interface SmtpPool {
  /** The slot of `place`; else the one that was reserved first, else a free one. Null if the signal comes first. */
  slot(signal: AbortSignal, place?: Reservation): Promise<SmtpSlot | null>;
  /** Reserves a slot with a session that is idle and clear, for the caller of slot() that names it. Null if there is none now. */
  warm(): Reservation | null;
  /**
   * Reserves a slot for the next caller of slot(), with the lease for its session; with `connect` also the session itself, or
   * its failure. Null if no session can be had now.
   */
  reserve(signal: AbortSignal, connect: boolean, limitMs: number): Promise<Reservation | null>;
  /** Ends idle sessions now, and the others when they come back. */
  close(): void;
}

/** How long a message waits for another process to end an idle session. */
const leaseWaitMs = 3_000;

/** Until the number of sessions that was too much is tried again, the lane is narrower; see adaptive-concurrency.ts. */
const narrowMs = 1_000;

/**
 * A server that refuses a connection while it serves others of this process is not away but full: sendmail closes its port at
 * MaxDaemonChildren, and others reset what they do not accept, with implicit TLS in its handshake.
 */
function besideOthers(failure: SmtpFailure): SmtpFailure {
  const { phase, answered, reply } = failure;
  const isRefused = reply.code === 'ECONNREFUSED' || reply.code === 'ECONNRESET';
  if (answered || !isRefused || (phase !== 'connect' && phase !== 'tls' && phase !== 'greeting')) return failure;
  const text = `no further connection beside those that are open: ${reply.text ?? reply.code}`;
  const { server, missed } = failure;
  return new SmtpFailure(phase, { code: reply.code, text }, { fault: 'throttled', pauseMs: narrowMs, server, missed });
}

/** A slot whose first session is there, or has failed, or has its lease. `giveBack`: no one took it. */
function readySlot(slot: SmtpSlot, made: HeldSession | SmtpFailure | null, lease: ReservedLease) {
  let ready = made;
  const entry: SmtpSlot = {
    session(signal, options) {
      const held = ready;
      ready = null;
      if (held instanceof SmtpFailure) return Promise.reject(held);
      return held === null ? slot.session(signal, { ...options, reserved: lease }) : Promise.resolve(held);
    },
    release(session) {
      lease.lease?.release();
      lease.lease = null;
      slot.release(session);
    },
  };
  return {
    entry,
    giveBack: () => entry.release(ready === null || ready instanceof SmtpFailure ? null : ready.session),
  };
}

/** Slots that are for those who name their place. */
function createPlaces() {
  const slots = new Map<Reservation, SmtpSlot>();
  const take = (place: Reservation): SmtpSlot | undefined => {
    const slot = slots.get(place);
    slots.delete(place);
    return slot;
  };
  return {
    take,
    add(slot: SmtpSlot): Reservation {
      const place: Reservation = { cancel: () => take(place)?.release(null) };
      slots.set(place, slot);
      return place;
    },
  };
}

const nothingReserved: Reservation = { cancel: () => undefined };

export function createSmtpPool({ open, maxConnections, leases, maxMessagesPerSession }: PoolOptions): SmtpPool {
  const sessions = leasedSessions(open, leases);
  const idle = createIdleSessions((session) => sessions.quit(session), maxMessagesPerSession);
  const opener = createSessionOpener(sessions, () => holding > 0 || idle.count > 0);
  const unsubscribe = leases?.onRecall((which) => idle.end(which));
  const waiting = createWaiters<SmtpSlot>();
  const reserved: SmtpSlot[] = [];
  const warm = createPlaces();
  /** Slots that are taken or reserved. */
  let busy = 0;
  /** Slots that hold a session. */
  let holding = 0;

  /** `given`: the session that it holds from the beginning. */
  const createSlot = (given: SmtpSession | null = null): SmtpSlot => {
    busy += 1;
    let released = false;
    let holds = false;
    let ready = given;
    const hold = (session: SmtpSession): SmtpSession => {
      if (!holds) holding += 1;
      holds = true;
      return session;
    };
    if (given !== null) hold(given);
    return {
      async session(signal, { fresh = false, waitMs = leaseWaitMs, reserved: lease = { lease: null } } = {}) {
        const warmed = ready;
        ready = null;
        if (warmed !== null && !fresh) return { session: warmed, reused: true };
        if (warmed !== null) sessions.quit(warmed);
        try {
          for (let found = fresh ? undefined : idle.take(); found !== undefined; found = idle.take()) {
            if (await found.clear(signal)) return { session: hold(found), reused: true };
            sessions.quit(found);
          }
          return { session: hold(await opener.open(signal, waitMs, lease)), reused: false };
        } catch (error) {
          const others = holding - (holds ? 1 : 0) + idle.count;
          throw error instanceof SmtpFailure && others > 0 ? besideOthers(error) : error;
        } finally {
          lease.lease?.release();
          lease.lease = null;
        }
      },
      release(session) {
        if (released) return;
        released = true;
        if (holds) holding -= 1;
        if (session !== null) idle.keep(session);
        else if (ready !== null) idle.keep(ready);
        busy -= 1;
        if (waiting.length > 0) waiting.give(createSlot());
      },
    };
  };

  const reserve = async (signal: AbortSignal, connect: boolean): Promise<Reservation | null> => {
    const slot = createSlot();
    const reservedLease: ReservedLease = { lease: null };
    let ready: HeldSession | SmtpFailure | null = null;
    try {
      if (connect || idle.count > 0) ready = await slot.session(signal, { waitMs: 0 });
      else reservedLease.lease = await sessions.lease(signal, 0);
    } catch (error) {
      if (!(error instanceof SmtpFailure)) {
        slot.release(null);
        if (error instanceof NoLease) return null;
        throw error;
      }
      ready = error;
    }
    const { entry, giveBack } = readySlot(slot, ready, reservedLease);
    // A caller that came meanwhile goes first: whatever reserved this slot may be waiting for that caller's message to end.
    if (!waiting.give(entry)) reserved.push(entry);
    return {
      cancel() {
        const index = reserved.indexOf(entry);
        if (index < 0) return;
        reserved.splice(index, 1);
        giveBack();
      },
    };
  };

  return {
    reserve(signal, connect, limitMs) {
      if (signal.aborted) return Promise.resolve(null);
      // While sessions fail, only a message that was taken may try, so that all processes together try one at a time.
      const ahead = connect && !opener.failing;
      // With all slots in use there is nothing to make ready.
      if (busy >= maxConnections || (leases === null && !ahead)) return Promise.resolve(nothingReserved);
      // An idle session and a lease need no time limit, and the signals for one cost more than they do.
      const quick = !ahead || idle.count > 0;
      return reserve(quick ? signal : AbortSignal.any([signal, AbortSignal.timeout(limitMs)]), ahead);
    },
    warm() {
      if (busy >= maxConnections || waiting.length > 0) return null;
      const session = idle.takeClear();
      return session === undefined ? null : warm.add(createSlot(session));
    },
    slot(signal, place) {
      if (signal.aborted) return Promise.resolve(null);
      const named = place === undefined ? undefined : warm.take(place);
      if (named !== undefined) return Promise.resolve(named);
      const slot = reserved.shift();
      if (slot !== undefined) return Promise.resolve(slot);
      return busy < maxConnections ? Promise.resolve(createSlot()) : waiting.wait(signal);
    },
    close() {
      unsubscribe?.();
      idle.close();
    },
  };
}
