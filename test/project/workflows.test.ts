/** Holds the workflows of GitHub to least privilege, to pinned actions, and to the versions that Postlane supports. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { filesUnder, root, textOf } from '../support/source.ts';

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

interface Job {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly 'timeout-minutes'?: number;
  readonly needs?: string;
  readonly environment?: string;
  readonly strategy?: { readonly matrix: Readonly<Record<string, readonly unknown[]>> };
  readonly steps: readonly Step[];
}

interface Workflow {
  readonly on: Readonly<Record<string, unknown>>;
  readonly permissions?: unknown;
  readonly jobs: Readonly<Record<string, Job>>;
}

const paths = filesUnder('.github/workflows');
const workflows = new Map(paths.map((path) => [path, parse(textOf(path)) as Workflow]));
const jobs = [...workflows].flatMap(([path, { jobs }]) =>
  Object.entries(jobs).map(([name, job]) => ({ place: `${path} ${name}`, job })),
);
const workflow = (name: string) => workflows.get(`.github/workflows/${name}.yml`)!;

/** The lines of a workflow that use an action without a commit and, in a comment, its version. */
function unpinned(text: string): string[] {
  const uses = text.split('\n').filter((line) => /^[\s-]*uses:/.test(line));
  return uses.filter((line) => !/uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line));
}

