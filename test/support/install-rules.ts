/** What is wrong with a command of docs/install.md, as far as this machine can tell: it is run, rendered, or compared with what it names. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { parse } from 'yaml';
import { project } from './cli.ts';
import { wordsOf, yamlOf } from './install-page.ts';
import { root, textOf } from './source.ts';

type Problems = string[];

export const manifest = JSON.parse(textOf('package.json')) as {
  readonly name: string;
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
};

export function has(program: string): boolean {
  return spawnSync(program, ['--version']).error === undefined;
}

/** Ends with the test. */
export function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-install-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs it. */
function runProblems(program: string, args: readonly string[], cwd = root): Problems {
  const { status, stderr } = spawnSync(program, args, { cwd, encoding: 'utf8' });
  return status === 0 ? [] : [`${program} ${args.join(' ')} ended with ${status}: ${stderr}`];
}

const unless = (fits: boolean, problem: string): Problems => (fits ? [] : [problem]);
const unknown = (line: string): Problems => [`no rule knows: ${line}`];
/** Of an option with a value as the next word. */
const valueOf = (args: readonly string[], option: string): string => args[args.indexOf(option) + 1] ?? '';

/** Whether the command line has the command, and each of its options. */
async function postlaneProblems(args: readonly string[]): Promise<Problems> {
  const at = args.findIndex((arg) => arg.startsWith('-'));
  const command = (at < 0 ? args : args.slice(0, at)).join(' ');
  const { stdout } = await project('').call([...command.split(' '), '--help']);
  const known = new Set(stdout.match(/--[\w-]+/g));
  return [
    ...unless(stdout.includes(`Usage: postlane ${command} `), `postlane has no command ${command}`),
    ...args.filter((arg) => arg.startsWith('--') && !known.has(arg)).map((arg) => `${command} has no option ${arg}`),
  ];
}

export async function npmProblems(line: string): Promise<Problems> {
  const [program = '', ...args] = wordsOf(line);
  const text = args.join(' ');
  if (program === 'npm') return unless(text === `install ${manifest.name}`, `installs something else: ${line}`);
  if (program === 'npx' && args[0] === 'postlane') return postlaneProblems(args.slice(1));
  if (program === 'export') {
    const name = text.split('=')[0] ?? '';
    return unless(yamlOf('npm')[0]?.includes(`\${${name}}`) === true, `the configuration does not name ${name}`);
  }
  if (program !== 'redis-server') return unknown(line);
  // As compose.yaml has it, whose command a test runs.
  const settings = ['--appendonly yes', '--maxmemory-policy noeviction'];
  return settings.filter((setting) => !text.includes(setting)).map((setting) => `Redis is not told ${setting}`);
}

