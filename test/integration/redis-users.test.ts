/** Least privilege: with exactly the users of deploy/redis-users.acl everything works, nothing is refused, and little else is allowed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { startPrivateRedis } from '../../scripts/redis.ts';
import type { RedisSettings } from '../../src/queue/redis-settings.ts';
import { journey } from '../support/redis-journey.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { textOf } from '../support/source.ts';

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

test('a single server with these users carries everything, and refuses nothing', async () => {
  const server = await startPrivateRedis({ settings: ['--aclfile', aclFile()] });
  onTestFinished(() => server.stop());
  const admin = new Redis(server.port, '127.0.0.1', { username: 'admin', password: 'any' });
  onTestFinished(() => admin.disconnect());
  await admin.acl('SETUSER', 'default', 'off');
  const redis = { url: server.url };
  try {
  await journey({
    prefix: '{postlane}',
    producer: as('producer', redis),
    worker: as('worker', redis),
    operator: as('operator', redis),
  });
  } finally { console.log(await refused(admin)); console.log((await admin.info('commandstats')).split('\r\n').map((l) => l.replace(/:.*?calls=(\d+).*/, ' $1').replace('cmdstat_', '')).join(',')); }
  expect(await refused(admin)).toEqual([]);
});
