/** Owns reading manifests of Kubernetes in tests, and holding them to the schemas and the types of Kubernetes and KEDA. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { root } from './source.ts';

interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly livenessProbe: { readonly httpGet?: { readonly path: string; readonly port: string } };
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext: object;
}

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
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

/** As kubectl and Helm read it: YAML 1.1, where 0440 is octal. */
export function readManifests(text: string): Manifest[] {
  return parseAllDocuments(text, { version: '1.1' }).flatMap((document) => {
    if (document.errors.length > 0) throw new Error(String(document.errors[0]));
    const manifest = document.toJS() as Manifest | null;
    return manifest === null ? [] : [manifest];
  });
}

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

/** What does not fit the schemas, which let unknown keys pass. */
export async function schemaProblems(manifests: readonly Manifest[]): Promise<string[]> {
  return (await Promise.all(manifests.map(problemOf))).filter((problem) => problem !== null);
}

/** What the types of the same packages say, which know every key; '' if nothing. */
export async function typeProblems(manifests: readonly Manifest[]): Promise<string> {
  const lines = manifests.map((manifest, i) => {
    return `import type { I${manifest.kind} as T${i} } from '${moduleOf(manifest)}';\nexport const m${i}: T${i} = ${JSON.stringify(manifest)};`;
  });
  const options = ['--noEmit', '--ignoreConfig', '--strict', '--skipLibCheck', '--module', 'nodenext'];
  // Where packages are found.
  const directory = await mkdtemp(join(root, 'node_modules/.kubernetes-'));
  try {
    const file = join(directory, 'manifests.ts');
    await writeFile(file, lines.join('\n'));
    const args = ['--no-install', 'tsc', ...options, '--target', 'esnext', file];
    const { stdout, status } = spawnSync('npx', args, { cwd: root, encoding: 'utf8' });
    return status === 0 ? '' : `tsc ended with ${status}: ${stdout}`;
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** The pods that run `postlane`, by the command. */
export function ownPods(manifests: readonly Manifest[]) {
  return manifests.flatMap(({ kind, spec }) => {
    const pod = spec?.template?.spec;
    const container = pod?.containers[0];
    return kind === 'Deployment' && pod !== undefined && container !== undefined ? [{ pod, container }] : [];
  });
}
