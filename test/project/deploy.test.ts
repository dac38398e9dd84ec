/** Holds the deployment files to each other and to the program: image, compose file and its configuration. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { parseDurationMs } from '../../src/config/units.ts';
import { root, textOf } from '../support/source.ts';

interface Compose {
  readonly services: {
    readonly redis: { readonly command: readonly string[]; readonly volumes: readonly string[] };
    readonly worker: {
      readonly stop_grace_period: string;
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

test('a container is not killed before its worker had the time to drain', async () => {
  const graceMs = parseDurationMs(compose.services.worker.stop_grace_period) ?? 0;
  expect(graceMs).toBeGreaterThan((await deployedConfig()).worker.drainMs);
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
