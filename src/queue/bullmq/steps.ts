/**
 * One step of BullMQ's and one of ours as a single script: a job enters its lane together with its row, and leaves it
 * together with its result. That is atomic, where two scripts leave a gap for a crash, and saves a round trip each.
 *
 * BullMQ's own Lua runs unchanged, as a function with KEYS and ARGV of its own. Beyond its documented parts this relies on
 * `execCommand` and `addJobToTransaction` of its backend and on the scripts that it defines on the connection; `bullmq` is
 * pinned exactly, and test/queue/bullmq/steps.test.ts holds it.
 */
import { RedisQueueBackend, type Job } from 'bullmq';
import type { RedisClient } from '../redis/connection.ts';
import { run, script, type Script } from '../lua/script.ts';

/** Lua of ours, in which `bullmq()` runs BullMQ's step, once, and returns its result. It returns a table: our answer, then BullMQ's. */
export interface Rider {
  readonly lua: string;
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
}

interface Passenger extends Rider {
  readonly arrived: (answer: unknown) => void;
  readonly refused: (error: unknown) => void;
}

type Args = Parameters<RedisQueueBackend['execCommand']>[2];
type Client = Parameters<RedisQueueBackend['execCommand']>[0];

export type StepRunner = (command: string, args: Args, rider: Rider) => Promise<unknown[]>;

/** Runs steps over this connection, on which BullMQ has defined its scripts. */
export function createStepRunner(redis: RedisClient): StepRunner {
  const defined = redis.scriptsSet as Record<string, { lua: string; numberOfKeys: number } | undefined>;
  const steps = new Map<string, Map<string, Script>>();
  return async (command, args, { lua, keys, args: ours }) => {
    const theirs = defined[command];
    if (theirs === undefined) throw new Error(`BullMQ has not defined ${command}`);
    const { numberOfKeys } = theirs;
    const name = `${command} ${args.length}`;
    let known = steps.get(name);
    if (known === undefined) steps.set(name, (known = new Map()));
    let step = known.get(lua);
    if (step === undefined) known.set(lua, (step = combine(lua, theirs.lua, numberOfKeys, args.length - numberOfKeys)));
    const stepKeys = [...args.slice(0, numberOfKeys), ...keys] as string[];
    return (await run(redis, step, stepKeys, [...args.slice(numberOfKeys), ...ours])) as unknown[];
  };
}

/** BullMQ's keys and arguments come first; their numbers are constants of the script. */
function combine(ours: string, theirs: string, keyCount: number, argCount: number): Script {
  return script(`
local allKeys, allArgs = KEYS, ARGV
local function part(list, from, to)
  local some = {}
  for i = from, to do some[i - from + 1] = list[i] end
  return some
end
local function theirs(KEYS, ARGV)
${theirs}
end
local function bullmq() return theirs(part(allKeys, 1, ${keyCount}), part(allArgs, 1, ${argCount})) end
local KEYS, ARGV = part(allKeys, ${keyCount + 1}, #allKeys), part(allArgs, ${argCount + 1}, #allArgs)
${ours}`);
}

/** The place of the job's id among the arguments of moveToFinished-14.lua: the first after its keys. */
const finishedId = 14;

/** A backend whose steps may carry one of ours. */
export class SteppedBackend extends RedisQueueBackend {
  readonly #runStep: StepRunner;
  readonly #passengers = new Map<string, Passenger>();

  constructor(runStep: StepRunner, ...rest: ConstructorParameters<typeof RedisQueueBackend>) {
    super(...rest);
    this.#runStep = runStep;
  }

  /** Adds a job in one step with the rider. → the rider's answer. */
  async addWith(job: Job, rider: Rider): Promise<unknown> {
    let answer: unknown;
    const runCommand = async (command: string, args: Args): Promise<unknown> => {
      const [ours, theirs] = await this.#runStep(command, args, rider);
      answer = ours;
      return theirs;
    };
    await this.addJobToTransaction({ runCommand } as unknown as Client, job.asJSON(), job.id ?? '');
    return answer;
  }

  /** The rider goes with the step that ends the job, whatever its result. → its answer; rejects if that step is refused. */
  ride(jobId: string, rider: Rider): Promise<unknown> {
    return new Promise((arrived, refused) => {
      this.#passengers.set(jobId, { ...rider, arrived, refused });
    });
  }

  /** Tells a rider whose job did not come to its end here that it has not been carried. */
  leaveBehind(jobId: string): void {
    this.#passengers.get(jobId)?.refused(new Error('the job was not ended here'));
    this.#passengers.delete(jobId);
  }

  override execCommand(client: Client, commandName: string, args: Args): unknown {
    if (commandName !== 'moveToFinished') return super.execCommand(client, commandName, args);
    const id = String(args[finishedId]);
    const passenger = this.#passengers.get(id);
    if (passenger === undefined) return super.execCommand(client, commandName, args);
    this.#passengers.delete(id);
    return this.#carry(`${commandName}:${this.version}`, args, passenger);
  }

  async #carry(command: string, args: Args, { arrived, refused, ...rider }: Passenger): Promise<unknown> {
    try {
      const [ours, theirs] = await this.#runStep(command, args, rider);
      arrived(ours);
      return theirs;
    } catch (error) {
      refused(error);
      throw error;
    }
  }
}
