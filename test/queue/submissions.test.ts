/** What processes that take mail by SMTP share in Redis. */
import { expect, test } from 'vitest';
import { openSubmissionStore } from '../../src/admin/submissions.ts';
import type { EncryptionOptions } from '../../src/sealing/sealing.ts';
import { networkOf } from '../../src/queue/submissions.ts';
import { onTestFinished } from 'vitest';
import { redisUrl, shardCount, testConnection, testPrefix } from '../support/redis.ts';

function store() {
  const redis = { url: redisUrl(), prefix: testPrefix(), shards: shardCount() };
  const opened = openSubmissionStore({ redis, timeoutMs: 20_000 });
  onTestFinished(() => opened.close());
  return { ...opened, prefix: redis.prefix };
}

test('a claim is of the first, until it ends', async () => {
  const here = store();
  expect(await here.claim('hash', 'one', 60_000)).toBe('one');
  expect(await here.claim('hash', 'two', 60_000)).toBe('one');
  expect(await here.claim('other', 'two', 60_000)).toBe('two');
  const left = await testConnection().pttl(`${here.prefix}:idempotency:hash`);
  expect(left).toBeGreaterThan(30_000);
});

test('with keys, a claim stands under a keyed hash, and one from before a rotation, or from before there were keys, still counts', async () => {
  const [k1, k2] = [1, 2].map((byte) => Buffer.alloc(32, byte).toString('base64')) as [string, string];
  const redis = { url: redisUrl(), prefix: testPrefix(), shards: shardCount() };
  const openWith = (encryption: EncryptionOptions | null) => {
    const opened = openSubmissionStore({ redis, timeoutMs: 20_000, encryption });
    onTestFinished(() => opened.close());
    return opened;
  };
  const plain = openWith(null);
  const old = openWith({ active: 'k1', keys: { k1 } });
  const fresh = openWith({ active: 'k2', keys: { k1, k2 } });
  expect(await old.claim('hash', 'one', 60_000)).toBe('one');
  expect(await old.claim('hash', 'two', 60_000)).toBe('one');
  expect(await fresh.claim('hash', 'three', 60_000)).toBe('one');
  expect(await testConnection().exists(`${redis.prefix}:idempotency:hash`)).toBe(0);
  expect(await plain.claim('before', 'four', 60_000)).toBe('four');
  expect(await fresh.claim('before', 'five', 60_000)).toBe('four');
});

test('many at once get the same claim', async () => {
  const here = store();
  const claims = await Promise.all(Array.from({ length: 50 }, (_, i) => here.claim('hash', `${i}`, 60_000)));
  expect(new Set(claims).size).toBe(1);
});

test('of attempts to log in, those that succeed do not count', async () => {
  const here = store();
  const login = { user: 'erp', address: '192.0.2.1' };
  for (let i = 0; i < 30; i += 1) {
    expect(await here.attempt(login)).toBe(true);
    await here.succeeded(login);
  }
  for (let i = 0; i < 10; i += 1) expect(await here.attempt(login)).toBe(true);
  expect(await here.attempt(login)).toBe(false);
  expect(await here.attempt({ ...login, user: 'other' })).toBe(false);
  const left = await testConnection().keys(`${here.prefix}:login:*`);
  for (const key of left) expect(await testConnection().pttl(key)).toBeGreaterThan(0);
});

test('an IPv6 client is its network of 64 bits, an IPv4 client its address', () => {
  expect(
    ['2001:db8:0:1::9', '2001:DB8::1:2:3:4:5', '2001:0db8:0000:0001:ffff::', '::1', '192.0.2.1'].map(networkOf),
  ).toEqual(['2001:db8:0:1::/64', '2001:db8:0:1::/64', '2001:db8:0:1::/64', '0:0:0:0::/64', '192.0.2.1']);
});

test('what stands in Redis under our names and is not ours does not harm the report', async () => {
  const here = store();
  const redis = testConnection();
  await redis.hset(`${here.prefix}:submission:counts`, { 'erp accepted': 'x', 'erp refused': '2', '__proto__ x': '1' });
  await redis.hset(`${here.prefix}:submission:last`, { erp: '{"at":"never"', 'erp refused': '[]' });
  expect((await here.report()).find(({ user }) => user === 'erp')).toEqual({
    user: 'erp',
    counts: { accepted: 0, refused: 2 },
    last: null,
  });
});
