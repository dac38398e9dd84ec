/** Least privilege: with exactly the users of deploy/redis-users.acl everything works, nothing is refused, and little else is allowed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { startPrivateRedis } from '../../../testkit/redis.ts';
import type { RedisSettings } from '../../../src/queue/redis/settings.ts';
import { journey, untroubled } from '../../support/redis-journey.ts';
import { ownCluster } from '../../support/own-redis.ts';
import { textOf } from '../../support/source.ts';

/** The deployed file, with an administrator besides, who stays away until the server is up. */
function aclFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-acl-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const users = textOf('deploy/redis-users.acl').replace(/^user default off\n/m, '');
  const file = join(folder, 'users.acl');
  writeFileSync(file, `${users}user default on nopass ~* &* +@all\nuser admin on nopass ~* &* +@all\n`);
  return file;
}

const refused = async (admin: Redis): Promise<unknown[]> => {
  const entries = (await admin.acl('LOG', 100)) as unknown[][];
  return entries.map((row) => row.slice(0, 10).join(' '));
};

const as = (role: string, servers: RedisSettings): RedisSettings => ({
  ...servers,
  username: `postlane-${role}`,
  password: `change-me-${role}`,
});

async function serverWithUsers() {
  const server = await startPrivateRedis({ settings: ['--aclfile', aclFile()] });
  onTestFinished(() => server.stop());
  const admin = new Redis(server.port, '127.0.0.1', { username: 'admin', password: 'any' });
  onTestFinished(() => admin.disconnect());
  await admin.acl('SETUSER', 'default', 'off');
  return { admin, redis: { url: server.url }, port: server.port };
}

test('a single server with these users carries everything, and refuses nothing', async () => {
  const { admin, redis } = await serverWithUsers();
  expect(
    await journey({
      prefix: '{postlane}',
      producer: as('producer', redis),
      worker: as('worker', redis),
      operator: as('operator', redis),
    }),
  ).toEqual(untroubled);
  expect(await refused(admin)).toEqual([]);
});

test('a Cluster with these users carries everything, and refuses nothing', async () => {
  const { urls, nodes } = await ownCluster(['--aclfile', aclFile()]);
  const redis = { cluster: { nodes: urls } };
  expect(
    await journey({
      prefix: '{postlane}',
      shards: 3,
      acknowledge: { replicas: 1 },
      producer: as('producer', redis),
      worker: as('worker', redis),
      operator: as('operator', redis),
    }),
  ).toEqual(untroubled);
  for (const { admin } of nodes) expect(await refused(admin)).toEqual([]);
});

const forbidden: Readonly<Record<string, readonly (readonly string[])[]>> = {
  producer: [
    ['FLUSHALL'],
    ['CONFIG', 'GET', '*'],
    ['KEYS', '*'],
    ['SCAN', '0'],
    ['CLIENT', 'KILL', 'ID', '1'],
    ['ACL', 'LIST'],
    ['GET', '{postlane}:content:x'],
    ['HGETALL', '{postlane}:dead:x'],
    ['ZRANGE', '{postlane}:ready', '0', '-1'],
    ['SET', 'other', 'x'],
    ['SUBSCRIBE', '{postlane}:wake'],
  ],
  worker: [
    ['FLUSHDB'],
    ['CONFIG', 'SET', 'appendonly', 'no'],
    ['GET', 'other'],
    ['SCRIPT', 'FLUSH'],
    ['SHUTDOWN'],
    ['SUBSCRIBE', 'other'],
  ],
  operator: [['FLUSHDB'], ['REPLICAOF', 'NO', 'ONE'], ['HGETALL', 'other'], ['MONITOR']],
};

test.each(Object.keys(forbidden))('the %s may do nothing but its work', async (role) => {
  const { port } = await serverWithUsers();
  const { username, password } = as(role, { url: '' });
  const client = new Redis(port, '127.0.0.1', { username: username!, password: password! });
  onTestFinished(() => client.disconnect());
  for (const [command = '', ...args] of forbidden[role]!) {
    await expect(client.call(command, ...args)).rejects.toThrow(/^NOPERM/);
  }
});
