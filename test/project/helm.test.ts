/**
 * Holds the chart in deploy/helm to its schema, to itself, and, where Helm is, what it renders to Kubernetes and to the program.
 *
 * `HELM=helm` demands that it is rendered, as the job `chart` of the workflow does.
 */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { hashPassword } from '../../src/submission/password.ts';
import { createCertificates } from '../../testkit/certificates.ts';
import { ownPods, readManifests, schemaProblems, typeProblems } from '../support/manifests.ts';
import { filesUnder, root, textOf } from '../support/source.ts';

type Values = Readonly<Record<string, unknown>>;
interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: unknown;
}

const chart = 'deploy/helm/postlane';
const values = parse(textOf(`${chart}/values.yaml`)) as Values;
const schema = JSON.parse(textOf(`${chart}/values.schema.json`)) as Schema;
const templates = filesUnder(`${chart}/templates`);
const examples = filesUnder(`${chart}/ci`);
const exampleOf = (file: string) => parse(textOf(file)) as Values;
const least = exampleOf(`${chart}/ci/least-values.yaml`);
const all = `${chart}/ci/all-values.yaml`;

const isMap = (value: unknown): value is Values => typeof value === 'object' && value !== null && !Array.isArray(value);

/** As Helm merges: maps key by key, everything else as a whole; null removes. */
function merged(below: Values, above: Values): Values {
  const keys = [...new Set([...Object.keys(below), ...Object.keys(above)])].filter((key) => above[key] !== null);
  return Object.fromEntries(
    keys.map((key) => {
      const [low, high] = [below[key], above[key]];
      return [key, isMap(low) && isMap(high) ? merged(low, high) : key in above ? high : low];
    }),
  );
}

const valid = new Ajv({ allErrors: true, strict: true, strictRequired: false }).compile(schema);

