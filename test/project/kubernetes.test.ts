/** Holds the manifests in deploy/kubernetes to Kubernetes' and KEDA's schemas, to each other, and to the program. */
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { readManifests, schemaProblems, typeProblems } from '../support/manifests.ts';
import { filesUnder, root, textOf } from '../support/source.ts';

const folder = 'deploy/kubernetes';
const resources = filesUnder(folder).filter(
  (file) => file.endsWith('.yaml') && !/kustomization|postlane\.yaml$/.test(file),
);
const written = resources.flatMap((file) => readManifests(textOf(file)));
const runs = written.filter(({ spec }) => spec?.template !== undefined);
const ours = runs.filter(({ kind }) => kind === 'Deployment');

test('the manifests fit the schemas of Kubernetes and KEDA', async () => {
  expect(resources.length).toBeGreaterThan(5);
  expect(await schemaProblems(written)).toEqual([]);
});

test('a value of the wrong type does not fit', async () => {
  const worker = structuredClone(written.find(({ kind }) => kind === 'Deployment')!) as { spec: { replicas: unknown } };
  worker.spec.replicas = 'two';
  expect(await schemaProblems([worker as never])).toEqual([expect.stringContaining('replicas')]);
});

// The schemas let unknown keys pass; the types of the same packages do not.
test('the keys in the manifests are those that Kubernetes knows', async () => {
  expect(await typeProblems(written)).toBe('');
}, 60_000);

test('a misspelt key is found', async () => {
  const [worker] = ours as unknown as { spec: { template: { spec: object } } }[];
  const spec = { ...worker!.spec.template.spec, terminationGracePeriod: 330 };
  const misspelt = { ...worker, spec: { ...worker!.spec, template: { ...worker!.spec.template, spec } } };
  expect(await typeProblems([misspelt as never])).toContain('terminationGracePeriod');
}, 60_000);

const kubectl = spawnSync('kubectl', ['kustomize', '--help'], { encoding: 'utf8' }).status === 0;

// `kubectl` has kustomize built in. Where there is none, the files are checked one by one.
test.runIf(kubectl)('kustomize renders them with every component, each resource once', async () => {
  const copy = await mkdtemp(join(tmpdir(), 'postlane-kubernetes-'));
  try {
    await cp(join(root, folder), copy, { recursive: true });
    await writeFile(
      join(copy, 'example/kustomization.yaml'),
      'namespace: postlane\nresources: [../base]\ncomponents: [../redis, ../smtp, ../outbox, ../keda]\n',
    );
    const { stdout, stderr, status } = spawnSync('kubectl', ['kustomize', join(copy, 'example')], { encoding: 'utf8' });
    expect({ status, stderr: stderr.replace(/^.*deprecated.*$/gm, '').trim() }).toEqual({ status: 0, stderr: '' });
    const rendered = readManifests(stdout);
    expect(await schemaProblems(rendered)).toEqual([]);
    expect(rendered.length).toBe(written.length + 1);
    const worker = rendered.find(({ metadata, kind }) => metadata.name === 'postlane-worker' && kind === 'Deployment');
    // KEDA decides.
    expect(worker?.spec?.replicas).toBeUndefined();
    expect(worker?.spec?.selector).toEqual({
      matchLabels: { 'app.kubernetes.io/component': 'worker', 'app.kubernetes.io/name': 'postlane' },
    });
  } finally {
    await rm(copy, { recursive: true });
  }
});

const secrets = { 'redis-password': 'p', 'relay-password': 'p', 'api-token-sha256': 'a'.repeat(64) };

async function configuration() {
  const directory = await mkdtemp(join(tmpdir(), 'postlane-config-'));
  try {
    for (const [name, text] of Object.entries(secrets)) await writeFile(join(directory, name), text);
    const file = join(directory, 'postlane.yaml');
    await writeFile(file, textOf(`${folder}/base/postlane.yaml`).replaceAll('/etc/postlane-secrets', directory));
    const result = await loadConfig({ file, env: {}, cwd: directory });
    if (!result.ok) throw new Error(JSON.stringify(result.issues));
    return result.config;
  } finally {
    await rm(directory, { recursive: true });
  }
}

test('the configuration in them is valid, and its secrets are those that the example tells to make', async () => {
  const config = await configuration();
  expect(config.systemDefaultGateway).toBe('relay');
  for (const name of Object.keys(secrets))
    expect(textOf(`${folder}/example/kustomization.yaml`)).toContain(`--from-file=${name}`);
});

test('a pod has 30 seconds more than its worker takes to drain', async () => {
  const { worker } = await configuration();
  const grace = ours.find(({ metadata }) => metadata.name === 'postlane-worker')?.spec?.template?.spec;
  expect((grace?.terminationGracePeriodSeconds ?? 0) * 1_000).toBeGreaterThanOrEqual(worker.drainMs + 30_000);
});

test('no outage of Redis restarts a pod: liveness asks /livez', () => {
  const probes = ours.map(({ spec }) => spec?.template?.spec.containers[0]?.livenessProbe.httpGet?.path);
  expect(probes).toEqual(ours.map(() => '/livez'));
});

test('probes ask ports that the configuration opens', async () => {
  const { worker, metrics } = await configuration();
  const ports: Readonly<Record<string, number | null | undefined>> = {
    http: 8025,
    health: worker.healthPort,
    metrics: metrics.listen?.port,
  };
  for (const { spec } of ours) {
    const container = spec!.template!.spec.containers[0]!;
    const { port } = container.livenessProbe.httpGet!;
    const number = container.ports.find(({ name }) => name === port)?.containerPort;
    expect(number).toBe(ports[port]);
    expect(number).toBeGreaterThan(1_024);
  }
});

test('no container runs as root, writes its file system or has a capability', () => {
  for (const { spec } of runs) {
    const pod = spec!.template!.spec;
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: expect.any(Number) });
    for (const { securityContext } of pod.containers) {
      expect(securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
    }
  }
});

test('the image has a numeric user: a kubelet cannot tell that one with a name is not root', () => {
  const user = /^USER (\S+)$/m.exec(textOf('Dockerfile'))?.[1];
  expect(user).toBe('1000:1000');
  for (const { spec } of ours)
    expect(spec?.template?.spec.securityContext).toMatchObject({ runAsUser: 1000, runAsGroup: 1000 });
});

test('a folder of files is mounted, never one file, which would not follow a change', () => {
  for (const file of resources) expect(textOf(file)).not.toMatch(/^\s*subPath:/m);
});

test('workers are never scaled to none: retries and deadlines need one', () => {
  const scaled = written.find(({ kind }) => kind === 'ScaledObject') as unknown as {
    spec: { minReplicaCount: number };
  };
  expect(scaled.spec.minReplicaCount).toBeGreaterThanOrEqual(2);
  expect(parse(textOf(`${folder}/keda/kustomization.yaml`))).toMatchObject({ kind: 'Component' });
});
