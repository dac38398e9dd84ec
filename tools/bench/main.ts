/**
 * npm run bench [-- --quick] [--only ROW[,ROW…]] [--baseline FILE] [--against COMMIT] [--json]
 *
 * Measures Postlane beside its alternatives, row after row, and prints the results. Exit code 0 if everything could be
 * measured, whatever the figures; 1 if something could not; 2 for a mistake in the arguments.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { checkOut, findCommit } from './earlier.ts';
import { describeMachine } from './machine.ts';
import { readArguments, type Options } from './options.ts';
import { plot } from './plot.ts';
import { report, type Results } from './report.ts';
import { readBaseline, worseThan } from './baseline.ts';
import { backlog } from './rows/backlog.ts';
import { connectors } from './rows/connectors.ts';
import { encryption } from './rows/encryption.ts';
import { enqueue } from './rows/enqueue.ts';
import { fleet } from './rows/fleet.ts';
import { hostile } from './rows/hostile.ts';
import { http } from './rows/http.ts';
import { idle } from './rows/idle.ts';
import { install } from './rows/install.ts';
import { large } from './rows/large.ts';
import { journal } from './rows/journal.ts';
import { latency } from './rows/latency.ts';
import { outbox } from './rows/outbox.ts';
import { pacing } from './rows/pacing.ts';
import { peers } from './rows/peers.ts';
import { processes } from './rows/processes.ts';
import type { Finding, Row } from './rows/row.ts';
import { createDisposables, type Disposables } from '../../testkit/disposables.ts';
import { sinkProgram } from './sink.ts';
import { search } from './rows/search.ts';
import { start } from './rows/start.ts';
import { submission } from './rows/submission.ts';

const rows: readonly Row[] = [
  peers,
  enqueue,
  http,
  submission,
  outbox,
  backlog,
  journal,
  encryption,
  search,
  large,
  fleet,
  latency,
  pacing,
  idle,
  connectors,
  processes,
  hostile,
  start,
  install,
];
const missing = 'smtp-sink is missing; it comes with Postfix (Debian: apt-get install postfix)';

process.exitCode = await main();

async function main(): Promise<number> {
  const read = readArguments(process.argv.slice(2), Object.fromEntries(rows.map(({ id, title }) => [id, title])));
  if ('help' in read) {
    process.stdout.write(`${read.help}\n`);
    return 0;
  }
  if ('mistake' in read) {
    process.stderr.write(`${read.mistake}\n`);
    return 2;
  }
  const { options } = read;
  // Before anything runs: the file may be the one that this run writes.
  const baseline = options.baseline === null ? null : readBaseline(options.baseline);
  if (typeof baseline === 'string') {
    process.stderr.write(`${baseline}\n`);
    return 2;
  }
  if (options.against !== null && (await findCommit(options.against)) === null) {
    process.stderr.write(`there is no commit ${options.against} in this repository\n`);
    return 2;
  }
  const startedAt = performance.now();
  const seconds = (): number => (performance.now() - startedAt) / 1_000;
  const progress = (text: string): void =>
    void process.stderr.write(`${seconds().toFixed(0).padStart(4)} s  ${text}\n`);
  if (sinkProgram === null) progress(`${missing}; rows that need it are skipped`);
  const results: Results['rows'][number][] = [];
  for (const row of rows.filter(({ id }) => options.only.length === 0 || options.only.includes(id))) {
    progress(`— ${row.id}: ${row.title}`);
    results.push({ id: row.id, ...(await measured(row, options, progress)) });
  }
  const all: Results = {
    at: new Date().toISOString(),
    quick: options.quick,
    seconds: seconds(),
    machine: describeMachine(),
    rows: results,
  };
  const folder = new URL('results/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL('latest.json', folder), `${JSON.stringify(all, null, 2)}\n`);
  writeFileSync(new URL('latest.svg', folder), plot(all));
  process.stdout.write(`${options.json ? JSON.stringify(all) : report(all)}\n`);
  if (baseline !== null) {
    const lines = worseThan(baseline, all);
    (options.json ? process.stderr : process.stdout).write(`\n${lines.join('\n')}\n`);
  }
  return results.some(({ findings }) => findings.some(({ verdict }) => verdict === 'failed')) ? 1 : 0;
}

/** A row that fails is reported, and the others still run. */
async function measured(
  row: Row,
  { sizes, against }: Options,
  progress: (text: string) => void,
): Promise<Omit<Results['rows'][number], 'id'>> {
  if (row.sink && sinkProgram === null) return { findings: [instead(row, 'skipped', missing)], figures: [] };
  const disposables = createDisposables();
  const ending = endOnSignal(disposables);
  try {
    const earlier = row.earlier && against !== null ? await checkOut(against, disposables, progress) : null;
    return await row.run({ sizes, earlier, disposables, progress });
  } catch (error) {
    // After a signal its servers were stopped under it: nothing has failed.
    await ending.begun();
    const why = error instanceof Error ? error.message : String(error);
    progress(`${row.id} failed: ${why}`);
    return { findings: [instead(row, 'failed', why)], figures: [] };
  } finally {
    ending.forget();
    await disposables.close();
  }
}

function instead({ title }: Row, verdict: 'skipped' | 'failed', note: string): Finding {
  return { what: title, against: '', measured: Number.NaN, unit: '', target: null, verdict, note };
}

/** Ctrl-C: everything that runs is stopped before this process ends. `begun` never resolves if that is under way. */
function endOnSignal(disposables: Disposables): { begun(): Promise<void>; forget(): void } {
  let end: Promise<void> = Promise.resolve();
  const close = (signal: NodeJS.Signals): void => {
    process.stderr.write(`${signal}: stopping what runs\n`);
    end = disposables.close().then(() => process.exit(signal === 'SIGINT' ? 130 : 143));
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.once(signal, close);
  return {
    begun: () => end,
    forget: () => {
      for (const signal of signals) process.off(signal, close);
    },
  };
}
