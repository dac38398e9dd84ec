/** Holds what package.json promises: exact versions, documented scripts that exist, and a build that runs. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nodeFor, runsTypeScript } from '../../tools/setup/dependencies.mjs';
import { filesUnder, root, textOf } from '../support/source.ts';

interface Manifest {
  readonly engines: { readonly node: string };
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, Readonly<Record<string, string>>>>;
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

test('the lock has every optional package, so that npm ci takes it on every system', () => {
  const { packages } = JSON.parse(textOf('package-lock.json')) as {
    packages: Readonly<Record<string, { readonly optionalDependencies?: Readonly<Record<string, string>> }>>;
  };
  const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) =>
        packages[`node_modules/${name}`] === undefined && packages[`${path}/node_modules/${name}`] === undefined,
    ),
  );
  // Fill them in with: npm run lock
  expect(missing).toEqual([]);
});

test('the oldest Node of `engines` is the oldest that the scripts accept', () => {
  expect(manifest.engines.node).toBe('>=22.18');
  expect(['20.20.2', '22.17.1', '22.18.0', '24.0.0'].map(runsTypeScript)).toEqual([false, false, true, true]);
});

test('every npm script that the documents name exists', () => {
  const documents = filesUnder('.').filter((path) => path.endsWith('.md'));
  const named = documents.flatMap((path) =>
    [...textOf(path).matchAll(/\bnpm (?:run (?:-s |--silent )?([a-z][\w:-]*)|(test)\b)/g)].map(
      ([, script, test]) => script ?? test ?? '',
    ),
  );
  expect(named.filter((script) => manifest.scripts[script] === undefined)).toEqual([]);
});

test('every file that a script runs exists', () => {
  const files = Object.values(manifest.scripts).flatMap((script) => script.match(/\bscripts\/[\w.-]+/g) ?? []);
  expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
});

/** @throws Error with what the compiler says, which it says on stdout. */
async function tsc(args: readonly string[], cwd: string): Promise<string> {
  const ended = run(join(root, 'node_modules/.bin/tsc'), args, { cwd });
  const { stdout } = await ended.catch((error: Error & { stdout: string }) => {
    throw new Error(error.stdout, { cause: error });
  });
  return stdout;
}

describe('the build', () => {
  let folder = '';
  const node = nodeFor(root, { development: true });

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'postlane-build-'));
    await tsc(['-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist')], root);
    writeFileSync(join(folder, 'package.json'), textOf('package.json'));
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  }, 60_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('has every file of `exports` and `bin`', () => {
    const files = [...Object.values(manifest.bin), ...Object.values(manifest.exports).flatMap(Object.values)];
    expect(files.filter((file) => !existsSync(join(folder, file)))).toEqual([]);
  });

  test('can be imported by its package name', async () => {
    const program = "import * as postlane from 'postlane'; console.log(typeof postlane.createProducer);";
    const { stdout } = await run(node, ['--input-type=module', '--eval', program], { cwd: folder });
    expect(stdout.trim()).toBe('function');
  });

  test('has types that a strict consumer can use', async () => {
    const consumer = "import { createProducer } from 'postlane';\nexport const make: Function = createProducer;\n";
    writeFileSync(join(folder, 'consumer.ts'), consumer);
    const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--types', 'node'];
    await expect(tsc([...flags, 'consumer.ts'], folder)).resolves.toBe('');
  });

  test('has a command that starts', async () => {
    const { stdout } = await run(node, [join(folder, manifest.bin.postlane ?? ''), '--help'], { cwd: folder });
    expect(stdout).toContain('worker');
  });

  test('has a command that the shell can run', () => {
    expect(textOf('src/cli/main.ts')).toMatch(/^#!\/usr\/bin\/env node\n/);
  });
});
