/**
 * One step of BullMQ's and one of ours as a single script: a job enters its lane together with its row. That is atomic, where two
 * scripts leave a gap for a crash, and saves a round trip.
 *
 * BullMQ's own Lua runs unchanged, as a function with KEYS and ARGV of its own. Beyond its documented parts this relies on
 * `execCommand` and `addJobToTransaction` of its backend and on the scripts that it defines on the connection; `bullmq` is
 * pinned exactly, and test/queue/bullmq/steps.test.ts holds it.
 */
import { RedisQueueBackend, type Job } from 'bullmq';
import type { RedisClient } from '../redis/connection.ts';
import { allowOom, hashed, runText, splitFlag, type HashedLua, type ScriptValue } from '../lua/script.ts';
import { guardArgCount, guardArgs, isGuarded, luaGuard } from './guarded-steps.ts';
import { returnInOrder } from './return-order.ts';
import type { JobBounds } from './soundness.ts';

/** Lua of ours, in which `bullmq()` runs BullMQ's step, once, and returns its result. It returns a table: our answer, then BullMQ's. */
export interface ScriptAddOn {
  readonly lua: string;
  readonly keys: readonly string[];
  readonly args: readonly ScriptValue[];
}

type Args = Parameters<RedisQueueBackend['execCommand']>[2];
type Client = Parameters<RedisQueueBackend['execCommand']>[0];

/** `bounds`: the step runs guarded (guarded-steps.ts). */
export type StepRunner = (command: string, args: Args, addOn: ScriptAddOn, bounds?: JobBounds) => Promise<unknown[]>;

/** Nothing of ours beside BullMQ's step. */
const noAddOn: ScriptAddOn = { lua: 'return { 0, bullmq() }', keys: [], args: [] };

/** Runs steps over this connection, on which BullMQ has defined its scripts. */
export function createStepRunner(redis: RedisClient): StepRunner {
  const defined = redis.scriptsSet as Record<string, { lua: string; numberOfKeys: number } | undefined>;
  const steps = new Map<string, Map<string, HashedLua>>();
  return async (command, args, { lua, keys, args: ours }, bounds) => {
    const theirs = defined[command];
    if (theirs === undefined) throw new Error(`BullMQ has not defined ${command}`);
    const { numberOfKeys } = theirs;
    const name = `${command} ${args.length} ${bounds === undefined ? '' : 'guarded'}`;
    let known = steps.get(name);
    if (known === undefined) steps.set(name, (known = new Map()));
    let step = known.get(lua);
    const counts = { keys: numberOfKeys, args: args.length - numberOfKeys };
    if (step === undefined) known.set(lua, (step = combine(lua, theirs.lua, counts, bounds !== undefined)));
    const stepKeys = [...args.slice(0, numberOfKeys), ...keys] as string[];
    const guard = bounds === undefined ? [] : guardArgs(bounds);
    return (await runText(redis, step, stepKeys, [...args.slice(numberOfKeys), ...guard, ...ours])) as unknown[];
  };
}

/**
 * BullMQ's keys and arguments come first; their numbers are constants of the script. Those of the guard follow, then ours. The flag of
 * BullMQ's part is that of the whole.
 */
function combine(
  ours: string,
  defined: string,
  { keys: keyCount, args: argCount }: { readonly keys: number; readonly args: number },
  isGuardedStep: boolean,
): HashedLua {
  const argsBefore = argCount + (isGuardedStep ? guardArgCount : 0);
  const { allowsOom, lua: theirs } = splitFlag(defined);
  const whole = `
local allKeys, allArgs = KEYS, ARGV
${isGuardedStep ? luaGuard : ''}
local function part(list, from, to)
  local some = {}
  for i = from, to do some[i - from + 1] = list[i] end
  return some
end
local function theirs(KEYS, ARGV)
${isGuardedStep ? `local redis = guarded(unpack(allArgs, ${argCount + 1}, ${argsBefore}))` : ''}
${theirs}
end
local function bullmq() return theirs(part(allKeys, 1, ${keyCount}), part(allArgs, 1, ${argCount})) end
local KEYS, ARGV = part(allKeys, ${keyCount + 1}, #allKeys), part(allArgs, ${argsBefore + 1}, #allArgs)
${ours}`;
  return hashed(allowsOom ? allowOom(whole) : whole);
}

/** The place of the job's id among the arguments of moveJobFromActiveToWait-9.lua: the first after the keys. */
const returnedIdAt = 9;

/** A backend whose steps may run an add-on of ours. */
export class SteppedBackend extends RedisQueueBackend {
  readonly #runStep: StepRunner;
  readonly #bounds: () => JobBounds;
  readonly #toKey: (type: string) => string;

  constructor(
    { runStep, bounds }: { readonly runStep: StepRunner; readonly bounds: () => JobBounds },
    ...rest: ConstructorParameters<typeof RedisQueueBackend>
  ) {
    super(...rest);
    this.#runStep = runStep;
    this.#bounds = bounds;
    this.#toKey = rest[3];
  }

  /** Adds a job in one step with the add-on. → the add-on's answer. */
  async addWith(job: Job, addOn: ScriptAddOn): Promise<unknown> {
    let answer: unknown;
    const runCommand = async (command: string, args: Args): Promise<unknown> => {
      const [ours, theirs] = await this.#runStep(command, args, addOn);
      answer = ours;
      return theirs;
    };
    await this.addJobToTransaction({ runCommand } as unknown as Client, job.asJSON(), job.id ?? '');
    return answer;
  }

  override execCommand(client: Client, commandName: string, args: Args): unknown {
    const command = `${commandName}:${this.version}`;
    if (commandName === 'moveJobFromActiveToWait') {
      const addOn = returnInOrder(String(args[returnedIdAt]), this.#toKey);
      return this.#runStep(command, args, addOn).then(([, theirs]) => theirs);
    }
    if (isGuarded(commandName))
      return this.#runStep(command, args, noAddOn, this.#bounds()).then(([, theirs]) => theirs);
    return super.execCommand(client, commandName, args);
  }
}
