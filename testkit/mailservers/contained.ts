/**
 * Runs an unpacked server where it believes to be installed: a mount namespace of its own has its files under `/usr`, its users in
 * `/etc/passwd`, and empty folders for its state. Nothing outside of its folder changes, and all of it ends with the process.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startGuarded, type Guarded } from '../guarded.ts';
import { greets } from '../ports.ts';
import { until } from '../until.ts';

export interface Contained {
  readonly port: number;
  /** What the server has written to stderr, for the message of a failing test. */
  readonly log: () => string;
  /** Ends it with SIGTERM and starts it again, on the same port and with the same files. */
  restart(): Promise<void>;
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
    // Folders of its own, and no tmpfs, as what the server has queued there must outlast a restart.
    ...Object.entries(emptyFolders).flatMap(([path, inside]) => [
      `mkdir -p ${folder}/state${path}`,
      `mount --bind ${folder}/state${path} ${path}`,
      ...inside.map((name) => `mkdir -m 711 -p ${path}/${name}`),
    ]),
    'exec "$@"',
  ];
  await writeFile(join(folder, 'contain.sh'), `${script.join('\n')}\n`);
  const program = ['/usr/bin/unshare', '--mount', '/bin/sh', join(folder, 'contain.sh'), ...command];
  return startServer({ name: command[0] ?? '', program, folder, port });
}

export interface ServerProgram {
  /** For the message of a failed start. */
  readonly name: string;
  readonly program: readonly string[];
  /** Removed at the end. */
  readonly folder: string;
  readonly port: number;
}

/** Resolves once the server greets. */
export async function startServer({ name, program, folder, port }: ServerProgram): Promise<Contained> {
  const start = async (): Promise<Guarded> => {
    const started = await startGuarded(program, { folder });
    const ready = async (): Promise<boolean> => !started.running() || greets(port);
    const greeted = await until(ready, { what: `${name} to greet`, timeoutMs: startMs }).catch(() => false);
    if (greeted && started.running()) return started;
    await started.end();
    throw new Error(`${name} did not start: ${started.stderr().slice(-2_000)}`);
  };
  let guarded = await start();
  return {
    port,
    log: () => guarded.stderr(),
    async restart() {
      await guarded.end({ keepFolder: true });
      guarded = await start();
    },
    stop: async () => void (await guarded.end()),
  };
}
