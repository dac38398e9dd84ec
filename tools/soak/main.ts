/**
 * npm run soak -- [--minutes N] [--seed S] [--fsync always|everysec] [--messages-per-second R] [--workers W] [--json]
 *
 * Exit code 0 if nothing was lost, every extra copy follows an attempt that the ledger calls uncertain, and everything was
 * settled at the end; 1 if not, and then the logs are kept; 2 for a mistake in the arguments.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { soak, type SoakOptions, type SoakResult } from './run.ts';
import type { Violation } from './verdict.ts';

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (typeof options === 'string') {
    process.stderr.write(`${options}\n`);
    return 2;
  }
  const folder = mkdtempSync(join(tmpdir(), 'postlane-soak-'));
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
  const { json, ...rest } = options;
  const progress = (line: string): void => void process.stderr.write(`${line}\n`);
  const result = await soak({ ...rest, folder, progress, signal: interrupted.signal });
  const good = isGood(result);
  const { violations, ...figures } = result;
  writeFileSync(join(folder, 'violations.json'), JSON.stringify(violations, withMaps, 2));
  if (json) process.stdout.write(`${JSON.stringify({ good, ...figures, violations }, withMaps)}\n`);
  else process.stdout.write(`${report(result).join('\n')}\n`);
  if (good) rmSync(folder, { recursive: true, force: true });
  else process.stderr.write(`logs, deliveries and violations: ${folder}\n`);
  return good ? 0 : 1;
}

function isGood({
  lost,
  rubbishLeft,
  violations,
  findings,
  pending,
  drainedMs,
  crashes,
  accepted,
}: SoakResult): boolean {
  return (
    accepted > 0 &&
    lost === 0 &&
    rubbishLeft === 0 &&
    violations.length === 0 &&
    findings.length === 0 &&
    pending === 0 &&
    drainedMs !== null &&
    crashes.length === 0
  );
}

type Options = Omit<SoakOptions, 'folder' | 'progress' | 'signal'> & { readonly json: boolean };

/** The options, or what is wrong with them. */
function readOptions(): Options | string {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: 'string', default: '2' },
        seed: { type: 'string', default: '1' },
        fsync: { type: 'string', default: 'always' },
        'messages-per-second': { type: 'string', default: '20' },
        workers: { type: 'string', default: '3' },
        json: { type: 'boolean', default: false },
      },
    });
    const number = (name: 'minutes' | 'seed' | 'messages-per-second' | 'workers', least: number): number => {
      const given = Number(values[name]);
      if (!(given >= least)) throw new Error(`--${name} must be a number of at least ${least}`);
      return given;
    };
    const { fsync, json } = values;
    if (fsync !== 'always' && fsync !== 'everysec') throw new Error('--fsync must be always or everysec');
    return {
      durationMs: number('minutes', 0.05) * 60_000,
      seed: Math.floor(number('seed', 0)),
      messagesPerSecond: number('messages-per-second', 0.1),
      workers: Math.floor(number('workers', 1)),
      fsync,
      json,
    };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function report(result: SoakResult): string[] {
  const { violations, crashes, faults, drainedMs } = result;
  const rows: [string, unknown][] = [
    ['accepted', result.accepted],
    ['delivered once', result.deliveredOnce],
    ['delivered more than once', result.deliveredMore],
    ...Object.entries(result.dead).map(([reason, count]): [string, unknown] => [`dead, ${reason}`, count]),
    ['partial', result.partial],
    ['held', result.held],
    ['cancelled', result.cancelled],
    ['dropped by the operator', result.dropped],
    ['pending', result.pending],
    ['lost (recipients)', result.lost],
    ['violations', violations.length],
    ['findings of the doctor', result.findings.length],
    ['jobs that are no messages', result.rubbish],
    ['of them, no dead letter', result.rubbishLeft],
    ['recipients with a copy', result.recipientsDelivered],
    ['send() rejected, Redis away', result.rejections],
    ['settled after the load within', drainedMs === null ? 'never' : `${(drainedMs / 1_000).toFixed(1)} s`],
    ...Object.entries(faults),
    ['workers that crashed', crashes.length],
  ];
  return [
    ...rows.map(([name, value]) => `${name.padEnd(32)}${String(value)}`),
    ...violations.slice(0, 20).flatMap(violationLines),
    ...result.findings.map(({ kind, id, detail }) => `! doctor: ${kind} ${id}: ${detail}`),
    ...crashes.map((crash) => `! ${crash}`),
  ];
}

function violationLines({ what, evidence: { offer, row, copies } }: Violation): string[] {
  const copied = [...copies].map(([address, taken]) => `${address} ×${taken.length}`);
  const history = (row?.history ?? []).map((entry) => `    ${JSON.stringify(entry)}`);
  const head = `! ${offer.id ?? offer.tag}: ${row?.state ?? 'no row'}; copies: ${copied.join(', ')}`;
  return ['', head, ...what.map((each) => `  ${each}`), ...history];
}

function withMaps(_key: string, value: unknown): unknown {
  return value instanceof Map ? Object.fromEntries(value) : value;
}
