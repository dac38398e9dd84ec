/** The suppression list in Redis: canonical addresses, ends, pages, bounds. */
import { expect, test } from 'vitest';
import { openQueues } from '../../src/queue/open.ts';
import type { NewSuppression } from '../../src/queue/suppressions.ts';
import { shardCount, testConnection, testPrefix } from '../support/redis.ts';

const entry = (address: string, change: Partial<NewSuppression> = {}): NewSuppression => ({
  address,
  reason: null,
  origin: 'operator',
  by: 'someone@here',
  until: null,
  ...change,
});

function opened() {
  const redis = testConnection();
  const prefix = testPrefix();
  return { redis, prefix, ...openQueues(redis, { prefix, shards: shardCount() }) };
}

test('an address is one entry in every letter case and form of its domain; a sub-address is another', async () => {
  const { suppressions } = opened();
  expect(await suppressions.add(entry('Zoë@BÜCHER.example', { reason: 'asked for it' }))).toBe('added');
  expect(await suppressions.add(entry('zoë@xn--bcher-kva.example', { reason: 'again' }))).toBe('replaced');
  expect(await suppressions.count()).toBe(1);
  const asked = ['ZOË@bücher.example', 'zoë+news@bücher.example', 'zoë@bucher.example', 'toString@x.example'];
  const found = await suppressions.among(asked, Date.now());
  expect([...found!.keys()]).toEqual(['ZOË@bücher.example']);
  expect(found!.get('ZOË@bücher.example')).toMatchObject({ address: 'zoë@xn--bcher-kva.example', reason: 'again' });
  expect(await suppressions.remove('zoë@Bücher.example')).toMatchObject({ reason: 'again', by: 'someone@here' });
  expect(await suppressions.remove('zoë@Bücher.example')).toBeNull();
});

test('an entry counts until its end, and is removed after it', async () => {
  const { suppressions } = opened();
  const now = Date.now();
  await suppressions.add(entry('a@x.example', { until: now + 60_000 }));
  await suppressions.add(entry('b@x.example'));
  const both = ['a@x.example', 'b@x.example'];
  expect([...(await suppressions.among(both, now))!.keys()]).toEqual(both);
  expect([...(await suppressions.among(both, now + 60_000))!.keys()]).toEqual(['b@x.example']);
  expect(await suppressions.trim(now + 59_000)).toBe(0);
  expect(await suppressions.trim(now + 60_000)).toBe(1);
  expect(await suppressions.get('a@x.example')).toBeNull();
  await suppressions.remove('b@x.example');
  expect(await suppressions.among(both, now)).toBeNull();
});

test('an entry that ends later, or never, is not made shorter by a bounce', async () => {
  const { suppressions } = opened();
  const day = 86_400_000;
  const [soon, late] = [Date.now() + day, Date.now() + 2 * day];
  const bounce = (until: number | null) =>
    suppressions.add(entry('a@x.example', { origin: 'bounce', until }), 'longer');
  expect(await bounce(soon)).toBe('added');
  expect(await bounce(late)).toBe('replaced');
  expect(await bounce(soon)).toBe('kept');
  expect(await suppressions.add(entry('a@x.example'))).toBe('replaced');
  expect(await bounce(late)).toBe('kept');
  expect(await suppressions.get('a@x.example')).toMatchObject({ origin: 'operator', until: null });
  expect(await suppressions.add(entry('a@x.example', { until: soon }))).toBe('replaced');
  expect(await suppressions.get('a@x.example')).toMatchObject({ until: soon });
});

test('the list is read page by page, by prefix and by origin', async () => {
  const { suppressions } = opened();
  for (let nth = 0; nth < 12; nth += 1) {
    const origin = nth % 2 === 0 ? 'import' : 'operator';
    await suppressions.add(entry(`n${String(nth).padStart(2, '0')}@x.example`, { origin }));
  }
  await suppressions.add(entry('other@x.example'));
  const first = await suppressions.list({ prefix: 'n', limit: 5 });
  expect(first.items.map(({ address }) => address.slice(0, 3))).toEqual(['n00', 'n01', 'n02', 'n03', 'n04']);
  const rest = await suppressions.list({ prefix: 'n', limit: 50, after: first.next });
  expect(rest.items).toHaveLength(7);
  expect(rest.next).toBeNull();
  expect((await suppressions.list({ origin: 'import', limit: 50 })).items).toHaveLength(6);
  const exact = await suppressions.list({ prefix: 'n', limit: 12 });
  expect([exact.items.length, exact.next]).toEqual([12, null]);
});

test('a message to 10,000 recipients is looked up at once', async () => {
  const { suppressions } = opened();
  await suppressions.add(entry('r9999@x.example'));
  const asked = Array.from({ length: 10_000 }, (_, nth) => `r${nth}@x.example`);
  expect([...(await suppressions.among(asked, Date.now()))!.keys()]).toEqual(['r9999@x.example']);
});

test('an entry that is damaged still suppresses', async () => {
  const { suppressions, redis, keys } = opened();
  await redis.hset(keys.suppressions, 'a@x.example', 'nonsense');
  expect((await suppressions.among(['a@x.example'], Date.now()))!.has('a@x.example')).toBe(true);
});

test('every shard is told that there is a list', async () => {
  const redis = testConnection();
  const prefix = testPrefix();
  const { suppressions, shards } = openQueues(redis, { prefix, shards: 3 });
  await suppressions.add(entry('a@x.example'));
  for (const { suppressions: key } of shards.all) expect(await redis.exists(key)).toBe(1);
  const more = openQueues(redis, { prefix, shards: 4 });
  expect(await redis.exists(more.shards.all[3]!.suppressions)).toBe(0);
  await more.suppressions.mark();
  expect(await redis.exists(more.shards.all[3]!.suppressions)).toBe(1);
});
