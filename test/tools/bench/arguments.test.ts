/** The arguments of `npm run bench`: which it understands, and that it rejects the others instead of measuring something else. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { readArguments } from '../../../tools/bench/options.ts';
import { root } from '../../support/source.ts';

const rows = { fast: 'how fast', small: 'how small' };
const run = promisify(execFile);
const program = join(root, 'tools/bench/main.ts');

describe('the arguments', () => {
  test('without arguments the benchmark measures every row in full', () => {
    expect(readArguments([], rows)).toMatchObject({
      options: { quick: false, json: false, only: [], baseline: null, against: null },
    });
  });

  test('--quick measures less of everything', () => {
    const [whole, quick] = [readArguments([], rows), readArguments(['--quick'], rows)];
    if (!('options' in whole) || !('options' in quick)) throw new Error('the arguments were rejected');
    const more = whole.options.sizes;
    const names = Object.keys(more) as (keyof typeof more)[];
    expect(names.filter((name) => quick.options.sizes[name] >= more[name])).toEqual([]);
  });

  test('--only takes rows one by one or as a list', () => {
    const expected = { options: { only: ['small', 'fast'] } };
    expect(readArguments(['--only', 'small', '--only', 'fast'], rows)).toMatchObject(expected);
    expect(readArguments(['--only', 'small,fast'], rows)).toMatchObject(expected);
  });

  test('an unknown row is a mistake, and the message names the known ones', () => {
    expect(readArguments(['--only', 'fsat'], rows)).toEqual({
      mistake: 'there is no row fsat; the rows are fast, small',
    });
  });

  test('--baseline names the results of an earlier run', () => {
    expect(readArguments(['--baseline', 'old.json'], rows)).toMatchObject({ options: { baseline: 'old.json' } });
  });

  test('--against names a commit', () => {
    expect(readArguments(['--against', 'v1'], rows)).toMatchObject({ options: { against: 'v1' } });
  });

  test('an unknown option is a mistake that names it', () => {
    expect(readArguments(['--quik'], rows)).toHaveProperty('mistake', expect.stringContaining('--quik'));
  });

  test('--help lists the rows', () => {
    expect(readArguments(['--help'], rows)).toHaveProperty(
      'help',
      expect.stringMatching(/fast +how fast\n +small +how small/),
    );
  });
});

describe('the program', () => {
  test('the program ends --help with exit code 0 and lists every row', async () => {
    const { stdout } = await run(process.execPath, [program, '--help']);
    const ids = [...stdout.matchAll(/^ {2}([a-z]+) {2,}/gm)].map(([, id]) => id);
    expect(ids).toEqual([
      'peers',
      'enqueue',
      'http',
      'submission',
      'outbox',
      'backlog',
      'journal',
      'encryption',
      'search',
      'large',
      'fleet',
      'latency',
      'pacing',
      'idle',
      'connectors',
      'processes',
      'hostile',
      'start',
      'install',
    ]);
  });

  test('a baseline that cannot be read is a mistake, before anything is measured', async () => {
    const ended = run(process.execPath, [program, '--baseline', '/nowhere/old.json']);
    await expect(ended).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('/nowhere/old.json') });
  });

  test('a commit that is not there is a mistake, before anything is measured', async () => {
    const ended = run(process.execPath, [program, '--against', '--all']);
    await expect(ended).rejects.toMatchObject({ code: 2 });
    const unknown = run(process.execPath, [program, '--against=no-such-commit']);
    await expect(unknown).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('no-such-commit') });
  });

  test('the program reports a mistake on stderr with exit code 2', async () => {
    const ended = run(process.execPath, [program, '--only', 'nothing']);
    await expect(ended).rejects.toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('no row nothing'),
    });
  });
});
