/**
 * Operations over many dead letters, as they are stored: what is to be done, how fast, how far it is. Everything is in Redis, so that any
 * process can go on where another one was killed (operation-runner.ts).
 *
 *   operation:ID        what it is, its state, its rate, its results
 *   operation:ID:ids    ids that are still to be done; those of a batch go once their results are written
 *   operation:ID:lease  the process that works on it
 */
import { randomBytes } from 'node:crypto';
import { luaNow, run, script, write } from '../queue/lua/script.ts';
import type { RedisClient } from '../queue/redis/connection.ts';
import type { HomeKeys } from '../queue/redis/keys.ts';
import type { BulkKind } from './dead-preview.ts';

export const operationStates = ['running', 'done', 'stopped'] as const;
export type OperationState = (typeof operationStates)[number];

/** What came of one letter. `gone`: it was replayed, dropped or trimmed meanwhile. `changed`: it died again meanwhile, and stays. */
export const letterResults = [
  'replayed',
  'dropped',
  'already',
  'held',
  'unreadable',
  'gone',
  'changed',
  'failed',
] as const;
export type LetterResult = (typeof letterResults)[number];

export interface NewOperation {
  readonly kind: BulkKind;
  readonly by: string;
  readonly through: string;
  /** In words. */
  readonly what: string;
  readonly via: string | null;
  /** null: as fast as it goes. */
  readonly ratePerSecond: number | null;
  readonly reason: string | null;
  /** Letters that died later are not touched, ms since the epoch. */
  readonly until: number;
}

export interface Operation extends NewOperation {
  readonly id: string;
  readonly state: OperationState;
  readonly total: number;
  /** Letters that have a result. */
  readonly done: number;
  readonly results: Readonly<Partial<Record<LetterResult, number>>>;
  /** ms since the epoch. */
  readonly startedAt: number;
  readonly updatedAt: number;
  readonly endedAt: number | null;
  readonly stoppedBy: string | null;
  readonly stopReason: string | null;
}

/** Of those that are over: as long as dead letters are kept by default. */
export const keepMs = 30 * 86_400_000;
const mostKept = 1_000;
/** Ids of one command, of 128 characters at most. */
const idsPerCommand = 1_000;
/** An operation that is not begun within this time was left by a crash, in ms. */
const draftMs = 600_000;

/** @lua */
export const beginScript = script(
  { keys: ['operation', 'ids', 'all', 'open'], args: ['id', 'mostKept'], moreArgs: 'fields', allowOom: true },
  /* lua */ `${luaNow}
local at = string.format('%.0f', now)
redis.call('HSET', operation, 'state', 'running', 'startedAt', at, 'updatedAt', at, unpack(fields))
redis.call('ZADD', all, at, id)
redis.call('SADD', open, id)
redis.call('PERSIST', ids)
redis.call('ZREMRANGEBYRANK', all, 0, -mostKept - 1)
`,
);

/** → its state before. @lua */
export const stopScript = script(
  { keys: ['operation', 'ids', 'open'], args: ['id', 'by', 'reason', 'keepMs'], allowOom: true },
  /* lua */ `${luaNow}
local state = redis.call('HGET', operation, 'state')
if state ~= 'running' then return state or '' end
local at = string.format('%.0f', now)
redis.call('HSET', operation, 'state', 'stopped', 'endedAt', at, 'updatedAt', at, 'stoppedBy', by, 'stopReason', reason)
redis.call('PEXPIRE', operation, keepMs)
redis.call('DEL', ids)
redis.call('SREM', open, id)
return state
`,
);

/** → its state. @lua */
export const rateScript = script(
  { keys: ['operation'], args: ['rate'], allowOom: true },
  /* lua */ `
local state = redis.call('HGET', operation, 'state')
if state == 'running' then redis.call('HSET', operation, 'rate', rate) end
return state or ''
`,
);

export interface Operations {
  /** Stores it; a runner begins with it within a second. `ids` are told page by page. */
  begin(operation: NewOperation, ids: AsyncIterable<readonly string[]>): Promise<Operation>;
  get(id: string): Promise<Operation | null>;
  /** Newest first; `before` is the start of the last one of the page before. */
  list(before: OperationPlace | null, limit: number): Promise<readonly Operation[]>;
  /** Those that are not over. */
  open(): Promise<string[]>;
  /** What was done stays done. → its state before; null if there is none of this id. */
  stop(id: string, by: string, reason: string | null): Promise<OperationState | null>;
  setRate(id: string, ratePerSecond: number | null): Promise<OperationState | null>;
}

