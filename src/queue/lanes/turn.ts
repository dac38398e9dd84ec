/** What a worker asks of a shard for nearly every message: the parts of its turns. */
import {
  luaCountTaken,
  luaEndJob,
  luaPromoteDelayed,
  luaPush,
  luaRateWait,
  luaTakeNext,
  luaWakeUp,
} from '../bullmq/job-moves.ts';
import { luaDelayedUntil, luaLimitedFor, luaLimitsOf, luaWaiting } from '../bullmq/layout.ts';
import { luaReadLean, luaReadRow } from '../bullmq/soundness.ts';
import { luaJournal, luaJournalCount, luaJournalMessage, luaJournalResult, luaJournalRow } from '../journal/lua.ts';
import { fenceScript } from '../ledger/scripts.ts';
import { luaIncrease } from '../lua/adaptive-concurrency.ts';
import { createExchange } from '../lua/exchange.ts';
import { script, type Lua, type RunScript } from '../lua/script.ts';
import { luaTurn, turnShape } from '../lua/turn.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { ShardKeys } from '../redis/keys.ts';
import { claimScript, luaInLine, refreshScript } from './scripts.ts';
import { fetchScript, leaveScript } from './intake-scripts.ts';
import { moveScript } from './move-script.ts';
import { endScript, finishScript, takeScript } from './take-scripts.ts';

const parts: readonly Lua[] = [
  claimScript,
  refreshScript,
  fetchScript,
  moveScript,
  leaveScript,
  takeScript,
  fenceScript,
  finishScript,
  endScript,
];
/** Each after those that it calls. */
const shared: readonly string[] = [
  luaInLine,
  luaReadRow,
  luaReadLean,
  luaPush,
  luaWakeUp,
  luaTakeNext,
  luaRateWait,
  luaCountTaken,
  luaDelayedUntil,
  luaWaiting,
  luaLimitsOf,
  luaLimitedFor,
  luaIncrease,
  luaEndJob,
  luaPromoteDelayed,
  luaJournal,
  luaJournalCount,
  luaJournalMessage,
  luaJournalRow,
  luaJournalResult,
];
const taking: ReadonlySet<Lua> = new Set([fetchScript, takeScript]);

/** @lua */
export const turnScript = script(turnShape, luaTurn(parts, shared, ['limitsOf']));

/** The exchange of a worker with a shard. Other scripts than those of a turn run alone. */
export function openExchange(redis: RedisClient, keys: ShardKeys, worker: string): RunScript {
  return createExchange({ redis, script: turnScript, parts, taking, note: (slot) => keys.turn(worker, slot) });
}
