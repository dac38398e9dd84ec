/**
 * Runs an unpacked server where it believes to be installed: a mount namespace of its own has its files under `/usr`, its users in
 * `/etc/passwd`, and empty folders for its state. Nothing outside of its folder changes, and all of it ends with the process.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startGuarded } from '../guarded.ts';
import { greets } from '../ports.ts';
import { until } from '../until.ts';

export interface Contained {
  readonly port: number;
  /** What the server has written to stderr, for the message of a failing test. */
  readonly log: () => string;
  stop(): Promise<void>;
}

export interface ContainedOptions {
  /** Of the unpacked packages. */
  readonly packages: string;
  /** Where its configuration and files are; removed at the end. */
  readonly folder: string;
  readonly users: readonly string[];
  /** Folders that are empty at the start, with what to create in them. */
  readonly emptyFolders?: Readonly<Record<string, readonly string[]>>;
  readonly command: readonly string[];
  readonly port: number;
}

const firstUserId = 61_000;
const startMs = 30_000;

export async function startContained(options: ContainedOptions): Promise<Contained> {
  const { packages, folder, users, emptyFolders = {}, command, port } = options;
  const lines = (line: (name: string, id: number) => string): string =>
    users.map((name, at) => `${line(name, firstUserId + at)}\n`).join('');
  await writeFile(
    join(folder, 'passwd'),
    (await readFile('/etc/passwd', 'utf8')) +
      lines((name, id) => `${name}:x:${id}:${id}::/nonexistent:/usr/sbin/nologin`),
  );
  await writeFile(
    join(folder, 'group'),
    (await readFile('/etc/group', 'utf8')) + lines((name, id) => `${name}:x:${id}:`),
  );
  const script = [
    'set -e',
    `mount --bind ${folder}/passwd /etc/passwd`,
    `mount --bind ${folder}/group /etc/group`,
    `mount -t overlay overlay -o lowerdir=${packages}/usr:/usr /usr`,
    ...Object.entries(emptyFolders).flatMap(([path, inside]) => [
      `mount -t tmpfs tmpfs ${path}`,
      ...inside.map((name) => `mkdir -m 711 -p ${path}/${name}`),
    ]),
    'exec "$@"',
  ];
  await writeFile(join(folder, 'contain.sh'), `${script.join('\n')}\n`);
  const guarded = await startGuarded(
    ['/usr/bin/unshare', '--mount', '/bin/sh', join(folder, 'contain.sh'), ...command],
    {
      folder,
    },
  );
  const stop = async (): Promise<void> => void (await guarded.end());
  const ready = async (): Promise<boolean> => !guarded.running() || greets(port);
  const started = await until(ready, { what: `${command[0]} to greet`, timeoutMs: startMs }).catch(() => false);
  if (!started || !guarded.running()) {
    await stop();
    throw new Error(`${command[0]} did not start: ${guarded.stderr().slice(-2_000)}`);
  }
  return { port, log: () => guarded.stderr(), stop };
}
