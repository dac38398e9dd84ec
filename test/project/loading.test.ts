/** What is loaded when: an application, or a command that needs no protocol, does not pay for the SDKs of a worker. */
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { project, type Project } from '../support/cli.ts';
import { testPrefix } from '../support/redis.ts';
import { root } from '../support/source.ts';

/** Makes a process print, when it ends, each file that it loaded: its path within node_modules, or from `src/`. */
const spy = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  const loaded = [];
  const own = [];
  registerHooks({
    load(url, context, next) {
      const at = url.lastIndexOf('/node_modules/');
      if (at > 0) loaded.push(url.slice(at + '/node_modules/'.length));
      else if (url.includes('/src/')) own.push(url.slice(url.lastIndexOf('/src/') + 1));
      return next(url, context);
    },
  });
  process.on('exit', () => process.stderr.write('\\nloaded ' + JSON.stringify({ loaded, own })));
`)}`;
const env = { NODE_OPTIONS: `--import=${spy}` };

interface Loaded {
  /** Within node_modules. */
  readonly loaded: string[];
  /** From `src/`. */
  readonly own: string[];
}

function loadedPaths(stderr: string): Loaded {
  const line = /^loaded (.*)$/m.exec(stderr)?.[1];
  if (line === undefined) throw new Error(`the process did not say what it loaded:\n${stderr}`);
  return JSON.parse(line) as Loaded;
}

async function loadedBy(here: Project, args: readonly string[]): Promise<Loaded> {
  const ended = await here.run(args, { env });
  expect(ended).toMatchObject({ code: 0 });
  return loadedPaths(ended.stderr);
}

/** `@scope/name/x.js` → `@scope/name`; of nodemailer the part too: `smtp-connection` is another matter than `addressparser`. */
function packagesOf({ loaded }: Loaded): Set<string> {
  return new Set(
    loaded.map((path) => {
      if (path.startsWith('nodemailer/')) return `nodemailer/${/(?:lib|esm|cjs)\/([\w-]+)/.exec(path)?.[1] ?? ''}`;
      return path
        .split('/')
        .slice(0, path.startsWith('@') ? 2 : 1)
        .join('/');
    }),
  );
}

const ofWorkers = [
  '@azure/identity',
  '@microsoft/microsoft-graph-client',
  'nodemailer/smtp-connection',
  'nodemailer/mail-composer',
  'pino',
];

const config = (prefix: string): string => `
redis: { prefix: "${prefix}" }
hostname: mail.example.com
systemDefaultGateway: relay
connectors:
  relay: { direction: outgoing, smtp: { host: 127.0.0.1, port: 25, security: none } }
  sales:
    address: sales@example.com
    direction: outgoing
    graph: { tenantId: t, clientId: c, credential: { clientSecret: s } }
`;

test("import 'postlane' loads neither the SDKs of a worker nor the libraries of the command line", async () => {
  const program = ['--input-type=module', '--eval', "await import('./src/index.ts')"];
  const { stderr } = await promisify(execFile)(process.execPath, program, {
    cwd: root,
    env: { ...process.env, ...env },
  });
  const packages = packagesOf(loadedPaths(stderr));
  expect([...packages]).toContain('bullmq');
  expect([...packages]).toContain('nodemailer/addressparser');
  expect([...ofWorkers, 'commander', 'yaml'].filter((name) => packages.has(name))).toEqual([]);
});

test.each([
  [['explain', 'sales@example.com']],
  [['connectors']],
  [['pause', 'relay']],
  [['dead', 'list']],
  [['doctor']],
])('with a Graph connector configured, %j starts without the SDKs of a worker', async (command) => {
  const packages = packagesOf(await loadedBy(project(config(testPrefix())), command));
  expect([...packages]).toContain('yaml');
  expect(ofWorkers.filter((name) => packages.has(name))).toEqual([]);
});

test('`send` by an SMTP connector and `status` start without the SDKs of a worker', async () => {
  const here = project(config(testPrefix()));
  const sending = ['send', '--from', 'x@example.com', '--to', 'a@example.net', '--id', 'm'];
  for (const command of [sending, ['status', 'm']]) {
    const packages = packagesOf(await loadedBy(here, command));
    expect([...packages]).toContain('bullmq');
    expect(ofWorkers.filter((name) => packages.has(name))).toEqual([]);
  }
});

test('`explain` and `--help` load no client of Redis, and `--help` no configuration', async () => {
  const here = project(config(testPrefix()));
  const explain = packagesOf(await loadedBy(here, ['explain', 'a@example.com']));
  expect(['ioredis', 'bullmq'].filter((name) => explain.has(name))).toEqual([]);
  const help = packagesOf(await loadedBy(here, ['--help']));
  expect(['ioredis', 'bullmq', 'yaml', 'zod'].filter((name) => help.has(name))).toEqual([]);
});

test('`explain` loads the file of no other command, and nothing of queue, producer, worker or operator', async () => {
  const { own } = await loadedBy(project(config(testPrefix())), ['explain', 'a@example.com']);
  const others = ['check', 'dead', 'doctor', 'lanes', 'resolve', 'send', 'status', 'worker-command'];
  expect(own).toContain('src/cli/explain.ts');
  expect(own.filter((file) => others.some((name) => file === `src/cli/${name}.ts`))).toEqual([]);
  expect(own.filter((file) => /^src\/(?:queue|producer|worker|admin|embed)\//.test(file))).toEqual([]);
});

/** A copy of the program with the installed packages, for what it writes beside them. */
function installation(): string {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-installed-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(join(root, 'src'), join(folder, 'src'), { recursive: true });
  cpSync(join(root, 'package.json'), join(folder, 'package.json'));
  mkdirSync(join(folder, 'node_modules'));
  const packages = readdirSync(join(root, 'node_modules')).filter((name) => !name.startsWith('.'));
  for (const name of packages) symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  writeFileSync(join(folder, 'postlane.yaml'), config(testPrefix()));
  return folder;
}

async function explainIn(folder: string): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const args = [join(folder, 'src/cli/main.ts'), 'explain', 'a@example.com'];
  const { NODE_COMPILE_CACHE: _, NODE_DISABLE_COMPILE_CACHE: __, ...inherited } = process.env;
  const debug = { ...inherited, NODE_DEBUG_NATIVE: 'COMPILE_CACHE' };
  return promisify(execFile)(process.execPath, args, { cwd: folder, env: debug, maxBuffer: 2 ** 26 });
}

test('a second start compiles no file but its first, and a cache that cannot be written stops no command', async () => {
  const folder = installation();
  const first = await explainIn(folder);
  const second = await explainIn(folder);
  expect(second.stdout).toBe(first.stdout);
  const of = (output: string, file: string): string[] =>
    output.split('\n').filter((line) => line.includes(file) && /was (?:accepted|rejected|not initialized)/.test(line));
  for (const file of ['src/config/schema.ts', 'zod/v4/core/schemas.js', 'yaml/dist/compose/composer.js']) {
    expect(of(second.stderr, file).join('\n')).toContain('was accepted');
    expect(of(first.stderr, file).join('\n')).not.toContain('was accepted');
  }
  rmSync(join(folder, 'node_modules/.cache'), { recursive: true });
  writeFileSync(join(folder, 'node_modules/.cache'), 'a file where the folder would be');
  expect((await explainIn(folder)).stdout).toBe(first.stdout);
});
