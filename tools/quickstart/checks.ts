/** How a check is made: it looks at many things, and reports each one that is wrong. */
import { isDeepStrictEqual } from 'node:util';

export interface Check {
  readonly title: string;
  /** How many things were looked at. */
  readonly looked: number;
  /** What differs; empty if the check holds. */
  readonly problems: readonly string[];
}

/** A check in the making. */
export interface Notes {
  /** One thing looked at. A difference is reported as `about: expected …, got …`. */
  same(about: string, actual: unknown, expected: unknown): void;
  /** One thing looked at; `problem` is reported unless `holds`. */
  holds(holds: boolean, problem: string): void;
}

export function check(title: string, look: (notes: Notes) => void): Check {
  const problems: string[] = [];
  let looked = 0;
  const holds = (good: boolean, problem: string): void => {
    looked += 1;
    if (!good) problems.push(problem);
  };
  look({
    holds,
    same: (about, actual, expected) =>
      holds(isDeepStrictEqual(actual, expected), `${about}: expected ${short(expected)}, got ${short(actual)}`),
  });
  return { title, looked, problems };
}

function short(value: unknown): string {
  const text = Buffer.isBuffer(value) ? `${value.length} bytes` : (JSON.stringify(value) ?? 'nothing');
  return text.length <= 160 ? text : `${text.slice(0, 159)}…`;
}
