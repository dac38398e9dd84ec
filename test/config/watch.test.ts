/** Reload: which changes of files are noticed, what a bad file does, and what happens on demand. */
import { watch } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import type { ConfigIssue } from '../../src/config/issues.ts';
import { loadConfig } from '../../src/config/load.ts';
import { type ConfigWatch, watchConfig } from '../../src/config/watch.ts';

/** Generous, because two cores are shared; a passing test never waits that long. */
const patience = { timeout: 10_000, interval: 10 };

let folder: string;
let watching: ConfigWatch | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postlane-watch-'));
});

afterEach(async () => {
  watching?.close();
  await rm(folder, { recursive: true });
});

const text = (hostname: string, password = 'p'): string => `hostname: ${hostname}
systemDefaultGateway: c
connectors:
  c: { direction: outgoing, smtp: { host: a.example, auth: { user: u, password: "${password}" } } }
`;

/** Starts to watch postlane.yaml in the folder, which must be good. */
async function start(debounceMs = 1) {
  const file = 'postlane.yaml';
  const changes: Config[] = [];
  const errors: (readonly ConfigIssue[])[] = [];
  let loads = 0;
  const load = () => {
    loads += 1;
    return loadConfig({ file, env: {}, cwd: folder });
  };
  const loaded = await load();
  if (!loaded.ok) throw new Error('the first configuration is bad');
  watching = watchConfig({
    loaded,
    load,
    onChange: (config) => void changes.push(config),
    onError: (issues) => void errors.push(issues),
    debounceMs,
  });
  return {
    watched: watching,
    changes,
    errors,
    loads: () => loads,
    hostnames: () => changes.map((each) => each.hostname),
  };
}

const write = (name: string, content: string) => writeFile(join(folder, name), content);

describe('a change of a file', () => {
  test('written in place takes effect', async () => {
    await write('postlane.yaml', text('one.example'));
    const { hostnames } = await start();
    await write('postlane.yaml', text('two.example'));
    await expect.poll(() => hostnames().at(-1), patience).toBe('two.example');
  });

  test('that replaces the file, as editors do, takes effect, and so does the next', async () => {
    await write('postlane.yaml', text('one.example'));
    const { hostnames } = await start();
    for (const hostname of ['two.example', 'three.example']) {
      await write('.postlane.yaml.swp', text(hostname));
      await rename(join(folder, '.postlane.yaml.swp'), join(folder, 'postlane.yaml'));
      await expect.poll(() => hostnames().at(-1), patience).toBe(hostname);
    }
  });

  test('that Kubernetes makes by swapping ..data takes effect, and so does the next', async () => {
    const publish = async (version: string) => {
      await mkdir(join(folder, `..${version}`));
      await write(`..${version}/postlane.yaml`, text(`${version}.example`));
      await symlink(`..${version}`, join(folder, '..data_tmp'));
      await rename(join(folder, '..data_tmp'), join(folder, '..data'));
    };
    await publish('one');
    await symlink('..data/postlane.yaml', join(folder, 'postlane.yaml'));
    const { hostnames } = await start();
    for (const version of ['two', 'three']) {
      await publish(version);
      await expect.poll(() => hostnames().at(-1), patience).toBe(`${version}.example`);
    }
  });

  test('of a file behind a symlink takes effect', async () => {
    await mkdir(join(folder, 'real'));
    await write('real/target.yaml', text('one.example'));
    await symlink('real/target.yaml', join(folder, 'postlane.yaml'));
    const { hostnames } = await start();
    await write('real/target.yaml', text('two.example'));
    await expect.poll(() => hostnames().at(-1), patience).toBe('two.example');
  });

  test('of a secret in another directory takes effect', async () => {
    await mkdir(join(folder, 'secrets'));
    await write('secrets/smtp', 'old');
    await write('postlane.yaml', text('one.example', '${file:secrets/smtp}'));
    const { changes } = await start();
    await write('secrets/smtp', 'new');
    const passwordNow = () => {
      const transport = changes.at(-1)?.connectors[0]?.transport;
      return transport?.kind === 'smtp' ? transport.smtp.auth?.password : undefined;
    };
    await expect.poll(passwordNow, patience).toBe('new');
  });

  test('of a secret that a reload added takes effect', async () => {
    await write('postlane.yaml', text('one.example'));
    const { watched, changes } = await start();
    await mkdir(join(folder, 'later'));
    await write('later/smtp', 'old');
    await write('postlane.yaml', text('one.example', '${file:later/smtp}'));
    await watched.reload();
    const before = changes.length;
    await write('later/smtp', 'new');
    await expect.poll(() => changes.length, patience).toBeGreaterThan(before);
  });
});

