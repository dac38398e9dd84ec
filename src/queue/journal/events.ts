/**
 * The events of all shards, for webhooks, live views and others that tell of what happened. An event is written in the same step as the
 * state that it is about, so it may come late, and is never missing; what was dropped before it was read is told as a gap.
 *
 *   register ──▶ read from a cursor ──▶ do what is to be done ──▶ acknowledge the cursor ──▶ read on
 *
 * A consumer that dies in between reads the same events again: it has to bear that. Order is that of each shard.
 */
import { sleep } from '../../async/timeout.ts';
import { run } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { ShardKeys } from '../redis/keys.ts';
import type { Shards } from '../redis/shards.ts';
import {
  acknowledgeScript,
  appendScript,
  eventsPerStep,
  readScript,
  registerScript,
  trimScript,
  unregisterScript,
} from './event-scripts.ts';
import { readEvent, type EventCursor, type OtherEventType, type StoredEvent } from './event-forms.ts';

export * from './event-forms.ts';

/** What a consumer reads: `results` leaves out accepted messages, which are as many as all others together. */
interface Consumer {
  readonly wants: 'results' | 'all';
  /** How long it counts without an acknowledgement, in ms; null is for ever: nothing is trimmed that it has not read. */
  readonly leaseMs: number | null;
}

export interface EventTotals {
  readonly bytes: number;
  readonly entries: number;
  /** Since ever. */
  readonly dropped: number;
}

