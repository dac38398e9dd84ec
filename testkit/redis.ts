/**
 * Starts a private Redis for tests and programs: own port on the loopback, own folder, an append-only file as in
 * production. It never looks for, or talks to, a Redis that runs already.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startGuarded } from './guarded.ts';
import { freePort } from './ports.ts';
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
  readonly pid: () => number;
  /** Sends SIGTERM, so that the append-only file is written, and removes the folder unless the caller gave it. */
  stop(): Promise<void>;
  /** SIGKILL: what the append-only file does not hold yet is lost. */
  kill(): Promise<void>;
  /** Starts the server again on the same port with the same data; a running one is ended with SIGTERM first. */
  restart(): Promise<void>;
}

/** A busy machine may take seconds; a server that fails to start is noticed at once. */
const startTimeoutMs = 60_000;
/** An image has to be pulled first. */
const dockerStartTimeoutMs = 120_000;
const startAttempts = 10;

/** The Redis or Valkey to run, or null. REDIS_SERVER names one explicitly, to run the same tests on another server. */
export function redisBinary(): string | null {
  return process.env.REDIS_SERVER || findRedisServer(process.env.PATH ?? '');
}

/** @throws Error if there is no server binary and no Docker engine, or if the server does not start; with its log. */
export async function startPrivateRedis(options: PrivateRedisOptions = {}): Promise<PrivateRedis> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'postlane-redis-'));
  mkdirSync(dir, { recursive: true });
  const launch = {
    dir,
    removeDir: options.dir === undefined,
    appendfsync: options.appendfsync ?? 'everysec',
    binary: redisBinary(),
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
      // Another program may have taken the port since it was found free.
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
    pid: () => running.pid,
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
  const folder = launch.removeDir ? launch.dir : '';
  const guarded = await startGuarded(command(launch, port), { folder });
  const deadline = Date.now() + (launch.binary === null ? dockerStartTimeoutMs : startTimeoutMs);
  while ((await answers(port, launch.name)) !== 'ours') {
    if (!guarded.running() || Date.now() > deadline) {
      await guarded.end({ keepFolder: true });
      const log = `${guarded.stderr()}${readLog(launch.dir)}`;
      const problem = `Redis did not start on port ${port}:\n${log.slice(-2_000)}`;
      throw /address already in use|port is already allocated/i.test(log) ? new PortTaken(problem) : new Error(problem);
    }
    await pause(20);
  }
  // A forgotten server must not keep its starter alive; the guard ends it with the starter.
  guarded.unref();
  return {
    pid: guarded.pid,
    end: async ({ keepDir }) => void (await guarded.end({ keepFolder: keepDir })),
    kill: async () => {
      if (!guarded.running()) return;
      if (launch.binary === null) spawn('docker', ['kill', launch.name], { stdio: 'ignore' });
      else process.kill(guarded.pid, 'SIGKILL');
      await guarded.end({ keepFolder: true });
    },
  };
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

function readLog(dir: string): string {
  const file = join(dir, 'redis.log');
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}
