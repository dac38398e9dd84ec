/** The ready set: which lanes may have something to do, and from when. One set per shard. */
import { run } from '../lua/script.ts';
import type { ShardKeys } from '../redis/keys.ts';
import type { LaneContext } from './context.ts';
import { claimScript, refreshScript, yieldScript } from './scripts.ts';
import { snapshotOf, type LaneSnapshot } from './snapshot.ts';
import { surveyOf, type LaneSurvey } from './survey.ts';

interface Claim {
  readonly connectors: readonly string[];
  /** Until the next lane is due, in ms; -1 if there is none. */
  readonly waitMs: number;
  /** Lanes that are due and were not claimed. */
  readonly left: number;
}

export interface ReadyLanes {
  /** Up to `count` lanes that are due; no other process gets them for `visibilityMs`. Those in `except` are passed over. */
  claim(count: number, visibilityMs: number, except?: readonly string[]): Promise<Claim>;
  /** Puts a lane that was claimed back in line, for other processes. → when, as its place in line. */
  yieldLane(connectorId: string): Promise<number>;
  /** Since when the lane has been in line; null if it is not. */
  queuedAt(connectorId: string): Promise<number | null>;
  /** Re-reads when a lane is due. `announce` wakes idle processes. → ms until due, -1 if it has nothing. */
  readonly refresh: (connectorId: string, mode: 'sooner' | 'exact', announce: boolean) => Promise<number>;
  /** Every connector that ever had a lane. */
  known(): Promise<string[]>;
  /** What maintenance needs to know of these lanes. */
  snapshot(connectorIds: readonly string[]): Promise<LaneSnapshot[]>;
  /** What metrics need to know of them; idle ones are left out, and those that cannot be read are null. */
  survey(connectorIds: readonly string[]): Promise<(LaneSurvey | null)[]>;
}

export function createReadyLanes({ redis, runIn, shards, shardKeys, laneKeys }: LaneContext): ReadyLanes {
  const claimIn = async (
    shard: number,
    count: number,
    visibilityMs: number,
    except: readonly string[],
  ): Promise<Claim> => {
    const [waitMs, left, ...ids] = (await runIn(shard)(claimScript, {
      keys: { ready: shards.all[shard]!.ready },
      args: { count, visibilityMs },
      moreArgs: except,
    })) as unknown[];
    return { waitMs: Number(waitMs), left: Number(left), connectors: ids.map(String) };
  };
  const inShards = async <Found>(
    connectorIds: readonly string[],
    ask: (keys: ShardKeys, ids: readonly string[]) => Promise<Found[]>,
  ): Promise<Found[]> => {
    const asked = shards.all.map((keys, i) =>
      ask(
        keys,
        connectorIds.filter((id) => shards.of(id) === i),
      ),
    );
    return (await Promise.all(asked)).flat();
  };
  let turn = 0;
  return {
    /** Equal shares first, all at once; then what some left goes to those who have more. Another shard begins each time. */
    async claim(count, visibilityMs, except = []) {
      if (shards.all.length === 1) return claimIn(0, count, visibilityMs, except);
      turn += 1;
      const order = shards.all.map((_, i) => (turn + i) % shards.all.length);
      const shares = order.map((_, i) => Math.floor(count / order.length) + (i < count % order.length ? 1 : 0));
      const claims = await Promise.all(
        order.map(async (shard, i) => (shares[i] === 0 ? null : claimIn(shard, shares[i]!, visibilityMs, except))),
      );
      const connectors = claims.flatMap((claim) => claim?.connectors ?? []);
      for (const [i, shard] of order.entries()) {
        const before = claims[i];
        if (connectors.length >= count) break;
        if (before !== null && before?.left === 0) continue;
        const more = await claimIn(shard, count - connectors.length, visibilityMs, except);
        connectors.push(...more.connectors);
        claims[i] = more;
      }
      const asked = claims.flatMap((claim) => claim ?? []);
      const waits = asked.flatMap(({ waitMs }) => (waitMs < 0 ? [] : [waitMs]));
      return {
        connectors,
        waitMs: waits.length === 0 ? -1 : Math.min(...waits),
        left: asked.reduce((sum, { left }) => sum + left, 0),
      };
    },

    async yieldLane(connectorId) {
      const { ready, wake } = shardKeys(connectorId);
      const args = { connector: connectorId, channel: wake };
      return Number(await run(redis, yieldScript, { keys: { ready }, args }));
    },

    async queuedAt(connectorId) {
      const at = await redis.zscore(shardKeys(connectorId).ready, connectorId);
      return at === null ? null : Number(at);
    },

    async refresh(connectorId, mode, announce) {
      const { ready, lanes, wake } = shardKeys(connectorId);
      const args = { connector: connectorId, mode, channel: announce ? wake : '' };
      const runHere = runIn(shards.of(connectorId));
      return Number(await runHere(refreshScript, { keys: { ready, lanes, ...laneKeys(connectorId) }, args }));
    },

    async known() {
      const known = await Promise.all(shards.all.map(({ lanes }) => redis.smembers(lanes)));
      return [...new Set(known.flat())];
    },

    snapshot: (connectorIds) => inShards(connectorIds, (keys, ids) => snapshotOf(redis, keys, ids)),
    survey: (connectorIds) => inShards(connectorIds, (keys, ids) => surveyOf(redis, keys, ids)),
  };
}
