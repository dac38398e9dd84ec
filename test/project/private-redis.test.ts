/** Holds what the private Redis promises: its own port and folder, data that outlives a crash, and nothing left behind. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { describe, expect, onTestFinished, test } from 'vitest';
import { nodeFor } from '../../tools/setup/dependencies.mjs';
import { startPrivateRedis } from '../../testkit/redis.ts';
import type { PrivateRedis } from '../../testkit/redis.ts';
import { testConnection, testPrefix } from '../support/redis.ts';
import { root } from '../support/source.ts';
import { until } from '../../testkit/until.ts';

async function started(options: Parameters<typeof startPrivateRedis>[0] = {}): Promise<PrivateRedis> {
  const redis = await startPrivateRedis(options);
  onTestFinished(() => redis.stop());
  return redis;
}

function connected(url: string): Redis {
  const redis = new Redis(url);
  redis.on('error', () => {});
  onTestFinished(() => redis.disconnect());
  return redis;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('is set up as in production: append-only file, no eviction, loopback only', async () => {
  const client = connected((await started({ appendfsync: 'always' })).url);
  const settings = await client.config('GET', 'appendonly', 'appendfsync', 'maxmemory-policy', 'bind');
  expect(settings).toEqual(
    expect.arrayContaining([
      'appendonly',
      'yes',
      'appendfsync',
      'always',
      'maxmemory-policy',
      'noeviction',
      'bind',
      '127.0.0.1',
    ]),
  );
});

test('keeps its data over a crash and a restart, on the same port', async () => {
  const redis = await started({ appendfsync: 'always' });
  const client = connected(redis.url);
  await client.set('kept', 'yes');
  const firstPid = redis.pid();
  await redis.kill();
  expect(isAlive(firstPid)).toBe(false);
  await redis.restart();
  expect(await client.get('kept')).toBe('yes');
  await redis.restart();
  expect(await client.get('kept')).toBe('yes');
  expect(redis.pid()).not.toBe(firstPid);
});

test('leaves no process and no folder when it is stopped', async () => {
  const redis = await startPrivateRedis();
  expect(existsSync(redis.dir)).toBe(true);
  await redis.stop();
  expect(isAlive(redis.pid())).toBe(false);
  expect(existsSync(redis.dir)).toBe(false);
});

test('keeps a folder that the caller gave', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'postlane-test-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const redis = await startPrivateRedis({ dir });
  await redis.stop();
  expect(readdirSync(dir)).toContain('appendonlydir');
});

test('reports that the given port is in use', async () => {
  const taken = createServer((socket) => socket.destroy());
  taken.listen(0, '127.0.0.1');
  await once(taken, 'listening');
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as AddressInfo;
  await expect(startPrivateRedis({ port })).rejects.toThrow(`Redis did not start on port ${port}`);
});

test('never takes another Redis for its own', async () => {
  const other = await started();
  await expect(startPrivateRedis({ port: other.port })).rejects.toThrow('Redis did not start');
});

test.each(['SIGKILL', 'SIGTERM'] as const)(
  'ends with the process that started it, even if %s kills that one',
  async (signal) => {
    const program = `
    import { startPrivateRedis } from '${join(root, 'testkit/redis.ts')}';
    const redis = await startPrivateRedis();
    console.log(JSON.stringify({ pid: redis.pid(), dir: redis.dir }));
    setInterval(() => {}, 1000);`;
    const node = nodeFor(root, { development: true });
    const starter = spawn(node, ['--input-type=module', '--eval', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(starter.stdout, 'data')) as [Buffer];
    const { pid, dir } = JSON.parse(line.toString()) as { pid: number; dir: string };
    expect(isAlive(pid)).toBe(true);
    starter.kill(signal);
    await until(() => !isAlive(pid) && !existsSync(dir), { what: 'the end of the server and its folder' });
  },
);

describe('the keys of a test', () => {
  const stranger = '{t-stranger}:key';
  const prefixes: string[] = [];

  test('have a prefix of their own', async () => {
    prefixes.push(testPrefix(), testPrefix());
    const [mine, other] = prefixes;
    expect(mine).not.toBe(other);
    await testConnection().mset(`${mine}:a`, '1', `${mine}:b`, '1', `${other}:a`, '1', stranger, '1');
  });

  test('are deleted before the next test starts, and no other keys are', async () => {
    const client = testConnection();
    expect(prefixes).toHaveLength(2);
    for (const prefix of prefixes) expect(await client.keys(`${prefix}*`)).toEqual([]);
    expect(await client.getdel(stranger)).toBe('1');
  });
});

test('waiting ends with an error that says for what, and what was seen last', async () => {
  await expect(until(() => 0, { what: 'a number', timeoutMs: 20 })).rejects.toThrow(
    'waited 20 ms for a number; last value: 0',
  );
  const failing = () => {
    throw new Error('not there');
  };
  await expect(until(failing, { what: 'a file', timeoutMs: 20 })).rejects.toThrow('last error: Error: not there');
});