function valueProblems(change: Values): string[] {
  return valid(merged(values, change))
    ? []
    : (valid.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

describe('the schema of the values', () => {
  test.each(examples)('takes %s', (file) => {
    expect(valueProblems(exampleOf(file))).toEqual([]);
  });

  test('takes the defaults but for the configuration, which has none', () => {
    expect(valueProblems({})).toEqual([
      "/config must have required property 'hostname'",
      "/config must have required property 'systemDefaultGateway'",
      "/config must have required property 'connectors'",
    ]);
  });

  test.each<[string, Values, string]>([
    ['a misspelt key', { worker: { replica: 3 } }, '/worker must NOT have additional properties'],
    ['no worker', { worker: { replicas: 0 } }, '/worker/replicas must be >= 1'],
    ['scaling to none', { autoscaling: { minReplicas: 0 } }, '/autoscaling/minReplicas must be >= 2'],
    ['a duration for drainSeconds', { worker: { drainSeconds: '5m' } }, '/worker/drainSeconds must be integer'],
    ['one Secret', { secrets: 'postlane-secrets' }, '/secrets must be array'],
    ['a tag as a number', { image: { tag: 1.2 } }, '/image/tag must be string'],
    [
      'no connector',
      { config: { connectors: { relay: null } } },
      '/config/connectors must NOT have fewer than 1 properties',
    ],
    ['a label that is not text', { podLabels: { a: true } }, '/podLabels/a must be string'],
    ['line feeds in a name', { fullnameOverride: 'a\nb: c' }, '/fullnameOverride must match pattern'],
    ['a key for YAML in a name', { redis: { usersSecret: 'a, defaultMode: 0777' } }, '/redis/usersSecret must match'],
    [
      'a port that the user of the image may not listen on',
      { smtp: { service: { ports: [{ name: 'submission', port: 587, listen: 587 }] } } },
      '/listen must be >= 1024',
    ],
  ])('refuses %s', (_, change, problem) => {
    expect(valueProblems(merged(least, change))).toEqual([expect.stringContaining(problem)]);
  });

  test('has every value with its default, and no others', () => {
    const compared = (part: Schema, defaults: Values, path: string): string[] =>
      Object.entries(part.properties ?? {}).flatMap(([key, inner]) => {
        const place = `${path}.${key}`;
        if (place === '.config' || place === '.global') return [];
        const given = defaults[key];
        if (given === undefined) return [`${place} has no default`];
        return inner.properties !== undefined && isMap(given) && inner.additionalProperties === false
          ? compared(inner, given, place)
          : [];
      });
    expect(compared(schema, values, '')).toEqual([]);
  });
});

/** What is between `{{` and `}}`, without comments. */
function actionsOf(text: string): string[] {
  return [...text.matchAll(/\{\{-?\s*(\/\*[\s\S]*?\*\/|[\s\S]*?)\s*-?\}\}/g)]
    .map(([, action = '']) => action)
    .filter((action) => !action.startsWith('/*'));
}

describe('the templates', () => {
  const actions = templates.flatMap((file) => actionsOf(textOf(file)));
  const used = new Set(actions.flatMap((action) => action.match(/\.Values(?:\.\w+)+/g) ?? []));
  const leaves = (part: Values, path: string): string[] =>
    Object.entries(part).flatMap(([key, value]) =>
      isMap(value) && Object.keys(value).length > 0 && !used.has(`${path}.${key}`)
        ? leaves(value, `${path}.${key}`)
        : [`${path}.${key}`],
    );

  test('use every value, and none that is not there', () => {
    expect([...used].toSorted()).toEqual(leaves(values, '.Values').toSorted());
  });

  test.each(templates)('%s closes what it opens', (file) => {
    let open = 0;
    for (const action of actionsOf(textOf(file)).flatMap((text) => /^\w+/.exec(text)?.[0] ?? [])) {
      if (['if', 'with', 'range', 'define', 'block'].includes(action)) open += 1;
      if (action === 'end') open -= 1;
      expect(open).toBeGreaterThanOrEqual(0);
    }
    expect(open).toBe(0);
    expect(textOf(file).split('{{').length).toBe(textOf(file).split('}}').length);
  });

  test('include what is defined, once, and define nothing that is not included', () => {
    const names = (pattern: RegExp) =>
      actions.flatMap((action) => [...action.matchAll(pattern)].map(([, name = '']) => name));
    const defined = names(/^define "([^"]+)"/g);
    expect(new Set(defined).size).toBe(defined.length);
    expect([...new Set(names(/include "([^"]+)"/g))].toSorted()).toEqual(defined.toSorted());
  });
});

test('the chart has the version of the package, and refers to its image', () => {
  const { version } = JSON.parse(textOf('package.json')) as { version: string };
  expect(parse(textOf(`${chart}/Chart.yaml`))).toMatchObject({ name: 'postlane', version, appVersion: version });
  expect(textOf('deploy/kubernetes/example/kustomization.yaml')).toContain(`newTag: ${version} `);
  expect(textOf('deploy/kubernetes/base/worker.yaml')).toContain(
    `image: ${String((values['image'] as Values)['repository'])}\n`,
  );
});

const helm = process.env['HELM'] ?? 'helm';
const helmCalled = (args: readonly string[]) => spawnSync(helm, args, { cwd: root, encoding: 'utf8' });
const hasHelm = process.env['HELM'] !== undefined || helmCalled(['version']).status === 0;

function template(file: string, ...set: string[]) {
  const args = ['template', 'mail', chart, '--namespace', 'post', '--values', file];
  return helmCalled([...args, ...set.flatMap((value) => ['--set', value])]);
}

function rendered(file: string, ...set: string[]) {
  const { stdout, stderr, status } = template(file, ...set);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return readManifests(stdout);
}

describe.runIf(hasHelm)('Helm', () => {
  test.each(examples)('finds nothing to complain about with %s', (file) => {
    const { status, stdout } = helmCalled(['lint', '--strict', chart, '--values', file]);
    expect({ status, stdout: status === 0 ? '' : stdout }).toEqual({ status: 0, stdout: '' });
  });

  test.each(examples)(
    'renders what Kubernetes and KEDA know, with %s',
    async (file) => {
      const manifests = rendered(file);
      const names = manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
      expect(new Set(names).size).toBe(names.length);
      expect(await schemaProblems(manifests)).toEqual([]);
      expect(await typeProblems(manifests)).toBe('');
    },
    60_000,
  );

  test('renders each kind of resource once all is switched on', () => {
    const names = rendered(all).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(names.toSorted()).toEqual([
      'ConfigMap mail-postlane',
      'Deployment mail-postlane-outbox',
      'Deployment mail-postlane-serve',
      'Deployment mail-postlane-smtp',
      'Deployment mail-postlane-worker',
      'Ingress mail-postlane',
      'NetworkPolicy mail-postlane-outbox',
      'NetworkPolicy mail-postlane-redis',
      'NetworkPolicy mail-postlane-serve',
      'NetworkPolicy mail-postlane-smtp',
      'NetworkPolicy mail-postlane-worker',
      'PodDisruptionBudget mail-postlane-outbox',
      'PodDisruptionBudget mail-postlane-serve',
      'PodDisruptionBudget mail-postlane-smtp',
      'PodDisruptionBudget mail-postlane-worker',
      'ScaledObject mail-postlane-worker',
      'Service mail-postlane',
      'Service mail-postlane-redis',
      'Service mail-postlane-smtp',
      'ServiceAccount mail',
      'StatefulSet mail-postlane-redis',
    ]);
  });

  test.each(examples)(
    'renders a configuration that is valid, and ports, probes and grace that fit it, with %s',
    async (file) => {
      const manifests = rendered(file);
      const text = manifests.find(({ kind }) => kind === 'ConfigMap')?.data?.['postlane.yaml'] ?? '';
      const config = await loaded(text);
      const pods = ownPods(manifests);
      expect(pods.map(({ container }) => container.args[0])).toContain('worker');
      for (const { pod, container } of pods) {
        const ports = Object.fromEntries(container.ports.map(({ name, containerPort }) => [name, containerPort]));
        const { path, port = '' } = container.livenessProbe.httpGet ?? {};
        expect(path).toBe('/livez');
        const serve = container.name === 'serve';
        expect(ports[port]).toBe(probed(container.name, config));
        const graceMs = pod.terminationGracePeriodSeconds * 1_000;
        expect(graceMs).toBe(serve ? 60_000 : config.worker.drainMs + 30_000);
        expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1_000 });
        expect(container.securityContext).toMatchObject({
          readOnlyRootFilesystem: true,
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
        });
      }
      for (const { listen } of config.submission?.listeners ?? [])
        expect(pods.flatMap(({ container }) => container.ports.map((port) => port.containerPort))).toContain(
          listen.port,
        );
      expect(config.api.hosts).toContain('mail-postlane.post.svc');
    },
  );

  test('leaves the number of workers to KEDA', () => {
    const worker = (file: string) =>
      rendered(file).find(({ kind, metadata }) => kind === 'Deployment' && metadata.name.endsWith('-worker'));
    expect(worker(all)?.spec?.replicas).toBeUndefined();
    expect(worker(`${chart}/ci/least-values.yaml`)?.spec?.replicas).toBe(2);
  });

  test.each([
    ['config.worker.drain=5m', 'config.worker.drain: set worker.drainSeconds'],
    ['config.metrics.listen=0.0.0.0:1', 'config.metrics.listen'],
    ['config.api.tokens=null', 'config.api.tokens: '],
    ['config.redis=null', 'config.redis: name your Redis'],
    ['redis.enabled=true', 'config.redis: leave it out'],
    ['smtp.enabled=true', 'config.submission: '],
    ['outbox.enabled=true', 'config.outbox: '],
    ['serve.ingress.enabled=true', 'serve.ingress.host: '],
  ])('refuses %s, and says why', (change, problem) => {
    const { status, stderr } = template(`${chart}/ci/least-values.yaml`, change);
    expect(status).not.toBe(0);
    expect(stderr).toContain(problem);
  });
});

/** Where a process answers health checks. */
function probed(process: string, { api, metrics, worker }: Config): number | null | undefined {
  if (process === 'serve') return api.listen.port;
  return process === 'outbox' ? metrics.listen?.port : worker.healthPort;
}

/** The configuration of the ConfigMap, with secrets that exist here. */
async function loaded(text: string) {
  const directory = await mkdtemp(join(tmpdir(), 'postlane-chart-'));
  try {
    const { server } = await createCertificates();
    const secrets: Record<string, string> = {
      'redis-password': 'p',
      'relay-password': 'p',
      'database-password': 'p',
      'api-token-sha256': 'a'.repeat(64),
      'erp-password-hash': await hashPassword('p'),
      'tls.crt': server.cert,
      'tls.key': server.key,
    };
    for (const [name, secret] of Object.entries(secrets)) await writeFile(join(directory, name), secret);
    const file = join(directory, 'postlane.yaml');
    await writeFile(file, text.replaceAll('/etc/postlane-secrets', directory));
    const result = await loadConfig({ file, env: {}, cwd: directory });
    if (!result.ok) throw new Error(JSON.stringify(result.issues));
    return result.config;
  } finally {
    await rm(directory, { recursive: true });
  }
}
