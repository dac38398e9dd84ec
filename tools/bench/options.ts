/** The arguments of `npm run bench`, and how much a whole and a quick run measure. */
import { parseArgs } from 'node:util';

/** How much is measured; times in ms. */
export interface Sizes {
  readonly lapMs: number;
  readonly repetitions: number;
  /** Of the row `peers`. */
  readonly peerRepetitions: number;
  /** Where some per cent are to be told apart. */
  readonly fineRepetitions: number;
  /** Messages sent before anything is measured. V8 compiles until then, which costs as much as 2,000 messages. */
  readonly warmUp: number;
  /** Messages of a lap, at least. */
  readonly lapMessages: number;
  /** Tries peers with each of their settings. */
  readonly tune: boolean;
  readonly backlog: number;
  /** On a throttled lane. */
  readonly waiting: number;
  readonly latencyMs: number;
  readonly pacingMs: number;
  readonly idleMs: number;
  readonly fleetMs: number;
  /** Starts of a command. */
  readonly starts: number;
}

export interface Options {
  readonly quick: boolean;
  readonly json: boolean;
  readonly only: readonly string[];
  /** Results of an earlier run. */
  readonly baseline: string | null;
  /** A commit that is measured in the same run. */
  readonly against: string | null;
  readonly sizes: Sizes;
}

export type Arguments = { readonly options: Options } | { readonly help: string } | { readonly mistake: string };

const whole: Sizes = {
  lapMs: 6_000,
  repetitions: 3,
  peerRepetitions: 5,
  fineRepetitions: 10,
  warmUp: 10_000,
  lapMessages: 1_500,
  tune: true,
  backlog: 1_000_000,
  waiting: 100_000,
  latencyMs: 20_000,
  pacingMs: 90_000,
  idleMs: 25_000,
  fleetMs: 20_000,
  starts: 15,
};

const quick: Sizes = {
  lapMs: 700,
  repetitions: 1,
  peerRepetitions: 1,
  fineRepetitions: 1,
  warmUp: 1_000,
  lapMessages: 400,
  tune: false,
  backlog: 50_000,
  waiting: 10_000,
  latencyMs: 2_000,
  pacingMs: 10_000,
  idleMs: 5_000,
  fleetMs: 3_000,
  starts: 3,
};

/** `rows`: id → what it measures. */
export function readArguments(args: readonly string[], rows: Readonly<Record<string, string>>): Arguments {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        only: { type: 'string', multiple: true, default: [] },
        baseline: { type: 'string' },
        against: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) return { help: help(rows) };
    const only = values.only.flatMap((list) => list.split(','));
    const unknown = only.filter((id) => !Object.hasOwn(rows, id));
    if (unknown.length > 0) {
      return { mistake: `there is no row ${unknown.join(', ')}; the rows are ${Object.keys(rows).join(', ')}` };
    }
    const { quick: isQuick, json, baseline = null, against = null } = values;
    return { options: { quick: isQuick, json, only, baseline, against, sizes: isQuick ? quick : whole } };
  } catch (error) {
    return { mistake: error instanceof Error ? error.message : String(error) };
  }
}

function help(rows: Readonly<Record<string, string>>): string {
  return `npm run bench [-- --quick] [--only ROW[,ROW…]] [--baseline FILE] [--against COMMIT] [--json]

Measures Postlane and what could be used instead on this machine, side by side in one run.

  --quick      fewer messages and repetitions: under 3 minutes instead of under 20
  --only       these rows alone
  --baseline   the results of an earlier run: names what got worse since
  --against    an earlier commit, which row peers measures too: what a message cost then and costs now
  --json       one JSON document on stdout instead of the tables

Rows:
${Object.entries(rows)
  .map(([id, title]) => `  ${id.padEnd(12)}${title}`)
  .join('\n')}

Exit code 0 if everything could be measured, whatever the figures; 1 if something could not; 2 for a mistake in the
arguments. The figures are also written to tools/bench/results/latest.json, and drawn in tools/bench/results/latest.svg.`;
}
