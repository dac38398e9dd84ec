/** Holds what the set-up scripts decide: whether packages are stale, where Redis comes from, how a command takes over. */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { staleReason } from '../../tools/setup/dependencies.mjs';
import { chooseRedis, findOnPath } from '../../testkit/redis-server.mjs';
import { until } from '../../testkit/until.ts';
import { root } from '../support/source.ts';

const run = promisify(execFile);

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

describe('packages', () => {
  const lock = (packages: object) => JSON.stringify({ packages });
  const wanted = lock({
    '': { version: '1.0.0' },
    'node_modules/a': { version: '1.0.0', integrity: 'x' },
    'node_modules/b': { version: '1.0.0', integrity: 'y', dev: true },
    'node_modules/c-darwin': { version: '1.0.0', optional: true },
  });
  const a = { version: '1.0.0', integrity: 'x' };
  const b = { version: '1.0.0', integrity: 'y', dev: true };
  const development = { development: true };

  test.each([
    ['nothing is installed', null, 'there are none yet'],
    ['a package is missing', lock({ 'node_modules/b': b }), 'node_modules/a is missing'],
    [
      'a version differs',
      lock({ 'node_modules/a': { ...a, version: '2.0.0' }, 'node_modules/b': b }),
      'node_modules/a has changed',
    ],
    [
      'the content differs',
      lock({ 'node_modules/a': { ...a, integrity: 'z' }, 'node_modules/b': b }),
      'node_modules/a has changed',
    ],
    [
      'a package is left over',
      lock({ 'node_modules/a': a, 'node_modules/b': b, 'node_modules/d': a }),
      'node_modules/d is left over',
    ],
    ['the installed lock is cut off', '{"packages": {"node_mod', 'node_modules/a is missing'],
  ])('are stale if %s', (_, installed, reason) => {
    expect(staleReason(wanted, installed, development)).toBe(reason);
  });

  test('are up to date without the binaries of other systems', () => {
    expect(staleReason(wanted, lock({ 'node_modules/a': a, 'node_modules/b': b }), development)).toBeNull();
  });

  test('for development are needed for development only', () => {
    const production = lock({ 'node_modules/a': a });
    expect(staleReason(wanted, production, { development: false })).toBeNull();
    expect(staleReason(wanted, production, development)).toBe('node_modules/b is missing');
  });
});

describe('an installation', () => {
  const turn = join(root, 'tools/setup/turn.mjs');
  /** Notes its begin and its end, and has its turn for some time. */
  const program = (file: string, log: string) => `
    const { inTurn } = await import(${JSON.stringify(turn)});
    const { appendFileSync } = await import('node:fs');
    const note = (what) => appendFileSync(${JSON.stringify(log)}, what + '\\n');
    inTurn(${JSON.stringify(file)}, () => {
      note('begin');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
      note('end');
    }, () => note('waits'));`;

  test('waits for another one in the same clone: of six, no two run at the same time', async () => {
    const folder = temporaryFolder();
    const [file, log] = [join(folder, 'turn'), join(folder, 'log')];
    const six = Array.from({ length: 6 }, () => run(process.execPath, ['-e', program(file, log)]));
    await Promise.all(six);
    const steps = readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line === 'begin' || line === 'end');
    expect(steps).toEqual(Array.from({ length: 6 }, () => ['begin', 'end']).flat());
    expect(readdirSync(folder)).toEqual(['log']);
  });

  test.each([
    ['a process that is gone', '4194305'],
    ['an owner that is no number', 'x'],
    ['a file that is empty', ''],
  ])('does not wait for %s', async (_, owner) => {
    const folder = temporaryFolder();
    const [file, log] = [join(folder, 'turn'), join(folder, 'log')];
    writeFileSync(file, owner);
    await run(process.execPath, ['-e', program(file, log)]);
    expect(readFileSync(log, 'utf8')).toBe('begin\nend\n');
  });
});