describe('every workflow', () => {
  test('gives no permission that a job does not ask for', () => {
    expect([...workflows].filter(([, { permissions }]) => JSON.stringify(permissions) !== '{}')).toEqual([]);
    expect(jobs.filter(({ job }) => job.permissions === undefined).map(({ place }) => place)).toEqual([]);
  });

  test('has no permission to write, except to publish a release and its notes', () => {
    const writing = jobs.flatMap(({ place, job }) =>
      Object.entries(job.permissions ?? {}).flatMap(([what, right]) => (right === 'read' ? [] : `${place}: ${what}`)),
    );
    expect(writing.toSorted()).toEqual([
      '.github/workflows/release.yml chart: packages',
      '.github/workflows/release.yml image: packages',
      '.github/workflows/release.yml notes: contents',
      '.github/workflows/release.yml publish: id-token',
    ]);
  });

  test('pins every action to a commit, with its version in a comment', () => {
    expect(paths.flatMap((path) => unpinned(textOf(path)).map((line) => `${path}: ${line}`))).toEqual([]);
  });

  test.each([
    '      - uses: actions/checkout@v7',
    '      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1',
    '      - uses: actions/checkout@3d3c42e # v7.0.1',
    '        uses: actions/checkout@main # v7.0.1',
  ])('is refused with %s', (line) => {
    expect(unpinned(line)).toEqual([line]);
  });

  test('pins one action to one commit everywhere', () => {
    const used = paths.flatMap((path) => textOf(path).match(/(?<=uses: )\S+ # \S+/g) ?? []);
    const actions = new Set(used.map((line) => line.split('@')[0]));
    expect(new Set(used).size).toBe(actions.size);
  });

  test('leaves no credentials in the work tree', () => {
    const checkouts = jobs.flatMap(({ place, job }) => job.steps.map((step) => ({ place, step })));
    const kept = checkouts.filter(
      ({ step }) => step.uses?.startsWith('actions/checkout@') && step.with?.['persist-credentials'] !== false,
    );
    expect(kept.map(({ place }) => place)).toEqual([]);
  });

  // A title or a branch name in a script is a command of its author.
  test('puts no expression into a script, and never runs code of a pull request with rights', () => {
    const scripts = jobs.flatMap(({ place, job }) => job.steps.map(({ run = '' }) => `${place}: ${run}`));
    expect(scripts.filter((script) => script.includes('${{'))).toEqual([]);
    expect([...workflows].filter(([, { on }]) => 'pull_request_target' in on)).toEqual([]);
  });

  test('ends a job that hangs', () => {
    expect(jobs.filter(({ job }) => job['timeout-minutes'] === undefined).map(({ place }) => place)).toEqual([]);
  });

  test('runs only files and npm scripts that exist', () => {
    const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Readonly<Record<string, string>> };
    const commands = jobs.flatMap(({ job }) => job.steps.map(({ run = '' }) => run));
    const files = commands.flatMap((run) => run.match(/(?:\.ci|tools|test)\/[\w/.-]+/g) ?? []);
    const named = commands.flatMap((run) =>
      [...run.matchAll(/\bnpm run (?:-s )?([\w-]+)/g)].map(([, name = '']) => name),
    );
    expect(files).toContain('tools/check.ts');
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
  });
});

test('CI runs on each supported Node with each supported server', () => {
  const matrix = workflow('ci').jobs['check']?.strategy?.matrix;
  expect(matrix).toEqual({ node: [22, 24, 26], server: ['redis:7', 'redis:8', 'valkey/valkey:8'] });
  const { engines } = JSON.parse(textOf('package.json')) as { engines: { node: string } };
  expect(engines.node).toMatch(new RegExp(`^>=${String(matrix?.['node']?.[0])}\\.`));
});

test('the contract with BullMQ is tested every week against its newest version', () => {
  const { on, jobs } = workflow('bullmq');
  expect(on['schedule']).toEqual([{ cron: expect.stringMatching(/^\d+ \d+ \* \* [0-6]$/) as string }]);
  const commands = Object.values(jobs).flatMap(({ steps }) => steps.map(({ run = '' }) => run));
  expect(commands.some((run) => run.endsWith('bullmq@latest'))).toBe(true);
  expect(commands.some((run) => run.startsWith('node tools/check.ts test/queue/bullmq'))).toBe(true);
});

test('a release is published only after its changelog and all checks, and with provenance', () => {
  const { verify, publish, image, chart, notes } = workflow('release').jobs;
  const commands = (job: Job | undefined) => job?.steps.flatMap(({ run }) => run ?? []) ?? [];
  expect(commands(verify)).toEqual(['node tools/release-notes.mjs "$GITHUB_REF_NAME"', '.ci/run']);
  expect(publish).toMatchObject({ needs: 'verify', environment: 'npm' });
  // The slim package goes out of the same job, so of the same commit.
  expect(commands(publish).slice(-3)).toEqual([
    'npm publish --provenance --access public --ignore-scripts',
    'npm run client -- "$RUNNER_TEMP/client"',
    'npm publish "$RUNNER_TEMP/client" --provenance --access public --ignore-scripts',
  ]);
  expect(image?.needs).toBe('publish');
  expect(chart?.needs).toBe('image');
  expect(notes?.needs).toEqual(['publish', 'image', 'chart']);
});

test('an image is published for both processors, with what is in it and how it was made', () => {
  const build =
    workflow('release')
      .jobs['image']?.steps.map(({ run = '' }) => run)
      .at(-1) ?? '';
  for (const option of ['--platform linux/amd64,linux/arm64', '--sbom=true', '--provenance=mode=max', '--push']) {
    expect(build).toContain(option);
  }
  // What the manifests of Kubernetes run.
  const [image] = /ghcr\.io[\w/]+/.exec(build) ?? [];
  expect(textOf('deploy/kubernetes/base/worker.yaml')).toContain(`image: ${image}\n`);
});

test('the chart is rendered by Helm before it is merged, and published as it is installed', () => {
  const commands = (job: Job | undefined) => job?.steps.map(({ run = '' }) => run) ?? [];
  expect(commands(workflow('ci').jobs['chart'])).toContain('npx vitest run test/project/helm.test.ts');
  const [place] = /oci:\S+/.exec(commands(workflow('release').jobs['chart']).at(-1) ?? '') ?? [];
  expect(textOf('docs/install.md')).toContain(`${place}/postlane `);
});
