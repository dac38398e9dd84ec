/** A row of the table: what it needs, how it is run, and what it finds. */
import type { Figures } from '../contender.ts';
import type { Earlier } from '../earlier.ts';
import type { Sizes } from '../options.ts';
import type { Disposables } from '../../../testkit/disposables.ts';
import { judge, type Target, type Verdict } from '../statistics.ts';

export interface Finding {
  readonly what: string;
  readonly against: string;
  /** NaN if it could not be measured. */
  readonly measured: number;
  readonly unit: '×' | '/s' | '%' | 'ms' | 'MB' | '';
  readonly target: Target | null;
  readonly verdict: Verdict | 'skipped' | 'failed';
  /** How the figure was made. */
  readonly note: string;
}

interface RowResult {
  readonly findings: readonly Finding[];
  /** For the table of contenders. */
  readonly figures: readonly Figures[];
}

export interface Bench {
  readonly sizes: Sizes;
  /** The commit of `--against`. */
  readonly earlier: Earlier | null;
  /** Closed after the row: everything that a row starts goes in. */
  readonly disposables: Disposables;
  readonly progress: (text: string) => void;
}

export interface Row {
  readonly id: string;
  readonly title: string;
  /** Needs smtp-sink, which comes with Postfix. */
  readonly sink: boolean;
  /** Measures the commit of `--against`, too. */
  readonly earlier?: true;
  run(bench: Bench): Promise<RowResult>;
}

export function finding(
  about: Pick<Finding, 'what' | 'against' | 'measured' | 'unit'>,
  target: Target | null,
  note: string,
): Finding {
  return { ...about, target, verdict: judge(about.measured, target), note };
}

function rate(perSecond: number): string {
  return `${perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond)}/s`;
}

/** `344 + 293 µs`: processor time of the sender and of its Redis for a message. Trust it where others keep the machine busy. */
export function costs({ cpuUs: { sender = Number.NaN, redis } }: Figures): string {
  return `${Math.round(sender)}${redis === undefined ? '' : ` + ${Math.round(redis)}`} µs`;
}

/** `1,210/s (1,180–1,240)`: the median and the range of the repetitions. */
export function rates({ perSecond: { median, least, most } }: Figures): string {
  return `${rate(median)} (${Math.round(least)}–${Math.round(most)})`;
}