describe('a bad file', () => {
  test('is reported with its mistakes, and the next valid one takes effect', async () => {
    await write('postlane.yaml', text('one.example'));
    const { hostnames, errors } = await start();
    await write('postlane.yaml', text('not a host'));
    await expect.poll(() => errors.at(-1), patience).toMatchObject([{ key: 'hostname', rule: 'hostname', line: 1 }]);
    expect(hostnames()).toEqual([]);
    await write('postlane.yaml', text('two.example'));
    await expect.poll(() => hostnames().at(-1), patience).toBe('two.example');
  });

  test('that refers to a missing file takes effect once that file appears', async () => {
    await write('postlane.yaml', text('one.example'));
    const { watched, changes, errors } = await start();
    await mkdir(join(folder, 'secrets'));
    await write('postlane.yaml', text('one.example', '${file:secrets/smtp}'));
    await expect.poll(() => errors.at(-1), patience).toMatchObject([{ rule: 'missing-file' }]);
    expect(await watched.reload()).toBe('invalid');
    await write('secrets/smtp', 'new');
    await expect.poll(() => changes.length, patience).toBe(1);
  });

  test('that is deleted is reported, and takes effect when it is there again', async () => {
    await write('postlane.yaml', text('one.example'));
    const { hostnames, errors } = await start();
    await rm(join(folder, 'postlane.yaml'));
    await expect.poll(() => errors.at(-1), patience).toMatchObject([{ rule: 'file-unreadable' }]);
    await write('postlane.yaml', text('two.example'));
    await expect.poll(() => hostnames().at(-1), patience).toBe('two.example');
  });
});

describe('a reload on demand', () => {
  // The change of the file is noticed too, but not acted upon within the test.
  const onlyOnDemand = 3_600_000;

  test('reports its result', async () => {
    await write('postlane.yaml', text('one.example'));
    const { watched, changes, errors } = await start(onlyOnDemand);
    expect(await watched.reload()).toBe('unchanged');
    await write('postlane.yaml', `# a comment\n${text('one.example')}`);
    expect(await watched.reload()).toBe('unchanged');
    expect(changes).toEqual([]);
    await write('postlane.yaml', text('two.example'));
    expect(await watched.reload()).toBe('changed');
    await write('postlane.yaml', '');
    expect(await watched.reload()).toBe('invalid');
    expect(changes).toHaveLength(1);
    expect(errors.length).toBeGreaterThan(0);
  });

  test('that overlaps another waits for it, and the last one decides', async () => {
    await write('postlane.yaml', text('one.example'));
    const { watched, hostnames } = await start(onlyOnDemand);
    await write('postlane.yaml', text('two.example'));
    await Promise.all([watched.reload(), watched.reload(), watched.reload()]);
    expect(hostnames()).toEqual(['two.example']);
  });

  test('works after a listener has thrown', async () => {
    await write('postlane.yaml', text('one.example'));
    const loaded = await loadConfig({ env: {}, cwd: folder });
    if (!loaded.ok) throw new Error('bad');
    const results = [{ ...loaded, config: { ...loaded.config, hostname: 'x.example' } }, loaded];
    watching = watchConfig({
      loaded,
      load: () => Promise.resolve(results.shift()!),
      onChange: ({ hostname }) => {
        if (hostname === 'x.example') throw new Error('listener');
      },
      onError: () => undefined,
    });
    await expect(watching.reload()).rejects.toThrow('listener');
    expect(await watching.reload()).toBe('changed');
  });

  test('after close, or overtaken by close, calls no listener', async () => {
    await write('postlane.yaml', text('one.example'));
    const { watched, changes } = await start(onlyOnDemand);
    await write('postlane.yaml', text('two.example'));
    const overtaken = watched.reload();
    watched.close();
    expect(await overtaken).toBe('closed');
    expect(await watched.reload()).toBe('closed');
    expect(changes).toEqual([]);
  });
});

test('changes of other files in the directory cause no reload', async () => {
  await write('postlane.yaml', text('one.example'));
  const { loads, hostnames } = await start();
  const written = new Set<string | null>();
  const witness = watch(folder, (_event, name) => void written.add(name));
  for (let at = 0; at < 20; at += 1) {
    const name = `${at}.log`;
    await write(name, 'x');
    await expect.poll(() => written.has(name), patience).toBe(true);
  }
  witness.close();
  await write('postlane.yaml', text('two.example'));
  await expect.poll(hostnames, patience).toEqual(['two.example']);
  // The first, and at most two for the change, which truncates the file before it writes.
  expect(loads()).toBeLessThanOrEqual(3);
});
