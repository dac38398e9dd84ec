/** Holds the deployment files to each other and to the program: image, compose file and its configuration. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { parseDurationMs } from '../../src/config/units.ts';
import { drainMs as httpDrainMs } from '../../src/http/limits.ts';
import { filesUnder, root, textOf } from '../support/source.ts';

interface Compose {
  readonly services: {
    readonly redis: { readonly command: readonly string[]; readonly volumes: readonly string[] };
    readonly worker: {
      readonly container_name?: string;
      readonly ports?: readonly string[];
    };
    readonly mailpit: { readonly profiles: readonly string[] };
  };
}

const compose = parse(textOf('docker-compose.yml')) as Compose;
const dockerfile = textOf('Dockerfile');
const manifest = JSON.parse(textOf('package.json')) as { bin: Record<string, string>; devDependencies: object };

async function deployedConfig() {
  const result = await loadConfig({
    file: join(root, 'deploy/postlane.yaml'),
    env: { REDIS_URL: 'redis://redis:6379' },
    cwd: root,
  });
  if (!result.ok) throw new Error(JSON.stringify(result.issues));
  return result.config;
}

test('the configuration of the compose file is valid', async () => {
  expect((await deployedConfig()).systemDefaultGateway).toBe('demo');
});

test('Redis persists what it has accepted, and evicts nothing when it is full', () => {
  const { command, volumes } = compose.services.redis;
  expect(command.join(' ')).toContain('--appendonly yes');
  expect(command.join(' ')).toContain('--maxmemory-policy noeviction');
  expect(volumes).toContain('redis:/data');
});

describe('what drains is killed 30 seconds after worker.drain at the earliest', () => {
  const drainMsOf = (path: string): number => {
    const { worker } = parse(textOf(path)) as { worker: { drain: string } };
    return parseDurationMs(worker.drain) ?? Infinity;
  };
  // The units come without a configuration; the page says what it has to say.
  const drainOfUnits = /^Set `worker\.drain: (\w+)`: the units/m.exec(textOf('docs/install.md'))?.[1] ?? '';
  const seconds = (path: string, pattern: RegExp): number => Number(pattern.exec(textOf(path))?.[1]) * 1_000;
  const composeGrace = (path: string, service: string): number => {
    const { services } = parse(textOf(path), { merge: true }) as {
      services: Record<string, { stop_grace_period: string }>;
    };
    return parseDurationMs(services[service]?.stop_grace_period ?? '') ?? 0;
  };
  const grace = /^ +terminationGracePeriodSeconds: (\d+)$/m;
  const stopSec = /^TimeoutStopSec=(\d+)$/m;
  const kubernetes = drainMsOf('deploy/kubernetes/base/postlane.yaml');
  const everything = drainMsOf('deploy/compose/config/postlane.yaml');
  const units = parseDurationMs(drainOfUnits) ?? Infinity;

  test.each<readonly [string, number, number]>([
    ['docker-compose.yml', composeGrace('docker-compose.yml', 'worker'), drainMsOf('deploy/postlane.yaml')],
    ['compose.yaml', composeGrace('deploy/compose/compose.yaml', 'worker'), everything],
    ['worker.yaml', seconds('deploy/kubernetes/base/worker.yaml', grace), kubernetes],
    ['smtp.yaml', seconds('deploy/kubernetes/smtp/smtp.yaml', grace), kubernetes],
    ...filesUnder('deploy/systemd')
      .filter((unit) => !unit.endsWith('postlane-serve.service'))
      .map((unit) => [unit, seconds(unit, stopSec), units] as const),
  ])('%s', (_, graceMs, drainMs) => {
    expect(graceMs).toBeGreaterThanOrEqual(drainMs + 30_000);
  });

  // Rendered where there is Helm (helm.test.ts).
  test.each(['worker', 'smtp', 'outbox'])('%s of the chart, by construction', (component) => {
    expect(textOf(`deploy/helm/postlane/templates/${component}.yaml`)).toContain(
      '"grace" (add .Values.worker.drainSeconds 30)',
    );
    expect(textOf('deploy/helm/postlane/templates/_config.tpl')).toContain(
      '"drain" (printf "%ds" (int .Values.worker.drainSeconds))',
    );
  });

  test('requests to serve take less than it has', () => {
    const preStop = seconds('deploy/kubernetes/base/serve.yaml', /preStop: \{ sleep: \{ seconds: (\d+)/);
    expect(seconds('deploy/kubernetes/base/serve.yaml', grace)).toBeGreaterThan(preStop + httpDrainMs);
    expect(seconds('deploy/systemd/postlane-serve.service', stopSec)).toBeGreaterThan(httpDrainMs);
  });
});

test('several workers can run on one host', () => {
  // A fixed name or a published port can be had once only.
  expect(compose.services.worker.container_name).toBeUndefined();
  expect(compose.services.worker.ports).toBeUndefined();
});

test('the mail server for trials starts only on request', () => {
  expect(compose.services.mailpit.profiles).toEqual(['demo']);
});

test('the health check of the image queries the configured port', async () => {
  const url = new URL(/HEALTH_URL=(\S+)/.exec(dockerfile)?.[1] ?? '');
  const { worker } = await deployedConfig();
  expect(Number(url.port)).toBe(worker.healthPort);
  expect(url.hostname).toBe(worker.healthHost);
});

test('the image runs the command of the package, not as root, without packages for development', () => {
  const image = dockerfile.slice(dockerfile.lastIndexOf('FROM '));
  expect(image).toContain(`ENTRYPOINT ["node", "${manifest.bin.postlane}"]`);
  expect(image).toContain('CMD ["worker"]');
  expect(image).toMatch(/^USER 1000:1000$/m);
  expect(image).toContain('COPY --from=packages /app/node_modules');
  expect(dockerfile).toMatch(/AS packages[\s\S]*npm ci [^\n]*--omit=dev/);
});

test('everything that the image copies is sent to the builder', () => {
  const sent = textOf('.dockerignore')
    .split('\n')
    .filter((line) => line.startsWith('!'))
    .map((line) => line.slice(1));
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, files = '']) => files.split(' '));
  expect(copied.map((file) => file.replace('*', '')).filter((file) => !sent.includes(file))).toEqual([]);
});
