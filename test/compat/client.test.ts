/** `postlane-client` as npm installs it into an empty folder, with the compilers that applications have. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { clientExamples, writeExamples } from '../support/client.ts';
import { configOf, startWorker } from '../support/postlane.ts';
import { redisUrl, testPrefix } from '../support/redis.ts';
import { root, textOf } from '../support/source.ts';

const run = promisify(execFile);
const compilers = join(root, 'test/compat/mailers/node_modules');

describe.skipIf(!existsSync(join(compilers, 'typescript-5')))('postlane-client, installed by npm', () => {
  let place = '';

  beforeAll(async () => {
    place = mkdtempSync(join(tmpdir(), 'postlane-installed-'));
    const folder = join(place, 'package');
    await run(process.execPath, [join(root, 'tools/client/main.ts'), folder], { cwd: root });
    await run('npm', ['pack', '--silent', '--pack-destination', place], { cwd: folder });
    const { version } = JSON.parse(textOf('package.json')) as { version: string };
    mkdirSync(join(place, 'empty'));
    writeExamples(join(place, 'empty'));
    const tarball = join(place, `postlane-client-${version}.tgz`);
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
    await run('npm', ['install', ...quiet, tarball], { cwd: join(place, 'empty') });
    return () => rmSync(place, { recursive: true, force: true });
  });

  test.each([5, 6])('the examples compile with TypeScript %i', async (release) => {
    const tsc = join(compilers, `typescript-${release}`, 'bin/tsc');
    const flags = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2024'];
    const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types')];
    const args = [tsc, ...flags, ...types, ...clientExamples];
    const ended = run(process.execPath, args, { cwd: join(place, 'empty') });
    expect((await ended.catch((error: Error & { stdout: string }) => error)).stdout).toBe('');
  });

  test('the examples send, and a worker delivers', async () => {
    const prefix = testPrefix();
    const { recorded } = await startWorker({ prefix, config: configOf({ relay: {} }) });
    const env = { ...process.env, REDIS_URL: redisUrl(), POSTLANE_PREFIX: prefix };
    for (const name of clientExamples) {
      expect((await run(process.execPath, [name], { cwd: join(place, 'empty'), env })).stderr).toBe('');
    }
    expect(recorded('relay').mails.length).toBeGreaterThan(0);
  });
});
