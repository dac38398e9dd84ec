/**
 * Runs everything that must hold before a change goes in: the quick static checks, then the tests. The list of steps is here
 * and nowhere else. With arguments, or with TEST_ENCRYPTION=1, only the tests run; the arguments are vitest's.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runningTestsVariable } from './running-tests.ts';

interface Step {
  readonly name: string;
  readonly command: readonly string[];
  /** Whether its output is shown as it comes; that of the others is shown if they fail. */
  readonly live: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

const staticSteps: readonly Step[] = [
  { name: 'format', command: ['oxfmt', '--check'], live: false },
  { name: 'lint', command: ['oxlint', '--type-aware'], live: false },
  { name: 'types', command: ['tsc', '--noEmit'], live: false },
  { name: 'unused', command: ['knip'], live: false },
];

/** The whole run takes less than ten minutes on two idle cores; a machine with other work may need three times as long. */
const limitMs = 40 * 60_000;
/** Between SIGTERM to a step and SIGKILL: vitest stops its workers, and the guard its Redis. */
const patienceMs = 5_000;

const root = fileURLToPath(new URL('..', import.meta.url));

process.exitCode = await main(process.argv.slice(2));

async function main(vitestArgs: readonly string[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-check-'));
  const resultFile = join(folder, 'vitest.json');
  const interrupted = new AbortController();
  const stop = () => interrupted.abort(new Error('interrupted'));
  process.once('SIGINT', stop).once('SIGTERM', stop).once('SIGHUP', stop);
  const limit = AbortSignal.timeout(limitMs);
  const signal = AbortSignal.any([interrupted.signal, limit]);
  const runningFile = join(folder, 'running.txt');
  const reporters = ['default', 'json', join(root, 'tools/running-tests.ts')].map((name) => `--reporter=${name}`);
  const tests: Step = {
    name: 'tests',
    command: ['vitest', 'run', ...reporters, `--outputFile.json=${resultFile}`, ...vitestArgs],
    live: true,
    env: { [runningTestsVariable]: runningFile },
  };
  try {
    const testsAlone = vitestArgs.length > 0 || process.env['TEST_ENCRYPTION'] === '1';
    for (const step of testsAlone ? [tests] : [...staticSteps, tests]) {
      const { ok, seconds, output } = await run(step, signal);
      console.log(`${ok ? 'ok  ' : 'FAIL'} ${step.name} (${seconds.toFixed(1)} s)`);
      if (signal.aborted) {
        const why = limit.aborted ? `all steps together may take ${limitMs / 60_000} minutes` : 'interrupted';
        console.log(`ended during ${step.name}: ${why}`);
        if (step === tests) console.log(waitedFor(runningFile));
      }
      if (!ok && !step.live) console.log(`${step.command.join(' ')}\n${output}`);
      if (step === tests) console.log(closingLines(resultFile, vitestArgs.length === 0));
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
    env: { ...process.env, ...step.env },
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
    readonly name: string;
    readonly status: string;
    readonly startTime: number;
    readonly endTime: number;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages?: readonly string[];
    }[];
  }[];
}

/** The files, and within them the tests, that ran when the run was ended. */
function waitedFor(runningFile: string): string {
  try {
    const running = readFileSync(runningFile, 'utf8').split('\n').filter(Boolean);
    return running.length > 0
      ? `It waited for:\n${running.map((line) => `  ${line}`).join('\n')}`
      : 'No test was running.';
  } catch {
    return 'The tests had not started.';
  }
}

/** Short enough that the ends of a hundred failures fit into what a CI keeps of its output. */
function failuresOf({ testResults }: VitestResult): string[] {
  const failures = testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === 'failed')
      .map(({ fullName, failureMessages: [message = ''] = [] }) =>
        `  ${relative(root, name)}: ${fullName}: ${message.split('\n', 1)[0]!}`.slice(0, 400),
      ),
  );
  return failures.length === 0 ? [] : ['What failed:', ...failures.slice(0, 20)];
}

/** The last line is the verdict. A file that failed without a failing test (it does not load, it leaks) counts as one failure. */
function closingLines(resultFile: string, withSlowest: boolean): string {
  let result: VitestResult;
  try {
    result = JSON.parse(readFileSync(resultFile, 'utf8')) as VitestResult;
  } catch {
    return 'The tests ended without a result.';
  }
  const brokenFiles = result.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  const slowest = result.testResults
    .map(({ name, startTime, endTime }) => ({ name: relative(root, name), seconds: (endTime - startTime) / 1_000 }))
    .toSorted((a, b) => b.seconds - a.seconds)
    .slice(0, 10)
    .map(({ name, seconds }) => `  ${seconds.toFixed(1).padStart(6)} s  ${name}`);
  return [
    ...(withSlowest ? ['The slowest test files:', ...slowest] : []),
    ...failuresOf(result),
    `${result.numPassedTests} passed, ${result.numFailedTests + brokenFiles.length} failed`,
  ].join('\n');
}
