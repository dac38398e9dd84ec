/**
 * Fallback connectors in Redis: how it stands with a connector at fault, what waits in its lane that may go by another, and the moves.
 * Which connector stands in for whom, and when, the worker decides (worker/failover/).
 */
import { ownFields } from '../bullmq/layout.ts';
import { idOfJob } from '../redis/job-ids.ts';
import type { HistoryEntry } from '../ledger/row.ts';
import { run } from '../lua/script.ts';
import { laneName, transit } from '../redis/keys.ts';
import type { LaneContext } from './context.ts';
import { createFallbackNotes, type FallbackNotes } from './fallback-notes.ts';
import { createFallbackRooms, type FallbackRooms, type Guest } from './fallback-room.ts';
import { readFaultStates, type FaultState } from './fallback-states.ts';
import { arrivedScript, moveLaneScript, peekScript, setOutScript } from './fallback-scripts.ts';

export type { FallbackRoom, Guest } from './fallback-room.ts';
export type { FaultState } from './fallback-states.ts';

/** A message that may go by another connector. */
export interface Movable {
  readonly id: string;
  readonly jobId: string;
  /** Null if the row does not say. */
  readonly from: string | null;
}

export interface LaneMove {
  readonly kind: 'out' | 'back';
  readonly from: string;
  readonly to: string;
  readonly rule: string;
}

interface Moving {
  readonly jobId: string;
  readonly entry: HistoryEntry;
}

export interface Fallbacks extends FallbackNotes, FallbackRooms {
  /** Of these connectors, those that are at fault, whose mail goes by another one, or that have mail of others; and Redis' time. */
  states(connectorIds: readonly string[]): Promise<{ readonly now: number; readonly states: readonly FaultState[] }>;
  /** Messages in line from the place `skip` on. `looked`: how many were seen. */
  peek(
    connectorId: string,
    skip: number,
    count: number,
    at: number,
  ): Promise<{ readonly looked: number; readonly found: readonly Movable[] }>;
  /** Whether `move` can do it in one step: both lanes are in one shard. */
  isBeside(from: string, to: string): boolean;
  /** Moves waiting messages between lanes of one shard, in one step. → how many. */
  move(move: LaneMove, jobs: readonly Moving[]): Promise<number>;
  /** Between shards: takes a waiting message out of its lane, to be routed to `to`. → which move of it this is; null if it may not go. */
  setOut(move: LaneMove, job: Moving): Promise<string | null>;
  /** Which move a message is on that has set out; '' if it is on none. */
  moveOf(from: string, jobId: string): Promise<string>;
  /** It is in the other lane. `move`: as `setOut` has named it. */
  arrived(from: string, jobId: string, move: string): Promise<void>;
  /** Between shards: counts a message as a guest of the connector, before it is in its lane. */
  expect(guest: Guest, at: string): Promise<void>;
  forget(guest: Guest, at: string): Promise<void>;
}

export function createFallbacks(context: LaneContext): Fallbacks {
  const { redis, shards, shardKeys, laneKeys } = context;
  const prefixOf = (connectorId: string): string => shardKeys(connectorId).queue(laneName(connectorId), '');
  const ledgerPrefixOf = (connectorId: string): string => shardKeys(connectorId).ledger('');
  const keyOf = (connectorId: string, name: string): string =>
    shardKeys(connectorId).queue(laneName(connectorId), name);
  const transitKeys = (from: string, jobId: string) => {
    const key = (name: string): string => shardKeys(from).queue(laneName(transit), name);
    return { transitWait: key('wait'), transitJob: key(jobId) };
  };
  const member = ({ of, jobId }: Guest): string => `${of} ${jobId}`;
  return {
    ...createFallbackNotes(context),
    ...createFallbackRooms(context),
    states: (connectorIds) => readFaultStates(context, connectorIds),

    async peek(connectorId, skip, count, at) {
      const { wait, prioritized, delayed } = laneKeys(connectorId);
      const [looked, ...values] = (await run(redis, peekScript, {
        keys: { wait, prioritized, delayed, pc: keyOf(connectorId, 'pc') },
        args: {
          prefix: prefixOf(connectorId),
          ledgerPrefix: ledgerPrefixOf(connectorId),
          connector: connectorId,
          skip,
          count,
          at,
        },
      })) as [number, ...string[]];
      const found: Movable[] = [];
      for (let i = 0; i + 1 < values.length; i += 2) {
        const [jobId, from] = [values[i]!, values[i + 1]!];
        found.push({ id: idOfJob(jobId), jobId, from: from === '' ? null : from });
      }
      return { looked, found };
    },

    isBeside: (from, to) => shards.of(from) === shards.of(to),

    async move({ kind, from, to, rule }, jobs) {
      const keys = shardKeys(to);
      const stand = kind === 'out' ? to : from;
      const { wait: fromWait, prioritized: fromPrioritized, meta: fromMeta } = laneKeys(from);
      return Number(
        await run(redis, moveLaneScript, {
          keys: {
            fromWait,
            fromPrioritized,
            fromMeta,
            attribution: keys.attribution(from),
            record: keys.fallback(from),
            guests: keys.guests(stand),
            ready: keys.ready,
            lanes: keys.lanes,
            ...laneKeys(to),
            pc: keyOf(to, 'pc'),
            marker: keyOf(to, 'marker'),
          },
          args: {
            kind,
            from,
            connector: to,
            rule,
            fromPrefix: prefixOf(from),
            prefix: prefixOf(to),
            ledgerPrefix: ledgerPrefixOf(to),
            channel: keys.wake,
          },
          moreArgs: jobs.flatMap(({ jobId, entry }) => [jobId, JSON.stringify(entry)]),
        }),
      );
    },

    async setOut({ kind, from, to }, { jobId, entry }) {
      const keys = shardKeys(from);
      const { wait, prioritized, meta } = laneKeys(from);
      const id = idOfJob(jobId);
      const answer = await run(redis, setOutScript, {
        keys: {
          wait,
          prioritized,
          meta,
          rowKey: keys.ledger(id),
          attribution: keys.attribution(from),
          record: keys.fallback(from),
          job: `${prefixOf(from)}${jobId}`,
          ...transitKeys(from, jobId),
          lanes: keys.lanes,
        },
        args: {
          jobId,
          id,
          connector: from,
          via: to,
          entry: JSON.stringify(entry),
          count: kind === 'out' ? 1 : 0,
          transit,
        },
      });
      return typeof answer === 'string' ? answer : null;
    },

    moveOf: async (from, jobId) => (await redis.hget(transitKeys(from, jobId).transitJob, ownFields.move)) ?? '',

    async arrived(from, jobId, move) {
      await run(redis, arrivedScript, { keys: transitKeys(from, jobId), args: { jobId, move } });
    },

    async expect(guest, at) {
      await redis.zadd(shardKeys(at).guests(at), Date.now(), member(guest));
    },

    async forget(guest, at) {
      await redis.zrem(shardKeys(at).guests(at), member(guest));
    },
  };
}
