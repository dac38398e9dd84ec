/**
 * Starts a private Redis for the quick start and the tests: own port on the loopback, own folder, an append-only file as
 * in production. It never looks for, or talks to, a Redis that runs already.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { dockerAnswers, findRedisServer } from './redis-server.mjs';

interface PrivateRedisOptions {
  /** Folder of its data; kept at the end. Default: a new one under the system's temporary folder, removed at the end. */
  readonly dir?: string;
  /** Default `everysec`, as Redis has it. */
  readonly appendfsync?: 'always' | 'everysec' | 'no';
  /** Default: one that is free. With a given port a start that finds it taken fails, instead of trying another. */
  readonly port?: number;
  /** Further arguments of the server: `--cluster-enabled`, `yes`, … Needs a binary. */
  readonly settings?: readonly string[];
}

export interface PrivateRedis {
  readonly url: string;
  readonly port: number;
  readonly dir: string;
  /** Process id of the server (of its `docker run` where there is no binary); changes with `restart`. */
  readonly pid: number;
  /** Ends it (SIGTERM, so that the append-only file is written) and removes its folder unless the caller gave it. */
  stop(): Promise<void>;
  /** SIGKILL: what the append-only file does not have yet is lost. */
  kill(): Promise<void>;
  /** Starts it again on the same port with the same data; one that runs is ended properly first. */
  restart(): Promise<void>;
}

const startTimeoutMs = 15_000;
/** An image has to be pulled first. */
const dockerStartTimeoutMs = 120_000;
const startAttempts = 10;

/** @throws Error if there is no server binary and no Docker engine, or if the server does not start; with its log. */
export async function startPrivateRedis(options: PrivateRedisOptions = {}): Promise<PrivateRedis> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'postlane-redis-'));
  mkdirSync(dir, { recursive: true });
  const launch = {
    dir,
    removeDir: options.dir === undefined,
    appendfsync: options.appendfsync ?? 'everysec',
    // REDIS_SERVER names another one, such as that of Valkey, to run the same tests on it.
    binary: process.env.REDIS_SERVER || findRedisServer(process.env.PATH ?? ''),
    name: `postlane-${randomBytes(6).toString('hex')}`,
    settings: options.settings ?? [],
  };
  if (launch.binary === null && !dockerAnswers()) {
    throw new Error('No redis-server or valkey-server on PATH and no Docker engine: install one, or set REDIS_URL.');
  }
  let port = options.port ?? (await freePort());
  let server: RunningServer | null = null;
  for (let attempt = 1; server === null; attempt++) {
    try {
      server = await startServer(launch, port);
    } catch (error) {
      // Between finding a free port and listening on it somebody else may take it.
      if (options.port !== undefined || attempt === startAttempts || !(error instanceof PortTaken)) {
        if (launch.removeDir) rmSync(dir, { recursive: true, force: true });
        throw error;
      }
      port = await freePort();
    }
  }
  let running = server;
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    dir,
    get pid() {
      return running.pid;
    },
    stop: async () => {
      await running.end({ keepDir: false });
      if (launch.removeDir) rmSync(dir, { recursive: true, force: true });
    },
    kill: () => running.kill(),
    restart: async () => {
      await running.end({ keepDir: true });
      running = await startServer(launch, port);
    },
  };
}

interface Launch {
  readonly dir: string;
  readonly removeDir: boolean;
  readonly appendfsync: string;
  readonly binary: string | null;
  readonly settings: readonly string[];
  /** Unique: names the container, and tells our server from a stranger on the same port. */
  readonly name: string;
}

interface RunningServer {
  readonly pid: number;
  end(how: { keepDir: boolean }): Promise<void>;
  kill(): Promise<void>;
}

class PortTaken extends Error {}

