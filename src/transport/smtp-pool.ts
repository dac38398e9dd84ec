/**
 * The sessions of one connector: opened when first needed, never more than allowed, reused while they are warm.
 *
 *   slot     the right to one connection; waits in line for it
 *   idle     a session that waits for its next message; ends after `idleMs`
 */
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

  const slot = (): SmtpSlot => {
    busy += 1;
    let held = true;
    return {
      async session(signal, { fresh } = { fresh: false }) {
        for (let found = fresh ? undefined : warm(); found !== undefined; found = warm()) {
          if (await found.clear(signal)) return { session: found, reused: true };
          found.quit();
        }
        return { session: await open(signal), reused: false };
      },
      release(session) {
        if (!held) return;
        held = false;
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
