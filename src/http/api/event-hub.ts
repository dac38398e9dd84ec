/**
 * Reads events from Redis once for all clients of this process, as long as there are any, and keeps them in Redis for a while for those
 * that come back.
 *
 *   a client ──▶ joins: where does it stand? ──▶ reads what it has missed, a page at a time ──▶ follows the window
 *                                                                                   hub ──▶ reads on ──┘
 *
 * While Redis is away the streams stay open, and go on from where they were.
 */
import type { ServerResponse } from 'node:http';
import { createKeyedSemaphore } from '../../async/semaphore.ts';
import { sleep } from '../../async/timeout.ts';
import type { ApiToken } from '../../config/api.ts';
import { covers, type EventCursor, type EventLog, type StoredEvent } from '../../queue/journal/events.ts';
import { createEventStream, type EventFilter, type EventStream } from './event-stream.ts';
import { gapText, textOf } from './event-text.ts';
import { createEventWindow, type EventWindow, type WindowEvent } from './event-window.ts';

export interface EventHubOptions {
  /** Rejects while Redis is away. */
  readonly events: () => Promise<EventLog>;
  /** From of a message; for tokens that are limited to some. */
  readonly fromOf: (id: string) => Promise<string | null>;
  /** Whether a token is still what it was. */
  readonly isValid: (token: ApiToken) => boolean;
  readonly now: () => number;
}

type Joined = 'joined' | 'full' | 'full-for-token';

export interface EventHub {
  /**
   * Begins the stream on the socket. `lastEventId`: where the client stood; null is now. `endsAt`: when its session ends, ms since the epoch;
   * null is never. Rejects while Redis is away, when nothing was written yet.
   */
  join(
    response: ServerResponse,
    about: {
      readonly token: ApiToken;
      readonly filter: EventFilter;
      readonly lastEventId: EventCursor | null;
      readonly endsAt: number | null;
    },
  ): Promise<Joined>;
  /** Ends the streams of tokens that are no longer valid. */
  recheck(): void;
  readonly streams: () => number;
  close(): void;
}

/** Streams at once, and of one token. */
const maxStreams = 2_000;
const maxStreamsPerToken = 1_000;
/** Of the window. A client that is further behind is read what it has missed by itself. */
const windowEvents = 2_000;
const windowChars = 8 * 1024 * 1024;
/** Events of one read, in each shard. */
const pageEvents = 200;
const waitMs = 5_000;
const pingMs = 15_000;
/** How long events are kept for clients that come back, in ms; and, once no process has a client, how long they are still written. */
const keepMs = 5 * 60_000;
const leaseMs = 15 * 60_000;
const noteMs = 30_000;
const tryAgainMs = 1_000;
/** Clients that are read what they have missed at once. */
const catchUps = 8;
/** One for all processes: its position is the oldest that a client may come back to. */
const consumer = 'live';

interface Running {
  readonly window: EventWindow;
  readonly stop: AbortController;
  /** Nothing was written for a while before it began. */
  readonly lapsedUntil: EventCursor | null;
}

