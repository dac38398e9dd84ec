/**
 * One client of the event stream. It holds no events: it knows where it stands, and takes what comes next from the shared window when its
 * socket has room. A client that does not read costs a socket buffer, and is ended once the window has moved past it; it comes back with
 * `Last-Event-ID`, and is read what it has missed.
 */
import type { ServerResponse } from 'node:http';
import type { ApiToken } from '../../config/api.ts';
import { covers, joined, type EventCursor } from '../../queue/journal/events.ts';
import { mayUse } from './access.ts';
import type { EventWindow, WindowEvent } from './event-window.ts';

/** A socket that takes nothing for so long is given up, in ms. */
const stuckMs = 60_000;

export interface EventFilter {
  /** `message.sent`, or `message.*` for all that begin so; empty is every type. */
  readonly types: readonly string[];
  readonly connector: string | null;
}

export interface EventStream {
  readonly token: ApiToken;
  /** Where it stands. */
  readonly cursor: () => EventCursor;
  /** Writes events that were read for it alone, as far as its socket has room; `then` is where it stands after all of them. */
  write(events: readonly WindowEvent[], then: EventCursor): void;
  /** A line of its own, beside events. */
  say(text: string): void;
  /** It stands within the window from now on, and takes from it what it needs. */
  follow(window: EventWindow): void;
  /** Takes what has come, as far as its socket has room. */
  advance(): void;
  /** `now` is monotonic, in ms. Keeps the connection alive; ends one that does not read. */
  ping(now: number): void;
  /** Resolves when the socket has room, or is closed. */
  drained(): Promise<void>;
  readonly closed: () => boolean;
  end(): void;
}

export function createEventStream(
  response: ServerResponse,
  token: ApiToken,
  filter: EventFilter,
  start: EventCursor,
): EventStream {
  let at = start;
  let window: EventWindow | null = null;
  let next = 0;
  let fullSince: number | null = null;
  let closed = false;
  response.once('close', () => (closed = true));
  response.on('drain', () => {
    fullSince = null;
    advance();
  });

  const wants = ({ type, connector, from }: WindowEvent): boolean => {
    if (type === 'gap') return true;
    const isMessage = type.startsWith('message.');
    if (isMessage ? !mayUse(token, from ?? null) : !token.scopes.has('connectors:read') || token.from !== null)
      return false;
    if (filter.connector !== null && connector !== filter.connector) return false;
    return filter.types.length === 0 || filter.types.some((each) => isOfType(type, each));
  };
  const send = (text: string): void => {
    if (!response.write(text)) fullSince ??= performance.now();
  };
  const pass = (event: WindowEvent): void => {
    if (covers(at, event.cursor)) return;
    at = joined(at, event.cursor);
    if (wants(event)) send(`id: ${at}\n${event.text}`);
  };
  /** It was read before this client was there, for clients that may see every From. The client comes back and is read it by itself. */
  const isUnknown = ({ from, type }: WindowEvent): boolean =>
    token.from !== null && from === undefined && type.startsWith('message.');
  const advance = (): void => {
    if (window === null || closed) return;
    if (next < window.first()) return end();
    while (!response.writableNeedDrain && next < window.last()) {
      const event = window.at(next);
      if (isUnknown(event) && !covers(at, event.cursor)) return end();
      pass(event);
      next += 1;
    }
  };
  const end = (): void => {
    closed = true;
    // What is in the socket's buffer is not waited for: the client does not read.
    if (response.writableNeedDrain) response.destroy();
    else response.end();
  };

  return {
    token,
    cursor: () => at,
    write(events, then) {
      for (const event of events) {
        if (response.writableNeedDrain) return;
        pass(event);
      }
      at = joined(at, then);
    },
    say: send,
    follow(shared) {
      window = shared;
      next = shared.first();
      advance();
    },
    advance,
    ping(now) {
      if (fullSince !== null && now - fullSince > stuckMs) end();
      else if (!response.writableNeedDrain && !closed) send(': ping\n\n');
    },
    drained: () =>
      new Promise((resolve) => {
        if (closed || !response.writableNeedDrain) return resolve();
        response.once('drain', resolve);
        response.once('close', resolve);
      }),
    closed: () => closed,
    end,
  };
}

function isOfType(type: string, wanted: string): boolean {
  return wanted.endsWith('*') ? type.startsWith(wanted.slice(0, -1)) : type === wanted;
}
