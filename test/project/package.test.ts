/** Holds what package.json promises: exact versions, a complete lock, scripts that exist, and a package that works. */
import { execFile } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../testkit/ports.ts';
import { startPrivateRedis } from '../../testkit/redis.ts';
import { apiReport, entriesOf } from '../../tools/api/report.ts';
import { nodeFor, runsTypeScript } from '../../tools/setup/dependencies.mjs';
import { lockProblems } from '../../tools/setup/lock-problems.mjs';
import { sink } from '../support/accounting.ts';
import { commandsOf, wordsOf, yamlOf } from '../support/install-page.ts';
import { npx, npxInBackground } from '../support/npx.ts';
import { root, textOf } from '../support/source.ts';

interface Manifest {
  readonly version: string;
  readonly engines: { readonly node: string };
  readonly bin: Readonly<Record<string, string>>;
  readonly files: readonly string[];
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const run = promisify(execFile);
const manifest = JSON.parse(textOf('package.json')) as Manifest;

test('every dependency is pinned to one version', () => {
  const all = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
  expect(all.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
});

describe('package-lock.json', () => {
  const entry = { integrity: `sha512-${'a'.repeat(86)}==` };
  const problems = (packages: object) => lockProblems(JSON.stringify({ packages }));

  test('has every optional package and a checksum for each, so that npm ci works everywhere and checks everything', () => {
    // To repair it: npm run lock
    expect(lockProblems(textOf('package-lock.json'))).toEqual([]);
  });

  test('is refused if an optional package is missing', () => {
    const lock = { '': {}, 'node_modules/a': { ...entry, optionalDependencies: { 'a-darwin': '1.0.0' } } };
    expect(problems(lock)).toEqual(['node_modules/a asks for a-darwin, which has no entry.']);
    expect(problems({ ...lock, 'node_modules/a-darwin': entry })).toEqual([]);
    expect(problems({ ...lock, 'node_modules/a/node_modules/a-darwin': entry })).toEqual([]);
  });

  test.each([{}, { integrity: 'sha1-abc=' }, { integrity: '' }])('is refused with an entry such as %o', (bad) => {
    expect(problems({ '': {}, 'node_modules/a': bad })).toEqual(['node_modules/a has no sha512 checksum.']);
  });
});

test('`engines` and the set-up scripts agree on the oldest Node', () => {
  expect(manifest.engines.node).toBe('>=22.18');
  expect(['20.20.2', '22.17.1', '22.18.0', '24.0.0'].map(runsTypeScript)).toEqual([false, false, true, true]);
});

test('every file that a script runs exists', () => {
  const files = Object.values(manifest.scripts).flatMap((script) => /\bnode (\S+)/.exec(script)?.[1] ?? []);
  expect(files).not.toEqual([]);
  expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
});

// cmd.exe runs the scripts of npm on Windows: it has no exec, no quotes but ", and sets variables in its own way.
test('every npm script is a plain command, which every shell can run', () => {
  const special = Object.values(manifest.scripts).filter((script) => /^exec\b|['$;|<>`]|^\w+=/.test(script));
  expect(special).toEqual([]);
});

/** @throws Error with the errors of the compiler, which it prints on stdout. */
async function tsc(args: readonly string[], cwd: string): Promise<string> {
  const ended = run(join(root, 'node_modules/.bin/tsc'), args, { cwd });
  const { stdout } = await ended.catch((error: Error & { stdout: string }) => {
    throw new Error(error.stdout, { cause: error });
  });
  return stdout;
}

// What a user installs: the tarball, unpacked. Its dependencies are those of this repository.
describe('the package', () => {
  let folder = '';
  let unpacked = '';
  const node = nodeFor(root, { development: true });

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'postlane-package-'));
    await tsc(['-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist')], root);
    for (const name of ['package.json', 'README.md', 'LICENSE', ...manifest.files]) {
      // What begins with a mark is left out by npm itself.
      if (name !== 'dist' && !name.startsWith('!')) cpSync(join(root, name), join(folder, name), { recursive: true });
    }
    await run('npm', ['pack', '--ignore-scripts', '--silent'], { cwd: folder });
    await run('tar', ['-xzf', tarball()], { cwd: folder });
    unpacked = join(folder, 'package');
    symlinkSync(join(root, 'node_modules'), join(unpacked, 'node_modules'));
  }, 120_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const tarball = () => `postlane-${manifest.version}.tgz`;

  test('has every file of `exports` and `bin`', () => {
    const exported = Object.values(manifest.exports).flatMap((entry) =>
      typeof entry === 'string' ? [entry] : Object.values(entry),
    );
    const files = [...Object.values(manifest.bin), ...exported];
    expect(files.filter((file) => globSync(file, { cwd: unpacked }).length === 0)).toEqual([]);
  });

  test('has the licence and the changelog, and nothing of the repository that users do not need', () => {
    const top = globSync('*', { cwd: unpacked }).filter((name) => name !== 'node_modules');
    expect(top.toSorted()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'assets',
      'dist',
      'docs',
      'package.json',
      'schema',
    ]);
  });

  test('passes publint without a warning or a suggestion', async () => {
    const publint = join(root, 'node_modules/.bin/publint');
    const { stdout } = await run(node, [publint, 'run', join(folder, tarball()), '--strict'], { cwd: folder });
    expect(stdout).toContain('All good!');
  });

