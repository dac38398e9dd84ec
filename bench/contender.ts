/** One loop that measures them all: a contender sends a number of messages, and this says how fast and what it cost. */
import type { Part, Role } from './processes.ts';
import { cpuMs, peakMb } from './processes.ts';
import type { Lap } from './sink.ts';
import { spreadOf, type Spread } from './statistics.ts';
import type { Store } from './store.ts';

export interface Contender {
  readonly name: string;
  readonly parts: readonly Part[];
  /** Its Redis; null if it has none. */
  readonly store: Store | null;
  /** Sends so many, and calls `begins` when all is prepared and the first may go. */
  lap(messages: number, begins: () => Promise<void>): Promise<Lap>;
  /** Tries other settings of it; what is best is kept. */
  readonly tuning: { readonly values: readonly number[]; set(value: number): Promise<unknown> } | null;
}

interface Sample {
  readonly messages: number;
  readonly perSecond: number;
  readonly cpuUs: Readonly<Partial<Record<Role, number>>>;
  readonly reads: number;
}

/** What is known of a contender after all its laps. Everything is per message but `perSecond`, `cores` and `peakMb`. */
export interface Figures {
  readonly name: string;
  readonly samples: readonly number[];
  readonly perSecond: Spread;
  /** Medians. */
  readonly cpuUs: Readonly<Partial<Record<Role, number>>>;
  /** Processors busy with it on average, by role. */
  readonly cores: Readonly<Partial<Record<Role, number>>>;
  readonly peakMb: Readonly<Partial<Record<Role, number>>>;
  /** Reads of Redis from its clients; null without a Redis. */
  readonly reads: number | null;
  /** Commands to Redis, by name; null without a Redis. */
  readonly commands: Readonly<Record<string, number>> | null;
  readonly messages: number;
  readonly tuned: number | null;
}

export interface LoopOptions {
  readonly lapMs: number;
  readonly repetitions: number;
  readonly warmUp: number;
  readonly most: number;
  readonly progress: (text: string) => void;
}

/** Messages whose commands to Redis are counted one by one; too slow to be timed. */
const watched = 200;

/** Warms each one up and tunes it, then lets them go in turns: A B C, A B C, … */
export async function compare(contenders: readonly Contender[], options: LoopOptions): Promise<Map<string, Figures>> {
  const { lapMs, repetitions, warmUp, most, progress } = options;
  const prepared: { contender: Contender; messages: number; tuned: number | null; commands: Figures['commands'] }[] =
    [];
  for (const contender of contenders) {
    progress(`${contender.name}: warming up`);
    let speed = await take(contender, warmUp);
    const tuned = await tune(contender, warmUp);
    if (tuned !== null) speed = tuned.sample;
    const commands = contender.store === null ? null : await watchCommands(contender, contender.store);
    speed = await take(contender, warmUp);
    const messages = Math.round(Math.min(most, Math.max(warmUp, (speed.perSecond * lapMs) / 1_000)));
    prepared.push({ contender, messages, tuned: tuned?.value ?? null, commands });
  }
  const samples = new Map<string, Sample[]>(contenders.map(({ name }) => [name, []]));
  for (let repetition = 1; repetition <= repetitions; repetition += 1) {
    for (const { contender, messages } of prepared) {
      progress(`${contender.name}: ${messages} messages, ${repetition} of ${repetitions}`);
      samples.get(contender.name)?.push(await take(contender, messages));
    }
  }
  return new Map(
    prepared.map(({ contender, messages, tuned, commands }) => {
      const taken = samples.get(contender.name) ?? [];
      return [contender.name, { ...summary(contender, taken), commands, messages, tuned }];
    }),
  );
}

async function take(contender: Contender, messages: number): Promise<Sample> {
  let before: readonly number[] = [];
  let readsBefore = 0;
  const lap = await contender.lap(messages, async () => {
    before = contender.parts.map(cpuMs);
    readsBefore = (await contender.store?.reads()) ?? 0;
  });
  const cpuUs: Partial<Record<Role, number>> = {};
  for (const [index, part] of contender.parts.entries()) {
    const us = ((cpuMs(part) - before[index]!) * 1_000) / messages;
    cpuUs[part.role] = (cpuUs[part.role] ?? 0) + us;
  }
  const reads = ((await contender.store?.reads()) ?? 0) - readsBefore;
  return { messages, perSecond: (lap.messages * 1_000) / lap.ms, cpuUs, reads: reads / messages };
}

async function tune(
  { tuning, ...contender }: Contender,
  messages: number,
): Promise<{ value: number; sample: Sample } | null> {
  if (tuning === null) return null;
  let best: { value: number; sample: Sample } | null = null;
  for (const value of tuning.values) {
    await tuning.set(value);
    const sample = await take({ ...contender, tuning }, messages);
    if (best === null || sample.perSecond > best.sample.perSecond) best = { value, sample };
  }
  if (best !== null) await tuning.set(best.value);
  return best;
}

async function watchCommands(contender: Contender, store: Store): Promise<Record<string, number>> {
  let watch: Awaited<ReturnType<Store['watch']>> | null = null;
  await contender.lap(watched, async () => {
    watch = await store.watch();
  });
  const counts = await watch!.stop();
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, count / watched]));
}

function summary(
  { name, parts, store }: Contender,
  samples: readonly Sample[],
): Omit<Figures, 'commands' | 'messages' | 'tuned'> {
  const roles = [...new Set(parts.map(({ role }) => role))];
  const byRole = (value: (role: Role) => number): Partial<Record<Role, number>> =>
    Object.fromEntries(roles.map((role) => [role, value(role)]));
  const middle = (value: (sample: Sample) => number): number => spreadOf(samples.map(value)).median;
  return {
    name,
    samples: samples.map(({ perSecond }) => perSecond),
    perSecond: spreadOf(samples.map(({ perSecond }) => perSecond)),
    cpuUs: byRole((role) => middle(({ cpuUs }) => cpuUs[role] ?? Number.NaN)),
    cores: byRole((role) => middle(({ cpuUs, perSecond }) => ((cpuUs[role] ?? Number.NaN) * perSecond) / 1e6)),
    peakMb: byRole((role) => parts.filter((part) => part.role === role).reduce((sum, part) => sum + peakMb(part), 0)),
    reads: store === null ? null : middle(({ reads }) => reads),
  };
}
