/** Pages over many connectors and dead letters: what they cost is counted, as a clock says nothing on a busy machine. */
import type { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { signIn, wordsOf } from '../../support/dashboard.ts';
import { serveApi } from '../../support/http-server.ts';
import { plantDead } from '../../support/operators.ts';
import { ownRedis } from '../../support/own-redis.ts';

/** Calls of Redis since the last question. */
async function callsOf(admin: Redis): Promise<number> {
  const calls = [...(await admin.info('commandstats')).matchAll(/^cmdstat_(?!config|info)[\w|]+:calls=(\d+)/gm)];
  await admin.config('RESETSTAT');
  return calls.reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Scripts, each with the calls within it. */
async function scriptsOf(admin: Redis): Promise<number> {
  const stats = await admin.info('commandstats');
  await admin.config('RESETSTAT');
  return Number(/^cmdstat_evalsha(?:_ro)?:calls=(\d+)/m.exec(stats)?.[1] ?? 0);
}

test(
  'groups of 30,000 dead letters read those of 10,000, and of all on request; the page stays small',
  { timeout: 180_000 },
  async () => {
    const redis = await ownRedis({ appendfsync: 'no' });
    const api = await serveApi({ env: { REDIS_URL: redis.url } });
    const letters = Array.from({ length: 30_000 }, (_, n) => ({ connector: `c${n % 20}` }));
    await plantDead(api.prefix, letters, 0, redis.admin);
    const visitor = await signIn(api);
    await scriptsOf(redis.admin);
    const page = await visitor.get('/ui/dead-letters');
    const scripts = await scriptsOf(redis.admin);
    expect(scripts).toBeLessThan(10_000 / 500 + 15);
    expect(page.text.length).toBeLessThan(150_000);
    expect(wordsOf(page)).toContain('Among the newest 10,000: 10,000 messages to 10,000 recipients in 20 groups');
    // A filter that fits none reads no more.
    const none = await visitor.get('/ui/dead-letters?reason=expired');
    expect(await scriptsOf(redis.admin)).toBeLessThan(10_000 / 500 + 15);
    expect(wordsOf(none)).toContain('None of the newest 10,000 dead letters fits the filter. Look through all of them');
    expect(wordsOf(await visitor.get('/ui/dead-letters?reason=expired&all=1'))).toContain(
      'No dead letter fits the filter.',
    );
    expect(wordsOf(await visitor.get('/ui/dead-letters?all=1'))).toContain(
      '30,000 messages to 30,000 recipients in 20 groups',
    );
    await scriptsOf(redis.admin);
    const list = await visitor.get('/ui/dead-letters?view=list');
    expect(await scriptsOf(redis.admin)).toBeLessThan(15);
    expect(list.text.length).toBeLessThan(100_000);
    const overview = await visitor.get('/ui/');
    expect(overview.text.length).toBeLessThan(60_000);
    expect(wordsOf(overview)).toContain('Dead letters the newest 2,000');
  },
);

test(
  'of 1,200 connectors a page has 100, and costs Redis no more than those of 400',
  { timeout: 120_000 },
  async () => {
    const cost = async (count: number): Promise<readonly [number, number]> => {
      const redis = await ownRedis({ appendfsync: 'no' });
      const one = '{ direction: outgoing, smtp: { host: 127.0.0.1, port: 1, security: none } }';
      const others = Object.fromEntries(Array.from({ length: count }, (_, n) => [`c${n}`, one]));
      const api = await serveApi({ others, env: { REDIS_URL: redis.url } });
      const visitor = await signIn(api);
      await visitor.get('/ui/connectors');
      await callsOf(redis.admin);
      const page = await visitor.get('/ui/connectors');
      expect(wordsOf(page)).toContain(`100 of ${(count + 1).toLocaleString('en')}`);
      return [await callsOf(redis.admin), page.text.length];
    };
    const [few, many] = [await cost(400), await cost(1_200)];
    expect(many[0]).toBeLessThan(few[0] * 1.5);
    expect(many[1]).toBeLessThan(few[1] * 1.1);
    expect(many[1]).toBeLessThan(300_000);
  },
);
