/** Holds the manifests in deploy/kubernetes to Kubernetes' and KEDA's schemas, to each other, and to the program. */
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { filesUnder, root, textOf } from '../support/source.ts';

interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly livenessProbe: { readonly httpGet?: { readonly path: string; readonly port: string } };
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext: object;
}
interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: {
    readonly replicas?: number;
    readonly selector?: Readonly<Record<string, unknown>>;
    readonly template?: {
      readonly spec: {
        readonly terminationGracePeriodSeconds: number;
        readonly securityContext: Readonly<Record<string, unknown>>;
        readonly containers: readonly Container[];
      };
    };
  };
}

const folder = 'deploy/kubernetes';
const resources = filesUnder(folder).filter(
  (file) => file.endsWith('.yaml') && !/kustomization|postlane\.yaml$/.test(file),
);
// As kubectl reads it: YAML 1.1, where 0440 is octal.
const read = (text: string): Manifest[] =>
  parseAllDocuments(text, { version: '1.1' }).map((document) => document.toJS() as Manifest);
const written = resources.flatMap((file) => read(textOf(file)));
const runs = written.filter(({ spec }) => spec?.template !== undefined);
const ours = runs.filter(({ kind }) => kind === 'Deployment');

/** The package that has the types and the schema of a manifest, and its name there. */
function moduleOf({ apiVersion }: Manifest): string {
  return apiVersion.startsWith('keda.sh/')
    ? `@kubernetes-models/keda/${apiVersion}`
    : `kubernetes-models/${apiVersion}`;
}

async function problemOf(manifest: Manifest): Promise<string | null> {
  const kinds = (await import(moduleOf(manifest))) as Record<string, new (data: object) => { validate(): void }>;
  const Kind = kinds[manifest.kind];
  if (Kind === undefined) return `${manifest.apiVersion} has no ${manifest.kind}`;
  try {
    new Kind(manifest).validate();
    return null;
  } catch (thrown) {
    return `${manifest.kind} ${manifest.metadata.name}: ${String(thrown)}`;
  }
}

const problemsOf = async (manifests: readonly Manifest[]): Promise<(string | null)[]> =>
  (await Promise.all(manifests.map(problemOf))).filter((problem) => problem !== null);

test('the manifests fit the schemas of Kubernetes and KEDA', async () => {
  expect(resources.length).toBeGreaterThan(5);
  expect(await problemsOf(written)).toEqual([]);
});

test('a value of the wrong type does not fit', async () => {
  const worker = structuredClone(written.find(({ kind }) => kind === 'Deployment')!) as { spec: { replicas: unknown } };
  worker.spec.replicas = 'two';
  expect(await problemOf(worker as never)).toContain('replicas');
});

describe('keys', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(root, 'node_modules/.kubernetes-'));
  });
  afterAll(() => rm(directory, { recursive: true }));

  // The schemas let unknown keys pass; the types of the same package do not.
  const check = async (name: string, manifests: readonly object[]): Promise<string> => {
    const lines = (manifests as readonly Manifest[]).map((manifest, i) => {
      return `import type { I${manifest.kind} as T${i} } from '${moduleOf(manifest)}';\nexport const m${i}: T${i} = ${JSON.stringify(manifest)};`;
    });
    await writeFile(join(directory, `${name}.ts`), lines.join('\n'));
    const options = [
      '--noEmit',
      '--ignoreConfig',
      '--strict',
      '--skipLibCheck',
      '--module',
      'nodenext',
      '--target',
      'esnext',
    ];
    return spawnSync('npx', ['--no-install', 'tsc', ...options, join(directory, `${name}.ts`)], {
      cwd: root,
      encoding: 'utf8',
    }).stdout;
  };

  test('are those that Kubernetes knows', async () => {
    expect(await check('written', written)).toBe('');
  }, 60_000);

  test('that are misspelt are found', async () => {
    const [worker] = ours as unknown as { spec: { template: { spec: object } } }[];
    const spec = { ...worker!.spec.template.spec, terminationGracePeriod: 330 };
    const misspelt = { ...worker, spec: { ...worker!.spec, template: { ...worker!.spec.template, spec } } };
    expect(await check('misspelt', [misspelt])).toContain('terminationGracePeriod');
  }, 60_000);
});

const kubectl = spawnSync('kubectl', ['kustomize', '--help'], { encoding: 'utf8' }).status === 0;

// `kubectl` has kustomize built in. Where there is none, the files are checked one by one.
test.runIf(kubectl)('kustomize renders them with every component, each resource once', async () => {
  const copy = await mkdtemp(join(tmpdir(), 'postlane-kubernetes-'));
  try {
    await cp(join(root, folder), copy, { recursive: true });
    await writeFile(
      join(copy, 'example/kustomization.yaml'),
      'namespace: postlane\nresources: [../base]\ncomponents: [../redis, ../smtp, ../keda]\n',
    );
    const { stdout, stderr, status } = spawnSync('kubectl', ['kustomize', join(copy, 'example')], { encoding: 'utf8' });
    expect({ status, stderr: stderr.replace(/^.*deprecated.*$/gm, '').trim() }).toEqual({ status: 0, stderr: '' });
    const rendered = read(stdout);
    expect(await problemsOf(rendered)).toEqual([]);
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
  const { worker } = await configuration();
  for (const { spec } of ours) {
    const container = spec!.template!.spec.containers[0]!;
    const { port } = container.livenessProbe.httpGet!;
    const number = container.ports.find(({ name }) => name === port)?.containerPort;
    expect(number).toBe(port === 'http' ? 8025 : worker.healthPort);
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