async function startServer(launch: Launch, port: number): Promise<RunningServer> {
  const guard = spawn(
    process.execPath,
    [
      fileURLToPath(new URL('guard.mjs', import.meta.url)),
      launch.removeDir ? launch.dir : '',
      ...command(launch, port),
    ],
    // Its own process group: Ctrl-C in a terminal must reach it through us, after the workers have drained.
    { detached: true, stdio: ['pipe', 'pipe', 'pipe'], env: guardEnvironment() },
  );
  const exited = once(guard, 'exit');
  const said: string[] = [];
  guard.stderr.setEncoding('utf8').on('data', (text: string) => said.push(text));
  guard.stdin.on('error', () => {});
  const pid = await firstLine(guard);

  const deadline = Date.now() + (launch.binary === null ? dockerStartTimeoutMs : startTimeoutMs);
  while ((await answers(port, launch.name)) !== 'ours') {
    if (guard.exitCode !== null || Date.now() > deadline) {
      guard.stdin.end('keep\n');
      await exited;
      const log = `${said.join('')}${readLog(launch.dir)}`;
      const problem = `Redis did not start on port ${port}:\n${log.slice(-2_000)}`;
      throw /address already in use|port is already allocated/i.test(log) ? new PortTaken(problem) : new Error(problem);
    }
    await pause(20);
  }
  // A forgotten server must not keep its starter alive; the guard ends it with the starter.
  const handles = [guard, guard.stdin, guard.stdout, guard.stderr] as { ref?(): void; unref?(): void }[];
  for (const handle of handles) handle.unref?.();
  const gone = async () => {
    guard.ref();
    await exited;
  };
  return {
    pid,
    end: async ({ keepDir }) => {
      if (guard.exitCode !== null || guard.signalCode !== null) return;
      guard.stdin.end(keepDir ? 'keep\n' : '');
      await gone();
    },
    kill: async () => {
      if (guard.exitCode !== null || guard.signalCode !== null) return;
      if (launch.binary === null) spawn('docker', ['kill', launch.name], { stdio: 'ignore' });
      else process.kill(pid, 'SIGKILL');
      await gone();
    },
  };
}

/** The guard is a bare Node program: a test runner's loaders and inspectors are not meant for it. */
function guardEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, ...rest } = process.env;
  return rest;
}

function command(launch: Launch, port: number): string[] {
  const settings = [
    ['--appendonly', 'yes'],
    ['--appendfsync', launch.appendfsync],
    ['--auto-aof-rewrite-min-size', '1gb'],
    ['--maxmemory-policy', 'noeviction'],
    ['--save', ''],
    ['--dbfilename', `${launch.name}.rdb`],
    launch.settings,
  ].flat();
  if (launch.binary !== null) {
    const own = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', launch.dir];
    return [launch.binary, ...own, '--logfile', join(launch.dir, 'redis.log'), ...settings];
  }
  const published = ['-p', `127.0.0.1:${port}:6379`, '-v', `${launch.dir}:/data`];
  // As this user, so that the folder can be removed afterwards; without protected mode, because in a container even the
  // host's loopback is a stranger. The port is published on the loopback only.
  const user = ['--user', `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`];
  const own = ['docker', 'run', '--rm', '--name', launch.name, ...user, ...published];
  return [...own, 'redis:7', 'redis-server', '--protected-mode', 'no', ...settings];
}

async function firstLine(guard: ChildProcess): Promise<number> {
  const [text] = (await Promise.race([once(guard.stdout!, 'data'), once(guard, 'exit').then(() => ['0'])])) as [
    unknown,
  ];
  return Number(String(text).trim());
}

/** Whether the server on this port is the one with our name, and has loaded its data (PING fails while it loads). */
async function answers(port: number, name: string): Promise<'ours' | 'not yet'> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.setEncoding('utf8');
  let reply = '';
  try {
    socket.on('data', (text: string) => (reply += text));
    socket.setTimeout(1_000, () => socket.destroy());
    socket.end('CONFIG GET dbfilename\r\nPING\r\nQUIT\r\n');
    await once(socket, 'close');
  } catch {
    return 'not yet';
  } finally {
    socket.destroy();
  }
  return reply.includes(`${name}.rdb`) && reply.includes('+PONG') ? 'ours' : 'not yet';
}

/**
 * A free port below the ranges from which Linux (32768) and macOS (49152) take the ports of outgoing connections: while
 * a server restarts, its clients try again and again, and one that happened to be given the very port it dials would be
 * connected to itself and keep the port from the server.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    const probe = createServer();
    const free = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

function readLog(dir: string): string {
  const file = join(dir, 'redis.log');
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}
