/** The quick start as its user runs it: a separate process, with everything it sets up. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { kinds } from '../../../tools/quickstart/kinds.ts';
import { until } from '../../../testkit/until.ts';

const program = fileURLToPath(new URL('../../../tools/quickstart/main.ts', import.meta.url));

interface Run {
  readonly output: () => string;
  readonly exit: Promise<number | null>;
  signal(name: NodeJS.Signals): void;
}

function start(args: readonly string[], more: NodeJS.ProcessEnv = {}): Run {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...env, ...more },
  });
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => output.push(text));
  const exit = once(child, 'close').then(([code]) => code as number | null);
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await exit;
  });
  return { output: () => output.join(''), exit, signal: (name) => child.kill(name) };
}

/** The rows of the table: cells by two or more spaces. */
function rows(output: string): string[][] {
  const lines = output.split('\n');
  const head = lines.findIndex((line) => line.startsWith('From '));
  return lines.slice(head + 2, lines.indexOf('', head)).map((line) => line.split(/ {2,}/));
}

describe('npm run quickstart', () => {
  test('the quick start shows which connector and rule each From matched, and that every message arrived', async () => {
    const run = start(['--count', '12']);
    await succeeded(run);
    const table = rows(run.output());
    const expected = [
      ['sales@example.com', 'sales', 'exact', 'sent', '2'],
      ['sales@example.com', 'sales', 'exact', 'sent, at attempt 2', '1'],
      ['bestellung@bücher.example.org', 'shop', 'domain', 'sent', '2'],
      ['bestellung@bücher.example.org', 'shop', 'domain', 'partial: one recipient 550', '1'],
      ['finance@example.com', 'finance', 'exact', 'sent', '1'],
      ['invoices@billing.example.com', 'finance', 'domain', 'sent', '1'],
      ['(none)', 'relay', 'default', 'sent', '1'],
      ['j.doe@subsidiary.example.net', 'relay', 'default', 'sent', '1'],
      ['j.doe@subsidiary.example.net', 'relay', 'default', 'dead letter: rejected 550', '1'],
      ['archive@example.com', 'relay', 'default', 'sent', '1'],
    ];
    expect(table.map((row) => row.join(' ')).sort()).toEqual(expected.map((row) => row.join(' ')).sort());
    expect(run.output()).toMatch(/\nAll \d+ checks hold\.\n$/);
    expect(run.output()).not.toContain('✗');
    expect(existsSync(configOf(run))).toBe(false);
  });

  test('the quick start also sends through Graph, where one answer is lost and one message is throttled', async () => {
    const run = start(['--count', String(2 * kinds.length)]);
    await succeeded(run);
    const support = rows(run.output()).filter(([from]) => from === 'support@example.com');
    expect(support.map((row) => row.join(' ')).sort()).toEqual([
      'support@example.com support exact sent 5',
      'support@example.com support exact sent, found in Sent Items 1',
    ]);
    expect(run.output()).not.toContain('✗');
  });

  test('with --keep the quick start says what to try next, and Ctrl-C stops everything', async () => {
    const run = start(['--count', '4', '--keep']);
    await until(() => run.output().includes('Ctrl-C here stops everything'), { what: 'the advice' });
    const config = configOf(run);
    expect(run.output()).toContain(`npm run -s postlane -- explain archive@example.com --config ${config}\n`);
    expect(existsSync(config)).toBe(true);
    const [, link = ''] = /^ +(http:\S+\/ui\/login\?link=\S+)$/m.exec(run.output()) ?? [];
    const page = await fetch(link);
    expect(page.status).toBe(200);
    expect(await page.text()).toContain('Sign in as quickstart');
    expect(readFileSync(join(dirname(config), 'worker.log'), 'utf8')).not.toContain(link.split('link=')[1]);
    run.signal('SIGINT');
    await succeeded(run);
    expect(existsSync(config)).toBe(false);
  });

  test('the quick start fails when its worker dies, and keeps the log', async () => {
    const run = start(['--count', '2000']);
    await until(() => run.output().includes('Sending'), { what: 'the start' });
    const [, pid] = /worker +process (\d+)/.exec(run.output()) ?? [];
    process.kill(Number(pid), 'SIGKILL');
    expect(await run.exit).toBe(1);
    expect(run.output()).toContain('The worker ended before the messages were settled.');
    const folder = dirname(configOf(run));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    expect(run.output()).toContain(`Kept for a look: ${folder}`);
    expect(readFileSync(join(folder, 'worker.log'), 'utf8')).toContain('"event":"ready"');
  });

  test('the quick start reports at once that the Redis of REDIS_URL cannot be reached', async () => {
    const run = start([], { REDIS_URL: 'redis://127.0.0.1:1' });
    expect(await run.exit).toBe(1);
    expect(run.output()).toContain('The Redis of REDIS_URL (127.0.0.1:1) cannot be reached.');
    expect(run.output()).not.toContain('Kept for a look');
  });

  test('the quick start answers a wrong option with the usage and exit code 2', async () => {
    const wrong = [
      ['--cuont', '3'],
      ['--count', 'many'],
      ['--count', '0'],
    ];
    for (const run of wrong.map((args) => start(args))) {
      expect(await run.exit).toBe(2);
      expect(run.output()).toContain('npm run quickstart [-- OPTION…]');
    }
  });
});

/** A failure shows the output of the run. */
async function succeeded(run: Run): Promise<void> {
  const code = await run.exit;
  expect({ code, output: run.output() }).toMatchObject({ code: 0 });
}

function configOf(run: Run): string {
  const [, path] = /configuration (\S+)/.exec(run.output()) ?? [];
  if (path === undefined) throw new Error(`no configuration is named in:\n${run.output()}`);
  return path;
}