interface OperationPlace {
  readonly at: number;
  readonly id: string;
}

export function operationKeys(keys: HomeKeys, id: string) {
  return { operation: keys.operation(id), ids: keys.operationIds(id), open: keys.openOperations };
}

export function createOperations(redis: RedisClient, keys: HomeKeys): Operations {
  const get = async (id: string): Promise<Operation | null> =>
    isOperationId(id) ? operationOf(id, await redis.hgetall(keys.operation(id))) : null;
  const stateOf = (answer: unknown): OperationState | null => operationStates.find((state) => state === answer) ?? null;
  return {
    get,

    async begin(operation, pages) {
      const id = `op_${Date.now().toString(36).padStart(9, '0')}${randomBytes(6).toString('hex')}`;
      const list = keys.operationIds(id);
      let total = 0;
      for await (const ids of pages) {
        for (let from = 0; from < ids.length; from += idsPerCommand) {
          // Also in a full Redis: a drop makes room.
          await write(redis, 'RPUSH', list, ...ids.slice(from, from + idsPerCommand));
        }
        if (total === 0) await redis.pexpire(list, draftMs);
        total += ids.length;
      }
      const { kind, by, through, what, via, ratePerSecond, reason, until } = operation;
      const fields = {
        kind,
        by,
        through,
        what,
        via: via ?? '',
        rate: ratePerSecond ?? '',
        reason: reason ?? '',
        until,
      };
      await run(redis, beginScript, {
        keys: { ...operationKeys(keys, id), all: keys.operations },
        args: { id, mostKept },
        moreArgs: Object.entries({ ...fields, total }).flat(),
      });
      return (await get(id))!;
    },

    async list(before, limit) {
      const found: Operation[] = [];
      const last = before === null ? '+inf' : before.at;
      const ids = await redis.zrevrangebyscore(keys.operations, last, '-inf', 'LIMIT', 0, mostKept);
      const rest = before === null ? ids : ids.slice(ids.indexOf(before.id) + 1);
      for (let from = 0; from < rest.length && found.length < limit; from += limit) {
        const rows = await Promise.all(rest.slice(from, from + limit).map(get));
        found.push(...rows.flatMap((row) => row ?? []));
      }
      return found.slice(0, limit);
    },

    open: () => redis.smembers(keys.openOperations),

    async stop(id, by, reason) {
      if (!isOperationId(id)) return null;
      const args = { id, by, reason: reason ?? '', keepMs };
      return stateOf(await run(redis, stopScript, { keys: operationKeys(keys, id), args }));
    },

    async setRate(id, ratePerSecond) {
      if (!isOperationId(id)) return null;
      const args = { rate: ratePerSecond ?? '' };
      return stateOf(await run(redis, rateScript, { keys: { operation: keys.operation(id) }, args }));
    },
  };
}

/** Written by us; what is no number or no word of ours is left out. */
function operationOf(id: string, hash: Record<string, string>): Operation | null {
  const state = operationStates.find((name) => name === hash['state']);
  if (state === undefined) return null;
  const number = (name: string): number | null => {
    const text = hash[name] ?? '';
    const value = Number(text);
    return text === '' || !Number.isFinite(value) ? null : value;
  };
  const results = letterResults.flatMap((name) => {
    const count = number(`r:${name}`);
    return count === null ? [] : [[name, count] as const];
  });
  return {
    id,
    kind: hash['kind'] === 'drop' ? 'drop' : 'replay',
    state,
    by: hash['by'] ?? '',
    through: hash['through'] ?? '',
    what: hash['what'] ?? '',
    via: hash['via'] || null,
    ratePerSecond: number('rate'),
    reason: hash['reason'] || null,
    until: number('until') ?? 0,
    total: number('total') ?? 0,
    done: number('done') ?? 0,
    results: Object.fromEntries(results),
    startedAt: number('startedAt') ?? 0,
    updatedAt: number('updatedAt') ?? 0,
    endedAt: number('endedAt'),
    stoppedBy: hash['stoppedBy'] || null,
    stopReason: hash['stopReason'] || null,
  };
}

function isOperationId(id: string): boolean {
  return /^op_[a-z0-9]{20,30}$/.test(id);
}
