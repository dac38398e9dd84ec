/** The measuring loop: every contender sends a number of messages, and the loop says how fast and at what cost. */
import type { Part, Role } from './processes.ts';
import { cpuMs, machineMs, peakMb } from './processes.ts';
import type { Lap } from './sink.ts';
import { spreadOf, type Spread } from './statistics.ts';
import type { Store } from './store.ts';

export interface Contender {
  readonly name: string;
  /** Postlane, not a peer. */
  readonly ours: boolean;
  readonly parts: readonly Part[];
  /** Its Redis; null if it has none. */
  readonly store: Store | null;
  /** Sends that many messages, and calls `begins` when everything is prepared and the first may go. */
  lap(messages: number, begins: () => Promise<void>): Promise<Lap>;
  /** Settings to try; the best one is kept. The first one is the best on two processors. */
  readonly tuning: { readonly values: readonly number[]; set(value: number): Promise<unknown> } | null;
}

interface Sample {
  readonly perSecond: number;
  readonly cpuUs: Readonly<Partial<Record<Role, number>>>;
  readonly reads: number;
  readonly othersCores: number;
}

/** The results of a contender after all its laps, per message except for `perSecond`, `cores` and `peakMb`. */
export interface Figures {
  readonly name: string;
  readonly ours: boolean;
  readonly samples: readonly number[];
  readonly perSecond: Spread;
  /** Medians. */
  readonly cpuUs: Readonly<Partial<Record<Role, number>>>;
  /** Processors busy with it on average, by role. */
  readonly cores: Readonly<Partial<Record<Role, number>>>;
  readonly peakMb: Readonly<Partial<Record<Role, number>>>;
  /** Processors busy with other programs: if there are many, the speeds only show what was left over. */
  readonly othersCores: number;
  /** Reads of Redis from its clients; null without a Redis. */
  readonly reads: number | null;
  /** Commands to Redis, by name; null without a Redis. */
  readonly commands: Readonly<Record<string, number>> | null;
  /** In all laps together. */
  readonly messages: number;
  readonly tuned: number | null;
}

export interface LoopOptions {
  readonly lapMs: number;
  readonly repetitions: number;
  readonly warmUp: number;
  /** Messages of a lap, at least and at most. */
  readonly lapMessages: number;
  readonly most: number;
  /** Tries every setting, not only the first one. */
  readonly tune: boolean;
  readonly progress: (text: string) => void;
}

/** Messages whose commands to Redis are counted one by one; too slow to be timed. */
const watched = 100;

/** Warms each contender up and tunes it, then measures them in turns: A B C, A B C, … */
export async function compare(contenders: readonly Contender[], options: LoopOptions): Promise<Map<string, Figures>> {
  const { lapMs, repetitions, lapMessages, most, tune: all, progress } = options;
  const prepared: {
    contender: Contender;
    speed: number;
    messages: number;
    tuned: number | null;
    commands: Figures['commands'];
  }[] = [];
  for (const contender of contenders) {
    progress(`${contender.name}: warming up`);
    await warm(contender, options);
    const tuned = await tune(contender, lapMessages, all);
    const commands = contender.store === null ? null : await watchCommands(contender, contender.store);
    const { perSecond } = await take(contender, lapMessages);
    prepared.push({ contender, speed: perSecond, messages: 0, tuned, commands });
  }
  const samples = new Map<string, Sample[]>(contenders.map(({ name }) => [name, []]));
  for (let repetition = 1; repetition <= repetitions; repetition += 1) {
    for (const each of prepared) {
      const { contender, speed } = each;
      // By the speed of the last lap, so that a lap takes its time even on a machine that others slow down.
      const messages = Math.round(Math.min(most, Math.max(lapMessages, (speed * lapMs) / 1_000)));
      progress(`${contender.name}: ${messages} messages, ${repetition} of ${repetitions}`);
      const sample = await take(contender, messages);
      each.speed = sample.perSecond;
      each.messages += messages;
      samples.get(contender.name)?.push(sample);
    }
  }
  return new Map(
    prepared.map(({ contender, messages, tuned, commands }) => {
      const taken = samples.get(contender.name) ?? [];
      return [contender.name, { ...summary(contender, taken), commands, messages, tuned }];
    }),
  );
}

/** Longer warms nothing: servers that sync each message to disk would take minutes. */
const warmUpSeconds = 15;

async function warm(contender: Contender, { warmUp, lapMessages }: LoopOptions): Promise<void> {
  const { perSecond } = await take(contender, lapMessages);
  const rest = Math.round(Math.min(warmUp - lapMessages, perSecond * warmUpSeconds));
  if (rest > 0) await take(contender, rest);
}

async function take(contender: Contender, messages: number): Promise<Sample> {
  let before: readonly number[] = [];
  let readsBefore = 0;
  let machineBefore = machineMs();
  const lap = await contender.lap(messages, async () => {
    before = contender.parts.map(cpuMs);
    readsBefore = (await contender.store?.reads()) ?? 0;
    machineBefore = machineMs();
  });
  const cpuUs: Partial<Record<Role, number>> = {};
  for (const [index, part] of contender.parts.entries()) {
    const us = ((cpuMs(part) - before[index]!) * 1_000) / messages;
    cpuUs[part.role] = (cpuUs[part.role] ?? 0) + us;
  }
  const reads = ((await contender.store?.reads()) ?? 0) - readsBefore;
  const machine = machineMs();
  const ours = (Object.values(cpuUs).reduce((sum, us) => sum + us, 0) * messages) / 1_000;
  const othersCores = (machine.busy - machineBefore.busy - ours) / (machine.at - machineBefore.at);
  return { perSecond: (lap.messages * 1_000) / lap.ms, cpuUs, reads: reads / messages, othersCores };
}

/** → the setting that is kept, null if there is nothing to set. */
async function tune(contender: Contender, messages: number, all: boolean): Promise<number | null> {
  const { tuning } = contender;
  if (tuning === null) return null;
  const speeds: { readonly value: number; readonly perSecond: number }[] = [];
  for (const value of all ? tuning.values : tuning.values.slice(0, 1)) {
    await tuning.set(value);
    speeds.push({ value, perSecond: (await take(contender, messages)).perSecond });
  }
  const [best] = speeds.toSorted((a, b) => b.perSecond - a.perSecond);
  await tuning.set(best!.value);
  return best!.value;
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
  { name, ours, parts, store }: Contender,
  samples: readonly Sample[],
): Omit<Figures, 'commands' | 'messages' | 'tuned'> {
  const roles = [...new Set(parts.map(({ role }) => role))];
  const byRole = (value: (role: Role) => number): Partial<Record<Role, number>> =>
    Object.fromEntries(roles.map((role) => [role, value(role)]));
  const middle = (value: (sample: Sample) => number): number => spreadOf(samples.map(value)).median;
  return {
    name,
    ours,
    samples: samples.map(({ perSecond }) => perSecond),
    perSecond: spreadOf(samples.map(({ perSecond }) => perSecond)),
    cpuUs: byRole((role) => middle(({ cpuUs }) => cpuUs[role] ?? Number.NaN)),
    cores: byRole((role) => middle(({ cpuUs, perSecond }) => ((cpuUs[role] ?? Number.NaN) * perSecond) / 1e6)),
    peakMb: byRole((role) => parts.filter((part) => part.role === role).reduce((sum, part) => sum + peakMb(part), 0)),
    othersCores: Math.max(
      0,
      middle(({ othersCores }) => othersCores),
    ),
    reads: store === null ? null : middle(({ reads }) => reads),
  };
}
