/** Lua scripts in Redis: their keys and arguments have names, which become Lua locals and TypeScript types alike. */
import { createHash } from 'node:crypto';
import type { RedisClient } from '../redis/connection.ts';

export type ScriptValue = string | number | Buffer;

/** What a script is called with, in order. A position has one name, in Lua and in TypeScript. */
export interface ScriptShape<Key extends string = string, Arg extends string = string> {
  readonly keys: readonly Key[];
  readonly args?: readonly Arg[];
  /** Name of a Lua table with the keys that follow the named ones. */
  readonly moreKeys?: string;
  /** Name of a Lua table with the arguments that follow the named ones. */
  readonly moreArgs?: string;
  /** Of these keys, each with what follows, the script asks for the value by `valueOf` (turn.ts). */
  readonly values?: Readonly<Partial<Record<NoInfer<Key>, string>>>;
  /** Keys that are seldom there: the script asks by `isThere` (turn.ts). */
  readonly seldom?: readonly NoInfer<Key>[];
  /** It runs although Redis has reached `maxmemory`: it serves messages that were accepted. Not for what stores new ones. */
  readonly allowOom?: true;
}

/** A piece of Lua with named inputs. On its own it is a script; with BullMQ's `bullmq()` it is a script add-on. */
export interface Lua<Key extends string = string, Arg extends string = string> {
  readonly shape: ScriptShape<Key, Arg>;
  readonly lua: string;
  /** Without the locals that name the inputs. */
  readonly body: string;
}

export type Script<Key extends string = string, Arg extends string = string> = Lua<Key, Arg> & HashedLua;

/** Redis time in ms as the local `now`: the clocks of workers may differ, that of Redis is one. */
export const luaNow = `local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
`;

/** Lua whose named keys and arguments are locals at its top. */
export function lua<const Key extends string, const Arg extends string = never>(
  shape: ScriptShape<Key, Arg>,
  text: string,
): Lua<Key, Arg> {
  const { keys, args = [], moreKeys, moreArgs } = shape;
  const lines = [
    ...locals('KEYS', keys),
    ...locals('ARGV', args),
    ...rest('KEYS', keys.length, moreKeys),
    ...rest('ARGV', args.length, moreArgs),
  ];
  return { shape, lua: `${lines.join('\n')}\n${text}`, body: text };
}

function locals(list: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  return [`local ${names.join(', ')} = ${names.map((_, i) => `${list}[${i + 1}]`).join(', ')}`];
}

/** A loop rather than `unpack`, which ends at some thousand values. */
function rest(list: string, from: number, name: string | undefined): string[] {
  return name === undefined
    ? []
    : [`local ${name} = {}`, `for i = ${from + 1}, #${list} do ${name}[i - ${from}] = ${list}[i] end`];
}

export function script<const Key extends string, const Arg extends string = never>(
  shape: ScriptShape<Key, Arg>,
  text: string,
): Script<Key, Arg> {
  const made = lua(shape, text);
  return { ...made, ...hashed(shape.allowOom === true ? allowOom(made.lua) : made.lua) };
}

/** Redis 7: https://redis.io/docs/latest/develop/programmability/lua-api/#script-flags */
const oomFlag = '#!lua flags=allow-oom\n';

/** Lua that Redis runs although it has reached `maxmemory`. */
export function allowOom(text: string): string {
  return text.startsWith(oomFlag) ? text : oomFlag + text;
}

/** The flag stands on the first line and nowhere else: two scripts that become one share it. */
export function splitFlag(text: string): { readonly allowsOom: boolean; readonly lua: string } {
  const allowsOom = text.startsWith(oomFlag);
  return { allowsOom, lua: allowsOom ? text.slice(oomFlag.length) : text };
}

/** Lua as Redis knows it: by its SHA-1. */
export interface HashedLua {
  readonly lua: string;
  readonly sha: string;
}

export function hashed(text: string): HashedLua {
  return { lua: text, sha: createHash('sha1').update(text).digest('hex') };
}

/** The values of named inputs, and of those that follow them. */
export interface ScriptInput<Key extends string, Arg extends string> {
  readonly keys: Readonly<Record<Key, string>>;
  readonly args?: Readonly<Record<Arg, ScriptValue>>;
  readonly moreKeys?: readonly string[];
  readonly moreArgs?: readonly ScriptValue[];
}

/** The inputs in the order of the shape, as Redis takes them. */
function positional<Key extends string, Arg extends string>(
  { keys, args = [] }: ScriptShape<Key, Arg>,
  input: ScriptInput<Key, Arg>,
): { readonly keys: string[]; readonly args: ScriptValue[] } {
  const named: Partial<Record<Arg, ScriptValue>> = input.args ?? {};
  return {
    keys: [...keys.map((name) => input.keys[name]), ...(input.moreKeys ?? [])],
    args: [...args.map((name) => named[name]!), ...(input.moreArgs ?? [])],
  };
}

/** Runs a script: alone (`run` below), or together with others in one (exchange.ts). */
export type RunScript = <Key extends string, Arg extends string>(
  called: Script<Key, Arg>,
  input: ScriptInput<Key, Arg>,
) => Promise<unknown>;

/** Runs a script with named inputs. */
export function run<Key extends string, Arg extends string>(
  redis: RedisClient,
  called: Script<Key, Arg>,
  input: ScriptInput<Key, Arg>,
): Promise<unknown> {
  const { keys, args } = positional(called.shape, input);
  return runText(redis, called, keys, args);
}

/** Runs a script that only reads, with the right to read its keys alone (EVALSHA_RO, Redis 7). */
export async function runReading<Key extends string, Arg extends string>(
  redis: RedisClient,
  called: Script<Key, Arg>,
  input: ScriptInput<Key, Arg>,
): Promise<unknown> {
  const { keys, args } = positional(called.shape, input);
  try {
    return await redis.call('EVALSHA_RO', called.sha, keys.length, ...keys, ...args);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return redis.call('EVAL_RO', called.lua, keys.length, ...keys, ...args);
  }
}

/** Runs Lua by its hash. A restarted Redis has forgotten it (NOSCRIPT): then its text is sent, which loads it again. */
export async function runText(
  redis: RedisClient,
  { lua: text, sha }: HashedLua,
  keys: readonly string[],
  args: readonly ScriptValue[],
): Promise<unknown> {
  try {
    return await redis.evalsha(sha, keys.length, ...keys, ...args);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return redis.eval(text, keys.length, ...keys, ...args);
  }
}

/** Lua with its inputs in place, to be run together with a step of BullMQ's. */
export function bind<Key extends string, Arg extends string>(
  { shape, lua: text }: Lua<Key, Arg>,
  input: ScriptInput<Key, Arg>,
): { readonly lua: string; readonly keys: string[]; readonly args: ScriptValue[] } {
  return { lua: text, ...positional(shape, input) };
}

/** One command on one key. @lua */
export const writeScript = script(
  { keys: ['key'], args: ['command'], moreArgs: 'rest', allowOom: true },
  /* lua */ `
return redis.call(command, key, unpack(rest))
`,
);

/** A single write that Redis takes although it is full; as a plain command it would be refused. → its reply. */
export function write(
  redis: RedisClient,
  command: 'SET' | 'ZADD' | 'RPUSH',
  key: string,
  ...rest: readonly ScriptValue[]
): Promise<unknown> {
  return run(redis, writeScript, { keys: { key }, args: { command }, moreArgs: rest });
}
