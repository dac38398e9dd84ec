/** How it stands with connectors that have a fallback, or are one: a page of them is one round trip. */
import { run } from '../lua/script.ts';
import type { LaneContext } from './context.ts';
import { faultStatesScript } from './fallback-scripts.ts';

/** What is known of a connector that is at fault, or whose mail goes by another one. Times in ms since the epoch, by Redis' clock. */
export interface FaultState {
  readonly connector: string;
  /** Null: it works. */
  readonly fault: {
    readonly kind: string;
    readonly reply: string;
    /** Since when the server has not worked; times in which it asked for a slower pace do not count. */
    readonly since: number;
    /** End of its pause. */
    readonly until: number;
  } | null;
  /** Null: its mail goes by itself. */
  readonly record: FallbackRecord | null;
  /** Messages since ever. */
  readonly sent: number;
  /** By an operator. */
  readonly paused: boolean;
  readonly active: number;
  /** Waiting or delayed. */
  readonly waiting: number;
  /** Messages of others in its lane, or more. */
  readonly guests: number;
}

export interface FallbackRecord {
  readonly since: number;
  /** The connectors that its mail goes by. */
  readonly to: string;
  /** Since when it has worked again, and how many messages it had sent then; null while it does not. */
  readonly healthy: { readonly at: number; readonly sent: number } | null;
}

/** Connectors of one script. */
const page = 200;

export async function readFaultStates(
  context: LaneContext,
  connectorIds: readonly string[],
): Promise<{ readonly now: number; readonly states: readonly FaultState[] }> {
  const { redis, shards, shardKeys } = context;
  const pages = shards.all.flatMap((_, shard) => {
    const here = connectorIds.filter((id) => shards.of(id) === shard);
    return Array.from({ length: Math.ceil(here.length / page) }, (__, i) => here.slice(i * page, (i + 1) * page));
  });
  let now = 0;
  const states: FaultState[] = [];
  for (const ids of pages) {
    const [at, ...values] = (await run(redis, faultStatesScript, {
      keys: { _anchor: shardKeys(ids[0]!).lanes },
      moreKeys: ids.flatMap((id) => stateKeys(context, id)),
      moreArgs: ids,
    })) as (string | number)[];
    now = Math.max(now, Number(at));
    states.push(...parseStates(ids, values));
  }
  return { now, states };
}

function stateKeys({ shardKeys, laneKeys }: LaneContext, id: string): string[] {
  const keys = shardKeys(id);
  const { meta, active, wait, prioritized, delayed } = laneKeys(id);
  const own = [keys.connector(id), keys.fallback(id), keys.connectorStats(id)];
  return [...own, meta, active, wait, prioritized, delayed, keys.guests(id)];
}

function parseStates(ids: readonly string[], values: readonly (string | number)[]): FaultState[] {
  let place = 0;
  const next = (): string => String(values[place++] ?? '');
  return ids.flatMap((connector): FaultState[] => {
    if (next() !== '1') return [];
    const [since, kind, reply, until] = [next(), next(), next(), next()];
    const [began, to, healthyAt, sentAt] = [next(), next(), next(), next()];
    const [sent, paused, active, waiting, guests] = [next(), next(), next(), next(), next()];
    const healthy = healthyAt === '' ? null : { at: Number(healthyAt), sent: Number(sentAt) };
    return [
      {
        connector,
        fault: since === '' ? null : { kind, reply, since: Number(since), until: Number(until) },
        record: began === '' ? null : { since: Number(began), to, healthy },
        sent: Number(sent),
        paused: paused === '1',
        active: Number(active),
        waiting: Number(waiting),
        guests: Number(guests),
      },
    ];
  });
}