describe('Redis', () => {
  const bare = { redisUrl: undefined, server: null, root: false, apt: false, brew: false, docker: () => false };
  const everything = { redisUrl: 'redis://r', server: '/r', root: true, apt: true, brew: true, docker: () => true };

  test.each([
    ['the one of REDIS_URL before all others', everything, 'url'],
    ['a server on PATH if there is no REDIS_URL', { ...everything, redisUrl: undefined }, 'binary'],
    ['a server on PATH if REDIS_URL is empty', { ...everything, redisUrl: '' }, 'binary'],
    ['a Debian package for root', { ...everything, redisUrl: undefined, server: null }, 'apt'],
    ['no Debian package for others', { ...bare, apt: true }, 'nothing'],
    ['Homebrew before Docker', { ...bare, brew: true, docker: () => true }, 'brew'],
    ['Docker where nothing can be installed', { ...bare, apt: true, docker: () => true }, 'docker'],
    ['none, if there is no way', bare, 'nothing'],
  ])('is %s', (_, machine, choice) => {
    expect(chooseRedis(machine)).toBe(choice);
  });

  test('queries Docker only if there is nothing else, because the query is slow', () => {
    const docker = () => {
      throw new Error('asked');
    };
    expect(chooseRedis({ ...everything, redisUrl: undefined, docker })).toBe('binary');
  });

  test('is found in the order of names, then of folders, and only if it is executable', () => {
    const folder = temporaryFolder();
    const [first, second] = [join(folder, 'first'), join(folder, 'second')];
    for (const [place, name, mode] of [
      [first, 'one-server', 0o644],
      [first, 'two-server', 0o755],
      [second, 'one-server', 0o755],
    ] as const) {
      mkdirSync(place, { recursive: true });
      writeFileSync(join(place, name), '');
      chmodSync(join(place, name), mode);
    }
    const path = `${first}:${second}`;
    expect(findOnPath(['one-server', 'two-server'], path)).toBe(join(second, 'one-server'));
    expect(findOnPath(['two-server'], path)).toBe(join(first, 'two-server'));
    expect(findOnPath(['three-server'], path)).toBeNull();
  });
});

