/**
 * Runs all that has to hold before a change goes in: the quick static checks, then the tests. The list of steps is here
 * and nowhere else. With arguments only the tests run, and the arguments are vitest's.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Step {
  readonly name: string;
  readonly command: readonly string[];
  /** Whether its output is shown as it comes; of the others it is shown if they fail. */
  readonly live: boolean;
}

const staticSteps: readonly Step[] = [
  { name: 'format', command: ['oxfmt', '--check'], live: false },
  { name: 'lint', command: ['oxlint', '--type-aware'], live: false },
  { name: 'types', command: ['tsc', '--noEmit'], live: false },
  { name: 'unused', command: ['knip'], live: false },
];

/** The whole run takes some eight minutes on two idle cores, and several times that on busy ones; what takes longer than this hangs. */
const limitMs = 40 * 60_000;
/** Between asking a step to end and ending it: vitest stops its workers, and the guard its Redis. */
const patienceMs = 5_000;

const root = fileURLToPath(new URL('..', import.meta.url));

process.exitCode = await main(process.argv.slice(2));

async function main(vitestArgs: readonly string[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-check-'));
  const resultFile = join(folder, 'vitest.json');
  const interrupted = new AbortController();
  const stop = () => interrupted.abort(new Error('interrupted'));
  process.once('SIGINT', stop).once('SIGTERM', stop).once('SIGHUP', stop);
  const signal = AbortSignal.any([interrupted.signal, AbortSignal.timeout(limitMs)]);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${resultFile}`];
  const tests: Step = { name: 'tests', command: ['vitest', 'run', ...reporters, ...vitestArgs], live: true };
  try {
    for (const step of vitestArgs.length > 0 ? [tests] : [...staticSteps, tests]) {
      const { ok, seconds, output } = await run(step, signal);
      console.log(`${ok ? 'ok  ' : 'FAIL'} ${step.name} (${seconds.toFixed(1)} s)`);
      if (signal.aborted)
        console.log(`ended during ${step.name}, after at most ${limitMs / 60_000} min: ${String(signal.reason)}`);
      if (!ok && !step.live) console.log(`${step.command.join(' ')}\n${output}`);
      if (step === tests) console.log(closingLine(resultFile));
      if (!ok) return 1;
    }
    return 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface StepResult {
  readonly ok: boolean;
  readonly seconds: number;
  readonly output: string;
}

async function run(step: Step, signal: AbortSignal): Promise<StepResult> {
  const startedAt = performance.now();
  const [file = '', ...args] = step.command;
  const out = step.live ? 'inherit' : 'pipe';
  // Its own process group, so that at the end the step is ended with all that it started.
  const child = spawn(join(root, 'node_modules', '.bin', file), args, {
    cwd: root,
    detached: true,
    stdio: ['ignore', out, out],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text: Buffer) => (output += text.toString()));
  const endGroup = (how: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, how);
    } catch {
      // The group is empty, as it should be.
    }
  };
  let patience: NodeJS.Timeout | undefined;
  const abort = () => {
    endGroup('SIGTERM');
    patience = setTimeout(() => endGroup('SIGKILL'), patienceMs);
  };
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  const code = await new Promise<number | null>((resolve) => {
    child.once('error', (error) => {
      output += error.message;
      resolve(null);
    });
    child.once('exit', resolve);
  });
  signal.removeEventListener('abort', abort);
  clearTimeout(patience);
  endGroup('SIGKILL');
  return { ok: code === 0, seconds: (performance.now() - startedAt) / 1_000, output };
}

interface VitestResult {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

/** A file that failed without a failing test (it does not load, it leaves something running) counts as one failure. */
function closingLine(resultFile: string): string {
  let result: VitestResult;
  try {
    result = JSON.parse(readFileSync(resultFile, 'utf8')) as VitestResult;
  } catch {
    return 'The tests ended without a result.';
  }
  const brokenFiles = result.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  return `${result.numPassedTests} passed, ${result.numFailedTests + brokenFiles.length} failed`;
}
