/**
 * Every command of docs/install.md, as far as this machine can: run, rendered, or compared with the files, options and commands that it
 * names. One that no rule knows fails. Those of npm are run in package.test.ts, from the packed package.
 */
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { commandsOf, yamlOf } from '../support/install-page.ts';
import {
  composeProblems,
  has,
  helmProblems,
  kubernetesProblems,
  manifest,
  npmProblems,
  secretsOf,
  systemdProblems,
  temporary,
} from '../support/install-rules.ts';
import { filesUnder, root, textOf } from '../support/source.ts';

/** In a folder with these files. → the mistakes. */
async function mistakesIn(
  text: string,
  folder: string,
  env: Readonly<Record<string, string>>,
): Promise<readonly object[]> {
  const file = join(folder, 'postlane.yaml');
  writeFileSync(file, text);
  const result = await loadConfig({ file, env, cwd: folder });
  return result.ok ? [] : result.issues;
}

/** Names of the files of the Secret that a text refers to. */
const filesIn = (text: string): string[] =>
  [
    ...new Set([...text.matchAll(/\$\{file:\/etc\/postlane-secrets\/([\w-]+)\}/g)].map(([, name = '']) => name)),
  ].toSorted();

const [configuration = ''] = yamlOf('npm');

test('the package has the command that the page starts', () => {
  expect(Object.keys(manifest.bin)).toEqual(['postlane']);
});

describe('npm', () => {
  test.each(commandsOf('npm'))('%s', async (line) => {
    expect(await npmProblems(line)).toEqual([]);
  });

  test('its configuration is valid', async () => {
    expect(await mistakesIn(configuration, temporary(), { RELAY_PASSWORD: 'p' })).toEqual([]);
  });
});

describe('systemd', () => {
  test('its commands put the units and the configuration where systemd enables them', () => {
    const [place, here] = [temporary(), temporary()];
    mkdirSync(join(place, 'etc/systemd/system'), { recursive: true });
    writeFileSync(join(here, 'postlane.yaml'), configuration);
    symlinkSync(join(root, 'deploy'), join(here, 'deploy'));
    expect(commandsOf('systemd').flatMap((line) => systemdProblems(line, place, here))).toEqual([]);
    expect(existsSync(join(place, 'etc/postlane/postlane.yaml'))).toBe(true);
    const units = filesUnder('deploy/systemd').map((path) => path.split('/').at(-1) ?? '');
    const installed = readdirSync(join(place, 'etc/systemd/system')).filter((name) => name.endsWith('.service'));
    expect(installed.toSorted()).toEqual(units.toSorted());
    const enabled = ['postlane-serve.service', 'postlane-worker.service'];
    const wanted = has('systemctl') ? readdirSync(join(place, 'etc/systemd/system/multi-user.target.wants')) : enabled;
    expect(wanted.toSorted()).toEqual(enabled);
  });

  test('its configuration reads the credential that the unit loads', async () => {
    const [, credential = ''] = /^LoadCredential=([\w-]+):/m.exec(textOf('docs/install.md')) ?? [];
    const folder = temporary();
    writeFileSync(join(folder, credential), 'p');
    const [smtp = ''] = yamlOf('systemd');
    expect(smtp).toContain(`\${credential:${credential}}`);
    const text = configuration.replace(/^ {4}smtp: .*\n/m, `    ${smtp}`);
    expect(await mistakesIn(text, folder, { CREDENTIALS_DIRECTORY: folder })).toEqual([]);
  });
});

test('Docker Compose: every command, in the folder that the page has gone to', async () => {
  let folder = '.';
  const problems: string[] = [];
  for (const line of commandsOf('Docker Compose')) {
    if (line.startsWith('cd ')) folder = line.slice(3);
    else problems.push(...(await composeProblems(line, folder)));
  }
  expect(problems).toEqual([]);
  expect(folder).toBe('deploy/compose');
});

describe('Kubernetes', () => {
  test.each(commandsOf('Kubernetes'))('%s', async (line) => {
    expect(await kubernetesProblems(line)).toEqual([]);
  });

  test('its commands make the Secrets, with the keys, that the manifests name', () => {
    const text = filesUnder('deploy/kubernetes').map(textOf).join('\n');
    const made = secretsOf(commandsOf('Kubernetes'));
    const named = [...text.matchAll(/secretName: ([\w-]+)/g)].map(([, name = '']) => name);
    expect([...made.keys()].toSorted()).toEqual([...new Set(named)].toSorted());
    expect(made.get('postlane-secrets')).toEqual(filesIn(text));
  });

  test('its Deployments have the names that the commands use', () => {
    for (const name of ['worker', 'serve']) {
      const text = textOf(`deploy/kubernetes/base/${name}.yaml`);
      expect(text).toContain(`kind: Deployment\nmetadata:\n  name: postlane-${name}\n`);
    }
  });
});

describe('Helm', () => {
  const [values = ''] = yamlOf('Helm');

  test.each(commandsOf('Helm'))('%s', async (line) => {
    expect(await helmProblems(line, values)).toEqual([]);
  });

  test('its values fit the schema, name the files of the Secret, and are a valid configuration', async () => {
    const given = parse(values) as { config: Readonly<Record<string, object>> };
    const schema = JSON.parse(textOf('deploy/helm/postlane/values.schema.json')) as object;
    const valid = new Ajv({ strict: false }).compile(schema);
    expect(valid(given) ? [] : valid.errors).toEqual([]);
    const folder = temporary();
    const files = filesIn(values);
    expect(secretsOf(commandsOf('Helm')).get('postlane-secrets')).toEqual(files);
    for (const name of files) writeFileSync(join(folder, name), 'a'.repeat(64));
    const text = JSON.stringify(given.config).replaceAll('/etc/postlane-secrets', folder);
    expect(await mistakesIn(text, folder, {})).toEqual([]);
  });
});
