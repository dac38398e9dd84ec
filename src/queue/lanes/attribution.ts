/**
 * Whose fault a refusal within a transaction is, is shown by other messages. Until one that began later is accepted (then it is the
 * message's) or canary messages are refused alike (then it is the connector's), the refused message is set aside.
 */
import { run } from '../lua/script.ts';
import { jobIdOf } from '../redis/job-ids.ts';
import { accuseScript, answerScript } from './attribution-scripts.ts';
import type { LaneContext } from './context.ts';
import type { ReadyLanes } from './ready.ts';

/** A refusal that is open. */
export interface Accusation {
  readonly id: string;
  /** Refusals are alike if these are the same. */
  readonly alike: string;
  /** `fault`: the connector's by its words. `5`, `4`: the first digit of another reply. */
  readonly class: 'fault' | '5' | '4';
  readonly atSender: boolean;
  readonly reply: string;
  /** How long a permanent refusal waits for an answer, in ms. */
  readonly holdMs: number;
  /** 0 ≤ random < 1: which waiting message is the canary. */
  readonly random: number;
}

/**
 * `own`: the message's. `fault`: the connector's. `again`: of a fault that this message has shown before. `aside`: not known yet.
 * `refusals`: of this message in a row.
 */
export interface Attribution {
  readonly verdict: 'own' | 'fault' | 'again' | 'aside';
  readonly refusals: number;
}

/** What an operator sees of open refusals. `since` in ms since the epoch. */
export interface Suspect {
  readonly reply: string;
  readonly setAside: number;
  readonly since: number;
}

export interface Attributions {
  /** Notes a refusal before its result is written, and says whose fault it is. */
  accuse(connectorId: string, accusation: Accusation): Promise<Attribution>;
  /** Returns messages to the front of the lane whose refusals are answered. → how many. */
  answer(connectorId: string): Promise<number>;
  /** Returns every message that is set aside, and forgets all refusals: an operator or a new configuration has changed something. */
  returnAll(connectorId: string): Promise<number>;
  /** Of a message that has ended while it was set aside. */
  forget(connectorId: string, id: string): Promise<void>;
  suspect(connectorId: string): Promise<Suspect | null>;
}

/** Beyond the hold, so that a refusal that was believed late counts with those that come after it. */
const keepMs = 24 * 3_600_000;

/** Messages of one script: more than are ever open at once, but for a lane in which everything is refused. */
const page = 200;

export function createAttributions(
  { redis, shardKeys, laneKeys }: LaneContext,
  { refresh }: Pick<ReadyLanes, 'refresh'>,
): Attributions {
  const openIds = async (key: string): Promise<string[]> =>
    (await redis.hkeys(key)).flatMap((field) => (field.startsWith('m:') ? [field.slice(2)] : []));

  const giveBack = async (connectorId: string, mode: 'answered' | 'all'): Promise<number> => {
    const keys = shardKeys(connectorId);
    const { delayed, wait } = laneKeys(connectorId);
    const attribution = keys.attribution(connectorId);
    const [refusals, stats] = [keys.refusals(connectorId), keys.connectorStats(connectorId)];
    const ids = await openIds(attribution);
    let returned = 0;
    // Backwards: the last page to be put at the front is the first to be taken.
    for (let end = Math.max(ids.length, 1); end > 0; end -= page) {
      const some = ids.slice(Math.max(0, end - page), end);
      const [count] = (await run(redis, answerScript, {
        keys: { attribution, delayed, wait, refusals, stats },
        moreKeys: some.flatMap((id) => [keys.ledger(id), keys.laneJob(connectorId, id)]),
        args: { mode: mode === 'all' && end > page ? 'page' : mode },
        moreArgs: some.flatMap((id) => [id, jobIdOf(id)]),
      })) as number[];
      returned += count ?? 0;
    }
    if (returned > 0) await refresh(connectorId, 'sooner', true);
    return returned;
  };

  return {
    async accuse(connectorId, { id, alike, class: kind, atSender, reply, holdMs, random }) {
      const keys = shardKeys(connectorId);
      const { wait, prioritized } = laneKeys(connectorId);
      const [verdict, refusals] = (await run(redis, accuseScript, {
        keys: {
          attribution: keys.attribution(connectorId),
          faults: keys.connector(connectorId),
          rowKey: keys.ledger(id),
          wait,
          prioritized,
          refusals: keys.refusals(connectorId),
          stats: keys.connectorStats(connectorId),
        },
        args: {
          id,
          job: jobIdOf(id),
          alike,
          class: kind,
          atSender: atSender ? 1 : 0,
          reply,
          holdMs,
          keepMs: holdMs + keepMs,
          random,
        },
      })) as [Attribution['verdict'], number];
      return { verdict, refusals };
    },

    answer: (connectorId) => giveBack(connectorId, 'answered'),
    returnAll: (connectorId) => giveBack(connectorId, 'all'),

    async forget(connectorId, id) {
      await redis.hdel(shardKeys(connectorId).attribution(connectorId), `m:${id}`);
    },

    async suspect(connectorId) {
      const notes = Object.entries(await redis.hgetall(shardKeys(connectorId).attribution(connectorId)));
      const open = notes.flatMap(([field, text]) => (field.startsWith('m:') ? (noteOf(text) ?? []) : []));
      const aside = open.filter(({ late, kind }) => !late && kind !== '4');
      const first = aside.reduce<Note | null>(
        (oldest, note) => (oldest === null || note.first < oldest.first ? note : oldest),
        null,
      );
      return first === null ? null : { reply: first.reply, setAside: aside.length, since: first.first };
    },
  };
}

interface Note {
  readonly first: number;
  readonly reply: string;
  readonly late: boolean;
  readonly kind: string;
}

/** Written by us, but nothing that comes out of Redis may break a reader. */
function noteOf(text: string): Note | null {
  try {
    const { first, reply, late, class: kind } = JSON.parse(text) as Record<string, unknown>;
    return { first: Number(first), reply: String(reply), late: late === true, kind: String(kind) };
  } catch {
    return null;
  }
}
