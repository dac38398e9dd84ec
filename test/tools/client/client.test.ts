/** The slim package: which packages it needs, how much it is, and the examples with it in a folder that has nothing else. */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clientEntries, clientFiles } from '../../../tools/client/files.ts';
import { bytesOf, installedFolders } from '../../../tools/client/installed.ts';
import { writeClient } from '../../../tools/client/package.ts';
import { clientExamples, writeExamples } from '../../support/client.ts';
import { configOf, startWorker } from '../../support/postlane.ts';
import { redisUrl, testPrefix } from '../../support/redis.ts';
import { root, textOf } from '../../support/source.ts';

const run = promisify(execFile);

/** What an application may be asked to install: 30 MB, and these packages. */
const maxBytes = 30_000_000;
const wanted = ['@opentelemetry/api', 'bullmq', 'ioredis', 'nodemailer', 'zod'];

async function tsc(args: readonly string[], cwd: string): Promise<string> {
  const ended = run(join(root, 'node_modules/.bin/tsc'), args, { cwd });
  return (await ended.catch((error: Error & { stdout: string }) => error)).stdout;
}

describe('postlane-client', () => {
  let place = '';
  let empty = '';
  let packages: readonly string[] = [];
  const packed = () => join(empty, 'node_modules/postlane-client');

  beforeAll(async () => {
    place = mkdtempSync(join(tmpdir(), 'postlane-client-'));
    empty = join(place, 'empty');
    await run(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json', '--outDir', join(place, 'dist')], {
      cwd: root,
    });
    const folder = join(place, 'package');
    mkdirSync(folder);
    packages = writeClient(root, join(place, 'dist'), folder);
    await run('npm', ['pack', '--silent', '--pack-destination', place], { cwd: folder });
    const { version } = JSON.parse(textOf('package.json')) as { version: string };
    mkdirSync(packed(), { recursive: true });
    const tarball = join(place, `postlane-client-${version}.tgz`);
    await run('tar', ['-xzf', tarball, '-C', packed(), '--strip-components=1']);
    // Copies: through links, Node would find the packages of this repository beside them.
    for (const from of installedFolders(root, packages)) {
      cpSync(from, join(empty, relative(root, from)), { recursive: true });
    }
    writeExamples(empty);
  });

  afterAll(() => rmSync(place, { recursive: true, force: true }));

  test('needs no package that only a worker needs, and takes at most 30 MB', () => {
    expect(packages).toEqual(wanted);
    expect(bytesOf([packed(), ...installedFolders(root, packages)])).toBeLessThan(maxBytes);
  });

  test('has what `postlane` exports under the same names', async () => {
    const names = async (folder: string, entry: string): Promise<string[]> => {
      const program = `console.log(JSON.stringify(Object.keys(await import(${JSON.stringify(join(folder, entry))}))))`;
      const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program]);
      return JSON.parse(stdout) as string[];
    };
    for (const entry of ['index', 'nodemailer', 'outbox']) {
      const ours = await names(join(root, 'src'), `${entry}.ts`);
      expect(await names(join(packed(), 'dist'), `${entry}.js`)).toEqual(ours);
    }
    const { exports } = JSON.parse(readFileSync(join(packed(), 'package.json'), 'utf8')) as { exports: object };
    expect(Object.keys(exports)).toEqual([...clientEntries, './package.json', './schema/message.schema.json']);
  });

  test('has types with which the examples compile', async () => {
    const flags = ['--noEmit', '--ignoreConfig', '--strict', '--module', 'nodenext', '--target', 'es2024'];
    const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types')];
    expect(await tsc([...flags, ...types, ...clientExamples], empty)).toBe('');
  });

  test('makes a message a row with `postlane-client/outbox`, which compiles and runs without a driver', async () => {
    const program = `
      import { PostlaneError } from 'postlane-client';
      import { outboxInsert, outboxMigration, type OutboxInsert } from 'postlane-client/outbox';
      const run = (text: string, values: unknown[]): void => console.log(text, values.length);
      const mail: OutboxInsert = outboxInsert({ id: 'order-7', to: 'a@example.net', text: 'Thanks' });
      run(mail.text, mail.values);
      const sql = (strings: TemplateStringsArray, ...values: readonly string[]): number => strings.length + values.length;
      console.log(sql(...mail.template), outboxMigration.includes('CREATE TABLE'));
      try {
        outboxInsert({ to: 'nobody' });
      } catch (error) {
        if (error instanceof PostlaneError) console.log(error.code, error.issues[0]?.field);
      }
    `;
    writeFileSync(join(empty, 'outbox.ts'), program);
    const flags = ['--noEmit', '--ignoreConfig', '--strict', '--module', 'nodenext', '--target', 'es2024'];
    const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types')];
    expect(await tsc([...flags, ...types, 'outbox.ts'], empty)).toBe('');
    const { stdout, stderr } = await run(process.execPath, ['outbox.ts'], { cwd: empty });
    expect(stderr).toBe('');
    expect(stdout.trim().split('\n')).toEqual([
      'INSERT INTO postlane_outbox (id, message, given_id) VALUES ($1, $2, true) 2',
      '5 true',
      'message-invalid to',
    ]);
  });

  test('sends by both examples, and a worker delivers both', async () => {
    const prefix = testPrefix();
    const { recorded } = await startWorker({ prefix, config: configOf({ relay: {} }) });
    const env = { ...process.env, REDIS_URL: redisUrl(), POSTLANE_PREFIX: prefix };
    for (const name of clientExamples) {
      const { stderr } = await run(process.execPath, [name], { cwd: empty, env });
      expect(stderr).toBe('');
    }
    expect(recorded('relay').mails.length).toBeGreaterThan(0);
  });
});

test('a file of the build that is only a type is followed in the declarations, and not loaded', () => {
  const texts: Readonly<Record<string, string>> = {
    'a.js': `import { x } from './b.js'; export const y = x;`,
    'a.d.ts': `import type { X } from './c.ts'; export declare const y: X;`,
    'b.js': `import pack from '@scope/pack/part'; export const x = pack;`,
    'c.d.ts': `export type X = import('./d.ts').D;`,
    'd.d.ts': `import type { T } from 'typed'; export type D = T;`,
  };
  const found = clientFiles(['a.js'], (path) => texts[path] ?? '');
  expect(found.files).toEqual(['a.d.ts', 'a.js', 'b.js', 'c.d.ts', 'd.d.ts']);
  expect(found.packages).toEqual(['@scope/pack', 'typed']);
});
