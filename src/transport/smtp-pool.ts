/**
 * The sessions of one connector: opened when first needed, never more than allowed, reused while they are warm.
 *
 *   slot     the right to one connection; waits in line for it
 *   idle     a session that waits for its next message; ends after `idleMs`
 *   trial    the first session, opened alone: a wrong password or a dead server costs one attempt and not one per slot,
 *            and providers lock accounts after some ten refused log-ins
 */
import { SmtpFailure } from './smtp-failure.ts';
import type { SmtpSession } from './smtp-session.ts';

export interface PoolOptions {
  /** Rejects with SmtpFailure. */
  readonly open: (signal: AbortSignal) => Promise<SmtpSession>;
  readonly maxConnections: number;
}

export interface SmtpSlot {
  /** A warm session, or a new one. `reused` tells that the server may have closed it meanwhile. */
  session(signal: AbortSignal, options?: { fresh: boolean }): Promise<{ session: SmtpSession; reused: boolean }>;
  /** Gives the slot back, with the session if there is one that can go on. */
  release(session: SmtpSession | null): void;
}

export interface SmtpPool {
  /** Null if the signal came first. */
  slot(signal: AbortSignal): Promise<SmtpSlot | null>;
  /** Ends idle sessions now, and the others when they come back. */
  close(): void;
}

/** Servers end idle sessions after minutes (RFC 5321 section 4.5.3.2.7: 5); some after 30 s. Ending first avoids the race. */
const idleMs = 30_000;
/** Servers limit messages per session (Exchange Online, Postfix with smtpd_client limits); 100 spreads the cost of TLS and AUTH well enough. */
const maxMessages = 100;

export function createSmtpPool({ open, maxConnections }: PoolOptions): SmtpPool {
  const idle: { session: SmtpSession; timer: NodeJS.Timeout }[] = [];
  const waiting: (() => void)[] = [];
  let busy = 0;
  /** Slots that hold a session. */
  let using = 0;
  let trial: { readonly session: Promise<SmtpSession>; readonly signal: AbortSignal } | null = null;
  let closed = false;

  const leave = (): void => {
    busy -= 1;
    waiting.shift()?.();
  };

  const keep = (session: SmtpSession): void => {
    if (closed || !session.usable || session.messages >= maxMessages) return session.quit();
    const entry = {
      session,
      timer: setTimeout(() => {
        idle.splice(idle.indexOf(entry), 1);
        session.quit();
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

  /** Opens at once while other sessions prove that the server takes us; otherwise one alone, whose failure is everybody's. */
  const openOne = async (signal: AbortSignal): Promise<SmtpSession> => {
    if (using > 0 || idle.length > 0) return open(signal);
    const other = trial;
    if (other === null) {
      const mine = { session: open(signal), signal };
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
    return openOne(signal);
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
      async session(signal, { fresh } = { fresh: false }) {
        for (let found = fresh ? undefined : warm(); found !== undefined; found = warm()) {
          if (await found.clear(signal)) return { session: take(found), reused: true };
          found.quit();
        }
        return { session: take(await openOne(signal)), reused: false };
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

  return {
    slot(signal) {
      if (signal.aborted) return Promise.resolve(null);
      if (busy < maxConnections) return Promise.resolve(slot());
      return new Promise((resolve) => {
        const enter = (): void => {
          signal.removeEventListener('abort', onAbort);
          resolve(slot());
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
      for (let session = warm(); session !== undefined; session = warm()) session.quit();
    },
  };
}

/** Rejects as soon as the signal comes; the work itself goes on. */
async function unlessAborted(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const failure = (): SmtpFailure =>
    new SmtpFailure('connect', { code: 'ETIMEDOUT', text: 'no session could be opened in time' });
  if (signal.aborted) throw failure();
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = (): void => reject(failure());
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