/** `place` stands for the root folder of the machine, `here` for the working directory. */
export function systemdProblems(line: string, place: string, here: string): Problems {
  const [program = '', ...args] = wordsOf(line);
  const unitHas = (name: string, setting: string): Problems => {
    const path = `deploy/systemd/${name}.service`;
    return unless(existsSync(join(root, path)) && textOf(path).includes(setting), `${path} has no ${setting}`);
  };
  if (program === 'npm')
    return unless(args.join(' ') === `install --global ${manifest.name}`, `installs something else: ${line}`);
  if (program === 'install') return runProblems('sh', ['-c', line.replace(/ \/etc\//, ` ${place}/etc/`)], here);
  if (program === 'journalctl') return unitHas(valueOf(args, '--unit'), 'ExecStart=');
  const [verb = '', ...names] = args.filter((arg) => !arg.startsWith('--'));
  if (program !== 'systemctl' || !['daemon-reload', 'enable', 'reload'].includes(verb)) return unknown(line);
  const lacking = names.flatMap((name) => unitHas(name, verb === 'reload' ? 'ExecReload=' : 'WantedBy='));
  if (lacking.length > 0 || verb !== 'enable' || !has('systemctl')) return lacking;
  // Without `--now` and with another root it needs no running systemd.
  return runProblems('systemctl', [`--root=${place}`, 'enable', ...names]);
}

const composeOptions = new Set(['--detach', '--wait', '--scale', '--rm', '--profile']);

/** In this folder of the repository. */
export async function composeProblems(line: string, folder: string): Promise<Problems> {
  const [program = '', ...args] = wordsOf(line);
  if (program.startsWith('./')) return unless(existsSync(join(root, folder, program)), `${folder} has no ${program}`);
  if (program !== 'docker' || args.shift() !== 'compose') return unknown(line);
  const file = ['compose.yaml', 'docker-compose.yml'].find((name) => existsSync(join(root, folder, name))) ?? '';
  const { services } = parse(textOf(join(folder, file)), { merge: true }) as {
    services: Readonly<Record<string, { readonly profiles?: readonly string[] }>>;
  };
  const profiles = new Set(Object.values(services).flatMap(({ profiles: names = [] }) => names));
  const problems: Problems = [];
  let verb = '';
  for (let word = args.shift(); word !== undefined; word = args.shift()) {
    if (word === '--profile')
      problems.push(...unless(profiles.has(args.shift() ?? ''), `there is no such profile: ${line}`));
    else if (word === '--scale')
      problems.push(...unless((args.shift()?.split('=')[0] ?? '') in services, `there is no such service: ${line}`));
    else if (word.startsWith('--')) problems.push(...unless(composeOptions.has(word), `no rule knows ${word}`));
    else if (verb === '') verb = word;
    // A service, and what `postlane` is told there.
    else
      return [
        ...problems,
        ...unless(word in services, `there is no service ${word}`),
        ...(await postlaneProblems(args)),
      ];
  }
  return [...problems, ...unless(verb === 'up', `no rule knows: ${line}`)];
}

const objects = new Set(['deployment/postlane-worker', 'deployment/postlane-serve']);

/** Secrets that the commands of a section make, with their keys. */
export function secretsOf(lines: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const made = lines.flatMap((line) => {
    const [, name, files = ''] = /create secret generic (\S+)(.*)$/.exec(line) ?? [];
    return name === undefined
      ? []
      : [[name, [...files.matchAll(/--from-file=(\S+)/g)].map(([, file = '']) => file).toSorted()] as const];
  });
  return new Map(made);
}

export async function kubernetesProblems(line: string): Promise<Problems> {
  const [program = '', ...words] = wordsOf(line);
  const args = words.filter((word, at) => word !== '--namespace' && words[at - 1] !== '--namespace');
  const [verb = '', noun = ''] = args;
  if (program !== 'kubectl') return unknown(line);
  if (verb === 'create') {
    const folder = temporary();
    for (const files of secretsOf([line]).values()) for (const name of files) writeFileSync(join(folder, name), 'x');
    // Nothing is asked: the client makes it.
    return has('kubectl') ? runProblems('kubectl', [...words, '--dry-run=client', '--output=yaml'], folder) : [];
  }
  if (verb === 'apply') {
    const folder = valueOf(args, '--kustomize');
    if (!existsSync(join(root, folder, 'kustomization.yaml'))) return [`${folder} has no kustomization.yaml`];
    return has('kubectl') ? runProblems('kubectl', ['kustomize', folder]) : [];
  }
  const object = verb === 'rollout' ? args[2] : noun;
  const named = unless(objects.has(object ?? ''), `there is no ${object}`);
  if (verb === 'rollout') return [...named, ...unless(noun === 'status', `no rule knows: ${line}`)];
  if (verb !== 'exec') return unknown(line);
  // The working directory of the image is that of the package.
  const command = args.slice(2, 5).join(' ');
  const starts = unless(command === `-- node ${manifest.bin['postlane']}`, `the image has no ${command}`);
  return [...named, ...starts, ...(await postlaneProblems(args.slice(5)))];
}

/** `values`: the example of the page. */
export async function helmProblems(line: string, values: string): Promise<Problems> {
  const [program = '', ...args] = wordsOf(line);
  // The name of the chart is within that of the release, so objects have that of the release.
  if (program !== 'helm') return kubernetesProblems(line);
  const { version } = parse(textOf('deploy/helm/postlane/Chart.yaml')) as { version: string };
  return [
    ...unless(args.slice(0, 2).join(' ') === `install ${manifest.name}`, `no rule knows: ${line}`),
    ...unless(valueOf(args, '--version') === version, `the chart has the version ${version}`),
    ...unless(values.startsWith(`# ${valueOf(args, '--values')}\n`), 'the page shows no such file of values'),
  ];
}
