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
import {
  run,
  runText,
  type HashedLua,
  type Lua,
  type RunScript,
  type ScriptInput,
  type ScriptShape,
  type ScriptValue,
} from './script.ts';

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

const none: readonly never[] = [];

interface Asked {
  readonly part: number;
  readonly takes: boolean;
  readonly shape: ScriptShape;
  readonly input: ScriptInput<string, string>;
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
    const keys = [note(slot)];
    const places = new Map<string, number>();
    const packKey = (key: string): void => {
      let place = places.get(key);
      if (place === undefined) places.set(key, (place = keys.push(key)));
      packing.number(place);
    };
    for (const { part, shape, input } of asked) {
      const { args = {}, moreKeys = none, moreArgs = none } = input;
      const names = shape.args ?? none;
      packing.number(part);
      packing.number(shape.keys.length + moreKeys.length);
      packing.number(names.length + moreArgs.length);
      for (const key of shape.keys) packKey(input.keys[key]!);
      for (const key of moreKeys) packKey(key);
      for (const arg of names) packing.value(args[arg]!);
      for (const arg of moreArgs) packing.value(arg);
    }
    const turn = takes ? `${name}:${(turns += 1)}` : '0';
    try {
      const answers = (await runText(redis, script, keys, [turn, packing.take()])) as unknown[];
      for (const [i, each] of asked.entries()) {
        if (answers[2 * i] === 1) each.resolve(movedOut(answers[2 * i + 1]));
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
    const { shape } = called;
    return new Promise((resolve, reject) => {
      gathered.push({ part, takes: taking.has(called), shape, input, bytes: bytesOf(input), resolve, reject });
      schedule();
    });
  };
}

/**
 * The same answer in an array of its own, and the client's array empty. V8 comes to make the client's arrays in its old generation,
 * where they keep each text until the next full collection: all messages were copied there, which was half of the time of collecting.
 */
function movedOut(answer: unknown): unknown {
  if (!Array.isArray(answer)) return answer;
  const own: unknown[] = answer.slice();
  answer.length = 0;
  return own;
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
function bytesOf({ args = {}, moreArgs = none }: ScriptInput<string, string>): number {
  let bytes = 0;
  for (const name in args) bytes += lengthOf(args[name]!);
  for (const arg of moreArgs) bytes += lengthOf(arg);
  return bytes;
}

function lengthOf(value: ScriptValue): number {
  return typeof value === 'number' ? 0 : value.length;
}