describe('the hand-over to a command', () => {
  /**
   * A repository whose CLI is `program`, with the scripts of this one. Its packages are never stale: npm ci would delete those of
   * this repository if they were linked here.
   */
  function repository(program: string): string {
    const folder = temporaryFolder();
    for (const name of ['tools/setup', 'testkit/redis-server.mjs', 'package.json']) {
      cpSync(join(root, name), join(folder, name), { recursive: true });
    }
    mkdirSync(join(folder, 'node_modules'));
    for (const name of ['package-lock.json', 'node_modules/.package-lock.json']) {
      writeFileSync(join(folder, name), '{"packages":{}}');
    }
    symlinkSync(join(root, 'node_modules/.bin'), join(folder, 'node_modules/.bin'));
    mkdirSync(join(folder, 'src/cli'), { recursive: true });
    writeFileSync(join(folder, 'src/cli/main.ts'), program);
    return folder;
  }

  test('through npm prints what the command prints and nothing else, in the folder of the caller', async () => {
    const folder = repository(
      'const given: string[] = process.argv.slice(2); console.log(JSON.stringify({ given, cwd: process.cwd() }));',
    );
    const elsewhere = realpathSync(temporaryFolder());
    const { stdout, stderr } = await run(
      'npm',
      ['run', '-s', '--prefix', folder, 'postlane', '--', 'explain', 'x y', '--json'],
      { cwd: elsewhere },
    );
    expect(JSON.parse(stdout)).toEqual({ given: ['explain', 'x y', '--json'], cwd: elsewhere });
    expect(stderr).toBe('');
  });

  test('through npm keeps the exit code', async () => {
    const folder = repository('process.exitCode = 42;');
    const ended = run('npm', ['run', '-s', '--prefix', folder, 'postlane']);
    await expect(ended).rejects.toMatchObject({ code: 42 });
  });

  const direct = [process.execPath, 'tools/setup/bootstrap.mjs', 'cli'] as const;
  const throughNpm = ['npm', 'run', '-s', 'postlane'] as const;

  interface Started {
    readonly child: ChildProcess;
    /** The lines that the command has printed after `ready`, when it and what started it have ended. */
    readonly rest: () => Promise<readonly string[]>;
  }

  /** Starts the command of a new repository and waits until it has printed its first line, `ready`. */
  async function started(
    program: string,
    [file, ...args]: typeof direct | typeof throughNpm,
    env: NodeJS.ProcessEnv = {},
  ): Promise<Started> {
    const folder = repository(program);
    const child = spawn(file, args, { cwd: folder, stdio: 'pipe', env: { ...process.env, ...env } });
    onTestFinished(() => void child.kill('SIGKILL'));
    let printed = '';
    child.stdout.on('data', (text: Buffer) => (printed += text.toString()));
    const ended = once(child.stdout, 'end');
    await until(() => printed.startsWith('ready\n'), { what: 'the first line of the command' });
    // npm begins to pass signals on when the command may be running already.
    await until(() => catchesSigterm(child.pid!), { what: 'it to pass signals on' });
    return {
      child,
      rest: async () => {
        // The pipe ends when its last writer has: nothing that inherited it is left running.
        await ended;
        return printed.split('\n').slice(1, -1);
      },
    };
  }

  /** As Linux says; elsewhere it is not known. */
  function catchesSigterm(pid: number): boolean {
    if (process.platform !== 'linux') return true;
    const mask = /^SigCgt:\s*([\da-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
    return (BigInt(`0x${mask}`) & (1n << 14n)) !== 0n;
  }

  /** Counts `signal`, and ends with 10 + the count a moment after the first. */
  const counting = (signal: string) => `
    let count = 0;
    process.on('${signal}', () => {
      count++;
      console.log('${signal} ' + count);
      if (count === 1) setTimeout(() => process.exit(10 + count), 500);
    });
    setTimeout(() => process.exit(1), 20_000);
    console.log('ready');`;

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
    'passes %s on once, and waits for the command to end',
    async (signal) => {
      const { child, rest } = await started(counting(signal), direct);
      child.kill(signal);
      expect(await once(child, 'exit')).toEqual([11, null]);
      expect(await rest()).toEqual([`${signal} 1`]);
    },
  );

  /** A shell for npm that runs the script of `npm run` in one of the two ways that shells have. */
  function shell(line: string): string {
    const file = join(temporaryFolder(), 'sh');
    writeFileSync(file, `#!/bin/sh\n${line}\n`, { mode: 0o755 });
    return file;
  }

  // dash waits for the script and does not pass SIGTERM on; npm reports the signal while the command still ends.
  test('ends the command once, in order, when SIGTERM to npm has ended its shell', async () => {
    const env = { npm_config_script_shell: shell('eval "$2"; exit $?') };
    const { child, rest } = await started(counting('SIGTERM'), throughNpm, env);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([null, 'SIGTERM']);
    expect(await rest()).toEqual(['SIGTERM 1']);
  });

  // bash becomes the script, so npm passes SIGTERM to the command and reports how it ended.
  test('keeps the exit code after SIGTERM to npm if its shell becomes the command', async () => {
    const env = { npm_config_script_shell: shell('eval "exec $2"') };
    const { child, rest } = await started(counting('SIGTERM'), throughNpm, env);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([11, null]);
    expect(await rest()).toEqual(['SIGTERM 1']);
  });

  test('ends by the signal that ended the command', async () => {
    const { child } = await started(`console.log('ready'); setTimeout(() => {}, 20_000);`, direct);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([null, 'SIGTERM']);
  });

  test('refuses an unknown command with exit code 2', async () => {
    const ended = run(process.execPath, [join(root, 'tools/setup/bootstrap.mjs'), 'deploy']);
    await expect(ended).rejects.toMatchObject({ code: 2, stdout: '' });
  });
});
