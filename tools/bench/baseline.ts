/** Compares a run with an earlier one, and names what got worse: ratios, and processor time per message. */
import { readFileSync } from 'node:fs';
import type { Results } from './report.ts';
import type { Role } from './processes.ts';

/** Two runs of one version on one machine differ by about as much. */
const tolerance = 0.1;

/** → the results, or what is wrong with the file. */
export function readBaseline(file: string): Results | string {
  try {
    const read: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (isResults(read)) return read;
    return `${file} has no results of npm run bench`;
  } catch (error) {
    return `${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function isResults(value: unknown): value is Results {
  if (typeof value !== 'object' || value === null || !('rows' in value) || !Array.isArray(value.rows)) return false;
  return value.rows.every(
    (row: unknown) =>
      typeof row === 'object' &&
      row !== null &&
      'findings' in row &&
      Array.isArray(row.findings) &&
      'figures' in row &&
      Array.isArray(row.figures),
  );
}

/**
 * Only rows of both runs. A speed alone is not compared, because it depends on what else the machine does; a ratio and the processor
 * time of a message do not.
 */
export function worseThan(before: Results, now: Results): string[] {
  const lines: string[] = [];
  for (const row of now.rows) {
    const earlier = before.rows.find(({ id }) => id === row.id);
    if (earlier === undefined) continue;
    for (const { what, against, measured, target, unit } of row.findings) {
      const was = earlier.findings.find((each) => each.what === what && each.against === against)?.measured ?? null;
      // JSON has no NaN: what could not be measured is null in the file.
      if (target === null || was === null || !isWorse(was, measured, target.kind === 'at least')) continue;
      lines.push(
        `${row.id}: ${what}, against ${against}: ${figure(measured)} ${unit} instead of ${figure(was)} ${unit}`,
      );
    }
    for (const { name, cpuUs } of row.figures.filter(({ ours }) => ours)) {
      const earlierUs = earlier.figures.find((each) => each.name === name)?.cpuUs ?? {};
      for (const [role, us] of Object.entries(cpuUs) as [Role, number][]) {
        const was = earlierUs[role] ?? null;
        if (was === null || (role !== 'sender' && role !== 'redis') || !isWorse(was, us, false)) continue;
        lines.push(`${row.id}: ${name}, µs of ${role} per message: ${figure(us)} instead of ${figure(was)}`);
      }
    }
  }
  const machines = [before, now].map(
    ({ machine, quick }) => `${machine['processor'] ?? ''} ${machine['node'] ?? ''}${quick ? ', quick' : ''}`,
  );
  const differs = machines[0] === machines[1] ? [] : [`the runs differ: ${machines[0]} then, ${machines[1]} now`];
  if (lines.length === 0)
    return [`Nothing got worse by more than ${tolerance * 100} % since ${before.at}.`, ...differs];
  return [
    `Worse by more than ${tolerance * 100} % since ${before.at}:`,
    ...lines.map((line) => `  ${line}`),
    ...differs,
  ];
}

function isWorse(was: number, is: number, moreIsBetter: boolean): boolean {
  // What was measured and cannot be measured any more is worse.
  if (Number.isNaN(is)) return true;
  return moreIsBetter ? is < was * (1 - tolerance) : is > was * (1 + tolerance);
}

function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}