  test('has source maps that contain their sources, which are not in the package', () => {
    const map = JSON.parse(readFileSync(join(unpacked, 'dist/errors.js.map'), 'utf8')) as { sourcesContent?: string[] };
    expect(map.sourcesContent).toEqual([textOf('src/errors.ts')]);
  });

  test('exports the types of docs/typescript.md', () => {
    const report = apiReport(entriesOf(textOf('package.json')), (path) =>
      readFileSync(join(unpacked, 'dist', path), 'utf8'),
    );
    // If the change is meant: npm run api
    expect(report).toBe(textOf('docs/typescript.md'));
  });

  test('can be imported by its package name', async () => {
    const program = `
      import { createProducer } from 'postlane';
      import { createRecordingProducer } from 'postlane/testing';
      import manifest from 'postlane/package.json' with { type: 'json' };
      import schema from 'postlane/schema/message.schema.json' with { type: 'json' };
      console.log(typeof createProducer, typeof createRecordingProducer, manifest.name, schema.type);`;
    const { stdout } = await run(node, ['--input-type=module', '--eval', program], { cwd: unpacked });
    expect(stdout.trim()).toBe('function function postlane object');
  });

  test('has types that a strict consumer can use', async () => {
    const consumer = `
      import { createProducer, type Producer } from 'postlane';
      import { createRecordingProducer } from 'postlane/testing';
      const redis = { url: 'redis://127.0.0.1:6379' };
      export const producers: readonly Pick<Producer, 'send'>[] = [createProducer({ redis }), createRecordingProducer()];`;
    writeFileSync(join(unpacked, 'consumer.ts'), consumer);
    const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--types', 'node'];
    await expect(tsc([...flags, 'consumer.ts'], unpacked)).resolves.toBe('');
  });

  test('is used correctly by the examples of README.md, docs/embedding.md and docs/nodemailer.md', async () => {
    const examples = ['README.md', 'docs/embedding.md', 'docs/nodemailer.md'].flatMap((path) =>
      [...textOf(path).matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, text = '']) => text),
    );
    expect(examples.length).toBeGreaterThan(4);
    // What the reader's own program has.
    writeFileSync(join(unpacked, 'reader.d.ts'), 'declare const pdf: Buffer;\ndeclare const id: string;\n');
    const files = examples.map((_, at) => `example-${at}.ts`);
    for (const [at, file] of files.entries()) writeFileSync(join(unpacked, file), examples[at] ?? '');
    const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--types', 'node'];
    await expect(tsc([...flags, 'reader.d.ts', ...files], unpacked)).resolves.toBe('');
  });

  test('has a command that starts', async () => {
    const { stdout } = await run(node, [join(unpacked, manifest.bin.postlane ?? ''), '--help'], { cwd: unpacked });
    expect(stdout).toContain('worker');
  });

  test('has a command that the shell can run', () => {
    expect(textOf('src/cli/main.ts')).toMatch(/^#!\/usr\/bin\/env node\n/);
  });

  test('runs as docs/install.md says: the configuration and the commands of its section on npm, one after the other', async () => {
    const server = await sink({ auth: { user: 'relay', password: 'secret' } });
    const redis = await startPrivateRedis();
    onTestFinished(() => redis.stop());
    const cwd = join(folder, 'project');
    mkdirSync(join(cwd, 'node_modules/.bin'), { recursive: true });
    symlinkSync(unpacked, join(cwd, 'node_modules/postlane'));
    const program = join(unpacked, manifest.bin['postlane'] ?? '');
    // As npm does where it installs a command.
    chmodSync(program, 0o755);
    symlinkSync(program, join(cwd, 'node_modules/.bin/postlane'));
    const text = (yamlOf('npm')[0] ?? '')
      .replace(
        'host: smtp.example.com, port: 587',
        `host: 127.0.0.1, port: ${server.port}, security: none, allowInsecureAuth: true`,
      )
      .replace('redis://127.0.0.1:6379', redis.url);
    const ports = `metrics: { listen: 127.0.0.1:0 }\napi: { listen: 127.0.0.1:${await freePort()} }\n`;
    writeFileSync(join(cwd, 'postlane.yaml'), `${text}${ports}`);
    const env: NodeJS.ProcessEnv = { ...process.env, PATH: `${dirname(node)}:${process.env['PATH']}` };
    delete env['REDIS_URL'];
    const ran: string[] = [];
    for (const line of commandsOf('npm')) {
      const [command = '', ...args] = wordsOf(line);
      if (command === 'export') {
        const [name = '', value = ''] = args[0]?.split('=') ?? [];
        env[name] = value;
      }
      if (command !== 'npx') continue;
      ran.push(args[1] ?? '');
      const event = { worker: 'ready', serve: 'serving' }[args[1] ?? ''];
      if (event === undefined) await npx(args, { cwd, env });
      else await npxInBackground(args, event, { cwd, env });
    }
    expect(ran).toEqual(['check', 'worker', 'send', 'token', 'serve']);
    expect(server.received.transactions.map(({ to, accepted }) => ({ to, accepted }))).toEqual([
      { to: ['you@example.com'], accepted: true },
    ]);
  }, 120_000);
});
