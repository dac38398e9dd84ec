/** Redis is out of memory under `noeviction`: it refuses every write, and takes them again once it has room. */
import { expect, test } from 'vitest';
import { allOnce, allSent } from '../support/accounting.ts';
import { ownRedis } from '../support/own-redis.ts';
import { backlogThrough, resultThrough, type RefusingRedis } from '../support/refused-writes.ts';
import { until } from '../../testkit/until.ts';

async function smallRedis(): Promise<RefusingRedis> {
  const { url, admin } = await ownRedis();
  return {
    url,
    prefix: '{full}',
    async refuse() {
      // Less than an empty Redis needs: from now on every write that may grow is refused.
      await admin.config('SET', 'maxmemory', '1000');
      await expect(admin.set('more', 'x')).rejects.toThrow(/^OOM/);
    },
    restore: () => admin.config('SET', 'maxmemory', '0'),
  };
}

test('a full Redis refuses new messages with a typed error and loses none of those it has; workers go on without help', async () => {
  const result = await backlogThrough(await smallRedis(), {
    count: 600,
    refusal: { code: 'redis-refused' },
    async meanwhile(worker) {
      const refused = (where: string) => worker.of('error').filter((each) => each['where'] === where).length;
      const [rounds, fetches] = [refused('maintenance'), refused('intake')];
      await until(() => refused('maintenance') >= rounds + 5, { what: 'five more rounds of maintenance' });
      // Fifty were under way; a fetch that is refused pauses for a second, and does not repeat as fast as Redis can refuse.
      expect(refused('intake') - fetches).toBeLessThan(100);
    },
  });
  expect(result).toMatchObject(allSent(621));
});

test('a result that comes while Redis is full is kept until it can be written: one copy', async () => {
  expect(await resultThrough(await smallRedis())).toEqual({ ...allOnce(1), attempts: 1 });
});
