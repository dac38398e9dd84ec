/** Sessions between two messages: kept for a while, reused most recent first, ended when nothing needs them. */
import type { SmtpSession } from './session.ts';

/** Servers end idle sessions after minutes (RFC 5321 section 4.5.3.2.7: 5), some after 30 s. Ending them first avoids the race. */
const idleMs = 30_000;
/** Servers limit messages per session (Exchange Online, Postfix with smtpd_client limits); 100 spread the cost of TLS and AUTH. */
const maxMessagesPerSession = 100;

export interface IdleSessions {
  readonly count: number;
  /** Keeps the session for the next message, or ends it if it cannot take one. */
  keep(session: SmtpSession): void;
  /** The session used last. The others can then expire, and the server has had the least time to close this one. */
  take(): SmtpSession | undefined;
  /** The session used last that needs no command before the next message. */
  takeClear(): SmtpSession | undefined;
  /** Ends the session idle for longest, or all of them. */
  end(which: 'one' | 'all'): void;
  /** Ends all, and from now on every session that comes back. */
  close(): void;
}

export function createIdleSessions(
  quit: (session: SmtpSession) => void,
  maxMessages: () => number = () => maxMessagesPerSession,
): IdleSessions {
  const idle: { session: SmtpSession; timer: NodeJS.Timeout }[] = [];
  let closed = false;

  const end = (which: 'one' | 'all'): void => {
    for (const entry of idle.splice(0, which === 'one' ? 1 : idle.length)) {
      clearTimeout(entry.timer);
      quit(entry.session);
    }
  };

  return {
    get count() {
      return idle.length;
    },
    keep(session) {
      if (closed || !session.usable || session.messages >= Math.min(maxMessages(), maxMessagesPerSession))
        return quit(session);
      const expire = (): void => {
        idle.splice(idle.indexOf(entry), 1);
        quit(session);
      };
      const entry = { session, timer: setTimeout(expire, idleMs) };
      entry.timer.unref();
      idle.push(entry);
    },
    take() {
      const entry = idle.pop();
      clearTimeout(entry?.timer);
      return entry?.session;
    },
    takeClear() {
      const index = idle.findLastIndex(({ session }) => session.usable && session.isClear);
      const [entry] = index < 0 ? [] : idle.splice(index, 1);
      clearTimeout(entry?.timer);
      return entry?.session;
    },
    end,
    close() {
      closed = true;
      end('all');
    },
  };
}