export function createEventHub({ events, fromOf, isValid, now }: EventHubOptions): EventHub {
  const streams = new Set<EventStream>();
  const catching = createKeyedSemaphore(catchUps);
  const closing = new AbortController();
  let running: Running | null = null;
  let starting: Promise<Running> | null = null;
  let joining = 0;

  const prepare = async (found: readonly StoredEvent[]): Promise<WindowEvent[]> => {
    const limited = [...streams].some(({ token }) => token.from !== null);
    return Promise.all(
      found.map(async (event): Promise<WindowEvent> => {
        const from = limited && 'sequence' in event ? await fromOf(event.id) : undefined;
        const connector = 'connector' in event ? event.connector : null;
        return { type: event.type, cursor: event.cursor, connector, from, text: textOf(event) };
      }),
    );
  };

  const start = async (log: EventLog): Promise<Running> => {
    const wasThere = await log.acknowledge(consumer, '', leaseMs);
    await log.register(consumer, { wants: 'all', leaseMs });
    const end = await endOf(log);
    const window = createEventWindow(end, windowEvents, windowChars);
    const stop = new AbortController();
    const begun = { window, stop, lapsedUntil: wasThere ? null : end };
    running = begun;
    void readOn({ events, prepare, streams, now }, window, stop.signal);
    void keep(stop.signal);
    return begun;
  };

  const ready = async (log: EventLog): Promise<Running> => {
    if (running !== null) return running;
    starting ??= start(log).finally(() => (starting = null));
    return starting;
  };

  const keep = async (stop: AbortSignal): Promise<void> => {
    for (;;) {
      await sleep(pingMs, stop);
      if (stop.aborted) return;
      recheck();
      for (const stream of streams) stream.ping(performance.now());
    }
  };

  const leave = (stream: EventStream): void => {
    streams.delete(stream);
    if (streams.size + joining > 0) return;
    running?.stop.abort();
    running = null;
  };

  const recheck = (): void => {
    for (const stream of streams) if (!isValid(stream.token)) stream.end();
  };

  /** Reads what the client has missed, until it can follow the window. */
  const catchUp = async (stream: EventStream, log: EventLog, window: EventWindow): Promise<void> => {
    while (!stream.closed()) {
      if (covers(stream.cursor(), window.start())) return stream.follow(window);
      const release = await catching.acquire('', closing.signal);
      if (release === null) return;
      try {
        const found = await log.read(stream.cursor(), { count: pageEvents, waitMs: 0, signal: closing.signal });
        stream.write(await prepare(found.events), found.cursor);
      } finally {
        release();
      }
      await stream.drained();
    }
  };

  return {
    async join(response, { token, filter, lastEventId, endsAt }) {
      if (streams.size + joining >= maxStreams) return 'full';
      const own = [...streams].filter((each) => each.token.id === token.id).length;
      if (own >= maxStreamsPerToken) return 'full-for-token';
      joining += 1;
      try {
        const log = await events();
        const running = await ready(log);
        const { from, isGap } = await placeOf(log, running, lastEventId);
        const stream = createEventStream(response, token, filter, from);
        streams.add(stream);
        const over = endsAt === null ? undefined : setTimeout(() => stream.end(), endsAt - now()).unref();
        response.once('close', () => {
          clearTimeout(over);
          leave(stream);
        });
        response.writeHead(200, {
          'Content-Type': 'text/event-stream',
          'Cache-Control': 'no-store',
          'X-Content-Type-Options': 'nosniff',
          // nginx would gather events otherwise.
          'X-Accel-Buffering': 'no',
        });
        stream.say(`retry: 2000\nid: ${from}\n\n`);
        if (isGap) stream.say(gapText(now()));
        catchUp(stream, log, running.window).catch(() => stream.end());
        return 'joined';
      } finally {
        joining -= 1;
      }
    },
    recheck,
    streams: () => streams.size,
    close() {
      closing.abort();
      for (const stream of streams) stream.end();
      running?.stop.abort();
    },
  };
}

/** Where the stream ends now. */
async function endOf(log: EventLog): Promise<EventCursor> {
  const name = `${consumer}:start:${Math.random().toString(36).slice(2)}`;
  const end = await log.register(name, { wants: 'all', leaseMs: 60_000 });
  await log.unregister(name);
  return end;
}

/** From where a client is told, and whether what it has missed may be gone. */
async function placeOf(
  log: EventLog,
  { window, lapsedUntil }: Running,
  lastEventId: EventCursor | null,
): Promise<{ readonly from: EventCursor; readonly isGap: boolean }> {
  if (lastEventId === null) return { from: window.end(), isGap: false };
  // What every client may come back to; for one that was away for longer, events may be gone.
  const oldest = await log.register(consumer, { wants: 'all', leaseMs });
  if (!covers(lastEventId, oldest)) return { from: oldest, isGap: true };
  if (lapsedUntil !== null && covers(lapsedUntil, lastEventId)) return { from: oldest, isGap: true };
  // Redis has lost what the client has read, and counts anew.
  const isAhead = !covers(window.end(), lastEventId) && !covers(await endOf(log), lastEventId);
  return isAhead ? { from: window.end(), isGap: true } : { from: lastEventId, isGap: false };
}

interface Reading {
  readonly events: () => Promise<EventLog>;
  readonly prepare: (found: readonly StoredEvent[]) => Promise<WindowEvent[]>;
  readonly streams: ReadonlySet<EventStream>;
  readonly now: () => number;
}

/** Reads on for all clients, until none is left. */
async function readOn(
  { events, prepare, streams, now }: Reading,
  window: EventWindow,
  stop: AbortSignal,
): Promise<void> {
  let cursor = window.start();
  let notedAt = now();
  let kept: { readonly at: number; readonly cursor: EventCursor }[] = [{ at: notedAt, cursor }];
  while (!stop.aborted) {
    try {
      const log = await events();
      const found = await log.read(cursor, { count: pageEvents, waitMs, signal: stop });
      const prepared = await prepare(found.events);
      cursor = found.cursor;
      for (const event of prepared) window.add(event);
      if (prepared.length > 0) for (const stream of streams) stream.advance();
      if (now() - notedAt < noteMs) continue;
      notedAt = now();
      kept.push({ at: notedAt, cursor });
      const old = kept.filter(({ at }) => at <= notedAt - keepMs);
      kept = kept.slice(Math.max(0, old.length - 1));
      if (await log.acknowledge(consumer, kept[0]!.cursor, leaseMs)) continue;
      // Its lease has ended, as Redis was away for long: what happened meanwhile was not written.
      await log.register(consumer, { wants: 'all', leaseMs });
      for (const stream of streams) stream.say(gapText(now()));
    } catch {
      await sleep(tryAgainMs, stop);
    }
  }
}
