/** What is loaded when: an application, or a command that needs no protocol, does not pay for the SDKs of a worker. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { project, type Project } from '../support/cli.ts';
import { testPrefix } from '../support/redis.ts';
import { root } from '../support/source.ts';

/** Makes a process print, when it ends, the path within node_modules of each file that it loaded. */
const spy = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  const loaded = [];
  registerHooks({
    load(url, context, next) {
      const at = url.lastIndexOf('/node_modules/');
      if (at > 0) loaded.push(url.slice(at + '/node_modules/'.length));
      return next(url, context);
    },
  });
  process.on('exit', () => process.stderr.write('\\nloaded ' + JSON.stringify(loaded)));
`)}`;
const env = { NODE_OPTIONS: `--import=${spy}` };

function loadedPaths(stderr: string): string[] {
  const line = /^loaded (.*)$/m.exec(stderr)?.[1];
  if (line === undefined) throw new Error(`the process did not say what it loaded:\n${stderr}`);
  return JSON.parse(line) as string[];
}

async function loadedBy(here: Project, args: readonly string[]): Promise<string[]> {
  const ended = await here.run(args, { env });
  expect(ended).toMatchObject({ code: 0 });
  return loadedPaths(ended.stderr);
}

/** `@scope/name/x.js` → `@scope/name`; of nodemailer the part too: `smtp-connection` is another matter than `addressparser`. */
function packagesOf(paths: readonly string[]): Set<string> {
  return new Set(
    paths.map((path) => {
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
