/**
 * The exchange of a worker with one shard: gathers the scripts that are asked for within one turn of the event loop, and sends them as
 * one (turn.ts), in the order in which they were asked for.
 *
 *   asked ──▶ gathered ──(end of the loop's turn)──▶ under way ──▶ answered, each by itself
 *                ▲                                      │
 *                └── what exceeds a bound, or finds ────┘ refused as a whole: each asker gets the error
 *                    two under way, stays
 *
 * Redis answers no other client while a script runs, so a turn is bounded by number and by bytes.
 */
import { randomUUID } from 'node:crypto';
import { asError } from '../../errors.ts';
import type { RedisClient } from '../redis/connection.ts';
import { createPacking } from './packing.ts';
import { positional, run, runText, type HashedLua, type Lua, type RunScript, type ScriptValue } from './script.ts';

/** Scripts of one kind in a turn: twice as many save little, and make others wait longer. */
export const maxOfKind = 8;
/** Bytes of the arguments of a turn, unless it is a single script. */
export const maxTurnBytes = 256 * 1024;
/** Turns under way at once: one that Redis works on, one on its way. */
const maxUnderWay = 2;

export interface ExchangeOptions {
  readonly redis: RedisClient;
  readonly script: HashedLua;
  /** What the script was made of, in its order. */
  readonly parts: readonly Lua[];
  /** Of those, what takes jobs: a turn that is sent again gives the same. */
  readonly taking: ReadonlySet<Lua>;
  /** Where is noted what a turn took; `slot` is from 0 to below the number of turns under way. */
  readonly note: (slot: number) => string;
}

interface Asked {
  readonly part: number;
  readonly takes: boolean;
  readonly keys: readonly string[];
  readonly args: readonly ScriptValue[];
  readonly bytes: number;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A script that is no part of the turn runs alone. */
export function createExchange({ redis, script, parts, taking, note }: ExchangeOptions): RunScript {
  const partOf = new Map<Lua, number>(parts.map((part, i) => [part, i + 1]));
  const free = Array.from({ length: maxUnderWay }, (_, slot) => slot);
  // A process that comes back under the same name begins to count anew.
  const name = randomUUID();
  let gathered: Asked[] = [];
  let scheduled = false;
  let turns = 0;
  const packing = createPacking();

  const send = async (slot: number, asked: readonly Asked[]): Promise<void> => {
    const takes = asked.some((each) => each.takes);
    // Each key once: those of a lane are the same for all its messages.
    const places = new Map([[note(slot), 1]]);
    for (const { part, keys, args } of asked) {
      packing.number(part);
      packing.number(keys.length);
      packing.number(args.length);
      for (const key of keys) {
        let place = places.get(key);
        if (place === undefined) places.set(key, (place = places.size + 1));
        packing.number(place);
      }
      for (const arg of args) packing.value(arg);
    }
    const turn = takes ? `${name}:${(turns += 1)}` : '0';
    try {
      const answers = (await runText(redis, script, [...places.keys()], [turn, packing.take()])) as unknown[];
      for (const [i, each] of asked.entries()) {
        if (answers[2 * i] === 1) each.resolve(answers[2 * i + 1]);
        else each.reject(new Error(String(answers[2 * i + 1])));
      }
    } catch (thrown) {
      const error = asError(thrown);
      for (const each of asked) each.reject(error);
    } finally {
      free.push(slot);
      if (gathered.length > 0) schedule();
    }
  };

  const flush = (): void => {
    scheduled = false;
    for (let slot = free.pop(); slot !== undefined; slot = free.pop()) {
      const some = portion(gathered);
      if (some === 0) return void free.push(slot);
      const asked = gathered.slice(0, some);
      gathered = gathered.slice(some);
      void send(slot, asked);
    }
  };

  const schedule = (): void => {
    if (scheduled || free.length === 0) return;
    scheduled = true;
    setImmediate(flush);
  };

  return (called, input) => {
    const part = partOf.get(called);
    if (part === undefined) return run(redis, called, input);
    const { keys, args } = positional(called.shape, input);
    return new Promise((resolve, reject) => {
      gathered.push({ part, takes: taking.has(called), keys, args, bytes: bytesOf(args), resolve, reject });
      schedule();
    });
  };
}

/** How many of the first go together. Order is kept: none passes another. */
function portion(gathered: readonly Asked[]): number {
  const counts: number[] = [];
  let bytes = 0;
  for (const [i, asked] of gathered.entries()) {
    const count = (counts[asked.part] ?? 0) + 1;
    bytes += asked.bytes;
    if (i > 0 && (count > maxOfKind || bytes > maxTurnBytes)) return i;
    counts[asked.part] = count;
  }
  return gathered.length;
}

/** Text counts by its length: what is meant is how much Redis has to read, and that is at most three times as much. */
function bytesOf(args: readonly ScriptValue[]): number {
  let bytes = 0;
  for (const arg of args) if (typeof arg !== 'number') bytes += arg.length;
  return bytes;
}