export interface EventLog {
  /** A new consumer begins with what happens from now on; one that is there goes on where it was. → its cursor. */
  register(name: string, consumer: Consumer): Promise<EventCursor>;
  unregister(name: string): Promise<void>;
  /** All up to the cursor is done. → false if it is not registered any more, as its lease has ended: events may be gone. */
  acknowledge(name: string, cursor: EventCursor, leaseMs: number | null): Promise<boolean>;
  /** At most `count` events of each shard after the cursor; waits up to `waitMs` for the first one. */
  read(
    cursor: EventCursor,
    how: { readonly count: number; readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<{ readonly events: readonly StoredEvent[]; readonly cursor: EventCursor }>;
  /** The last ones that are still there, the newest first. They are there as long as a consumer may need them. */
  recent(count: number): Promise<readonly StoredEvent[]>;
  /** Writes an event about no message, while events are read. */
  append(type: OtherEventType, connector: string | null, data: Readonly<Record<string, string>>): Promise<void>;
  /** For maintenance: drops what is read, and what is too much. → what is there, and how much was dropped now. */
  trim(maxBytes: number): Promise<EventTotals & { readonly droppedNow: number }>;
  totals(): Promise<EventTotals>;
}

/** Between two looks while nothing happens, in ms. */
const lookEveryMs = 250;
/** Steps of one round of trimming in a shard; the next round goes on. */
const mostSteps = 200;
/** A name is written by programs of ours alone; it has a bound all the same. */
const consumerName = /^[\w:.-]{1,100}$/;
const start = '0-0';

export function createEventLog(redis: RedisClient, shards: Shards): EventLog {
  const { all } = shards;
  const over = <T>(ask: (keys: ShardKeys, shard: number) => Promise<T>): Promise<T[]> => Promise.all(all.map(ask));
  const consumersIn = ({ eventsWanted: wanted, eventConsumers: consumers }: ShardKeys) => ({ wanted, consumers });
  const positionsOf = (cursor: EventCursor): string[] => {
    const parts = cursor.split('_');
    return all.map((_, shard) => (/^\d{1,20}-\d{1,20}$/.test(parts[shard] ?? '') ? parts[shard]! : start));
  };

  const readShard = async (keys: ShardKeys, shard: number, positions: readonly string[], count: number) => {
    const at = positions[shard] ?? start;
    const args = { position: at, count };
    const answer = await run(redis, readScript, { keys: { events: keys.events, gaps: keys.eventGaps }, args });
    const [dropped, last, entries] = answer as [number, string, [string, string[]][]];
    const found: { readonly id: string; readonly event: (cursor: EventCursor) => StoredEvent | null }[] = [];
    const eventIdOf = (id: string): string => `${shard}-${id}`;
    if (dropped > 0) {
      const gap = { type: 'gap', eventId: `${eventIdOf(last)}-gap`, at: Number(last.split('-')[0]), dropped } as const;
      found.push({ id: last, event: (cursor) => ({ ...gap, cursor }) });
    }
    for (const [id, fields] of entries) {
      found.push({ id, event: (cursor) => readEvent(fields, { cursor, eventId: eventIdOf(id) }) });
    }
    return found;
  };

  const readOnce = async (cursor: EventCursor, count: number) => {
    const positions = positionsOf(cursor);
    const found = await over((keys, shard) => readShard(keys, shard, positions, count));
    const events: StoredEvent[] = [];
    for (const [shard, entries] of found.entries()) {
      for (const { id, event } of entries) {
        positions[shard] = id;
        const stored = event(positions.join('_'));
        if (stored !== null) events.push(stored);
      }
    }
    return { events, cursor: positions.join('_') };
  };

  return {
    async register(name, { wants, leaseMs }) {
      if (!consumerName.test(name)) throw new RangeError('a consumer needs a name of 1 to 100 letters, digits and :.-');
      const args = { name, wants, leaseMs: leaseMs ?? '' };
      const positions = await over((keys) =>
        run(redis, registerScript, { keys: { ...consumersIn(keys), events: keys.events }, args }),
      );
      return positions.map(String).join('_');
    },

    async unregister(name) {
      await over((keys) => run(redis, unregisterScript, { keys: consumersIn(keys), args: { name } }));
    },

    async acknowledge(name, cursor, leaseMs) {
      const positions = positionsOf(cursor);
      const known = await over((keys, shard) => {
        const args = { name, position: positions[shard] ?? start, leaseMs: leaseMs ?? '' };
        return run(redis, acknowledgeScript, { keys: consumersIn(keys), args });
      });
      return known.every((each) => Number(each) === 1);
    },

    async read(cursor, { count, waitMs, signal }) {
      const ends = performance.now() + waitMs;
      for (;;) {
        const found = await readOnce(cursor, count);
        const left = ends - performance.now();
        if (found.events.length > 0 || left <= 0 || signal.aborted) return found;
        await sleep(Math.min(lookEveryMs, left), signal);
      }
    },

    recent: (count) => recentEvents(redis, all, count),

    async append(type, connector, data) {
      const keys = connector === null ? shards.home : shards.keysOf(connector);
      const fields = Object.entries(data).flatMap(([name, value]) => [`.${name}`, value]);
      await run(redis, appendScript, {
        keys: { events: keys.events, wanted: keys.eventsWanted },
        args: { kind: type },
        moreArgs: ['c', connector ?? '-', ...fields],
      });
    },

    async trim(maxBytes) {
      const share = Math.floor(maxBytes / all.length);
      const trimmed = await over(async (keys) => {
        let droppedNow = 0;
        for (let step = 0; ; step += 1) {
          const answer = await run(redis, trimScript, {
            keys: { ...consumersIn(keys), events: keys.events, gaps: keys.eventGaps },
            args: { maxBytes: share },
          });
          const [bytes = 0, entries = 0, now = 0, dropped = 0] = (answer as unknown[]).map(Number);
          droppedNow += now;
          if (now < eventsPerStep || step >= mostSteps) return { bytes, entries, dropped, droppedNow };
        }
      });
      return { ...sumOf(trimmed), droppedNow: trimmed.reduce((sum, each) => sum + each.droppedNow, 0) };
    },

    async totals() {
      const found = await over(async ({ events, eventGaps }) => {
        const [bytes, entries, dropped] = await Promise.all([
          redis.memory('USAGE', events).catch(() => null),
          redis.xlen(events),
          redis.hget(eventGaps, 'dropped'),
        ]);
        return { bytes: bytes ?? 0, entries, dropped: Number(dropped ?? 0) };
      });
      return sumOf(found);
    },
  };
}

async function recentEvents(redis: RedisClient, all: readonly ShardKeys[], count: number): Promise<StoredEvent[]> {
  const found = await Promise.all(
    all.map(async ({ events }, shard) => {
      const entries = await redis.xrevrange(events, '+', '-', 'COUNT', count);
      return entries.flatMap(([id, fields]) => readEvent(fields, { cursor: id, eventId: `${shard}-${id}` }) ?? []);
    }),
  );
  return found
    .flat()
    .sort((a, b) => b.at - a.at)
    .slice(0, count);
}

function sumOf(totals: readonly EventTotals[]): EventTotals {
  const sum = (of: (each: EventTotals) => number): number => totals.reduce((before, each) => before + of(each), 0);
  return {
    bytes: sum(({ bytes }) => bytes),
    entries: sum((each) => each.entries),
    dropped: sum((each) => each.dropped),
  };
}
