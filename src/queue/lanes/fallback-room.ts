/** What a connector that stands in for others has of them, and whether it can send it: read for all decisions about it. */
import { luaPromoteDelayed, luaPush } from '../bullmq/job-moves.ts';
import { jobFields, luaPausedUntil, metaFields } from '../bullmq/layout.ts';
import { luaNow, run, script } from '../lua/script.ts';
import { luaIdOf, unfitRule } from './fallback-scripts.ts';
import { laneName } from '../redis/keys.ts';
import type { LaneContext } from './context.ts';

/** What a connector that stands in for others has in hand, and what speaks against giving it more. */
export interface FallbackRoom {
  readonly paused: boolean;
  /** Why the lane waits; '' if it does not. */
  readonly waitsFor: string;
  readonly faults: number;
  /** Until its next probe, in ms. */
  readonly faultMs: number;
  /** Waiting and active, of its own senders and of others. */
  readonly jobs: number;
  /** Of others, without those that wait for the time of a retry. */
  readonly guests: readonly Guest[];
  /** Of others, those that wait for the time of a retry. */
  readonly deferred: readonly Guest[];
  /** Of others, those that it cannot carry. */
  readonly unfit: readonly Guest[];
}

/** A message in the lane of a connector that stands in for another. */
export interface Guest {
  /** The connector that it is of. */
  readonly of: string;
  readonly jobId: string;
}

/**
 * What speaks against a connector that stands in for others, and what it has in hand for them: `guests` are members `CONNECTOR JOB`. Those
 * that have ended are forgotten. Those that wait for the time of a retry do not count, and are told again once it has come, also where the
 * lane is at fault and no worker takes them. → paused, why the lane waits, faults, ms of their pause, jobs that wait, how many guests the
 * connector cannot carry, how many were deferred, both of them, the others…
 * @lua
 */
export const roomScript = script(
  {
    keys: ['guests', 'delayed', 'meta', 'faults', 'waitReason', 'wait', 'prioritized', 'active', 'pc'],
    args: ['prefix', 'ledgerPrefix'],
    allowOom: true,
  },
  /* lua */ `${luaIdOf}${luaNow}${luaPausedUntil}${luaPush}${luaPromoteDelayed}
promoteDelayed(delayed, wait, prioritized, pc, prefix, now)
local fault = redis.call('HMGET', faults, 'faults', 'until')
local found = {
  pausedUntil(redis.call('HGET', meta, '${metaFields.paused}')) and 1 or 0,
  redis.call('GET', waitReason) or '',
  tonumber(fault[1] or '0') or 0,
  string.format('%.0f', math.max(0, (tonumber(fault[2] or '0') or 0) - now)),
  redis.call('LLEN', wait) + redis.call('ZCARD', prioritized) + redis.call('LLEN', active),
}
local unfit, deferred, others = {}, {}, {}
for _, member in ipairs(redis.call('ZRANGE', guests, 0, -1)) do
  local jobId = string.match(member, '^%S+ (.+)$')
  if not jobId or redis.call('EXISTS', prefix .. jobId) == 0 then redis.call('ZREM', guests, member)
  elseif redis.pcall('HGET', ledgerPrefix .. idOf(jobId), 'rule') == '${unfitRule}' then unfit[#unfit + 1] = member
  elseif redis.call('ZSCORE', delayed, jobId) then deferred[#deferred + 1] = member
  else others[#others + 1] = member end
end
found[#found + 1] = #unfit
found[#found + 1] = #deferred
for _, members in ipairs({ unfit, deferred, others }) do
  for _, member in ipairs(members) do found[#found + 1] = member end
end
return found
`,
);

/** Jobs that wait for the time of a retry are in line, so that they can be moved; in the other lane they wait for that time again. @lua */
export const hastenScript = script(
  { keys: ['delayed', 'wait', 'prioritized', 'pc'], args: ['prefix'], moreArgs: 'jobIds', allowOom: true },
  /* lua */ `${luaPush}
for _, jobId in ipairs(jobIds) do
  if redis.call('ZREM', delayed, jobId) == 1 then
    push(wait, prioritized, pc, jobId, tonumber(redis.call('HGET', prefix .. jobId, '${jobFields.priority}') or '0') or 0)
    redis.call('HSET', prefix .. jobId, '${jobFields.delay}', 0)
  end
end
`,
);

/** Notes of a message in the lane of a fallback that this one cannot carry it. @lua */
export const unfitScript = script(
  { keys: ['rowKey'], args: ['connector'], allowOom: true },
  /* lua */ `
local row = redis.call('HMGET', rowKey, 'routed', 'rule')
if row[1] == connector and row[2] == 'fallback' then redis.call('HSET', rowKey, 'rule', '${unfitRule}') end
`,
);

export interface FallbackRooms {
  room(connectorId: string): Promise<FallbackRoom>;
  /** Messages of the lane that wait for the time of a retry are in line for a move. */
  hasten(connectorId: string, jobIds: readonly string[]): Promise<void>;
  /** A message of another connector cannot be carried by this one, and is to go back. */
  setUnfit(connectorId: string, id: string): Promise<void>;
}

export function createFallbackRooms({ redis, shardKeys, laneKeys }: LaneContext): FallbackRooms {
  const jobKeys = (connectorId: string) => {
    const key = (name: string): string => shardKeys(connectorId).queue(laneName(connectorId), name);
    const { delayed, wait, prioritized } = laneKeys(connectorId);
    return { keys: { delayed, wait, prioritized, pc: key('pc') }, args: { prefix: key('') } };
  };
  return {
    async room(connectorId) {
      const { guests, connector, connectorWait } = shardKeys(connectorId);
      const { meta, active } = laneKeys(connectorId);
      const { keys, args } = jobKeys(connectorId);
      const found = await run(redis, roomScript, {
        keys: {
          ...keys,
          guests: guests(connectorId),
          faults: connector(connectorId),
          waitReason: connectorWait(connectorId),
          meta,
          active,
        },
        args: { ...args, ledgerPrefix: shardKeys(connectorId).ledger('') },
      });
      return roomOf(found as (string | number)[]);
    },

    async setUnfit(connectorId, id) {
      const keys = { rowKey: shardKeys(connectorId).ledger(id) };
      await run(redis, unfitScript, { keys, args: { connector: connectorId } });
    },

    async hasten(connectorId, jobIds) {
      await run(redis, hastenScript, { ...jobKeys(connectorId), moreArgs: jobIds });
    },
  };
}

function roomOf(found: readonly (string | number)[]): FallbackRoom {
  const [paused, waitsFor, faults, faultMs, jobs, unfit, deferred, ...members] = found;
  const [firstDeferred, firstOther] = [Number(unfit), Number(unfit) + Number(deferred)];
  const guests = members.map((text): Guest => {
    const [of = '', jobId = ''] = String(text).split(' ');
    return { of, jobId };
  });
  return {
    paused: paused === 1,
    waitsFor: String(waitsFor),
    faults: Number(faults),
    faultMs: Number(faultMs),
    jobs: Number(jobs),
    guests: guests.slice(firstOther),
    deferred: guests.slice(firstDeferred, firstOther),
    unfit: guests.slice(0, firstDeferred),
  };
}
