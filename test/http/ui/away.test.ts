/** Redis away: each page says so, in words and with its status, and comes back with it. */
import { expect, test } from 'vitest';
import { until } from '../../../testkit/until.ts';
import { signIn, wordsOf } from '../../support/dashboard.ts';
import { serveApi } from '../../support/http-server.ts';
import { ownRedis } from '../../support/own-redis.ts';

const paths = [
  '/ui/',
  '/ui/connectors',
  '/ui/connectors/relay',
  '/ui/messages',
  '/ui/messages?q=zoe%40example.net',
  '/ui/messages/an-id',
  '/ui/dead-letters',
  '/ui/dead-letters?view=list',
  '/ui/operations',
  '/ui/events',
  '/ui/webhooks',
  '/ui/submission',
  '/ui/audit',
];

test(
  'while Redis is away, each page says so and nothing is done; it is back with Redis',
  { timeout: 120_000 },
  async () => {
    const redis = await ownRedis();
    const api = await serveApi({ env: { REDIS_URL: redis.url } });
    const visitor = await signIn(api);
    const csrf = await visitor.csrf();
    expect((await visitor.get('/ui/')).status).toBe(200);
    await redis.kill();
    // The state of the fleet is remembered for two seconds.
    await until(async () => (await visitor.get('/ui/')).status === 503, { what: 'the page to notice' });
    const answers: unknown[] = [];
    for (const path of paths) {
      const page = await visitor.get(path);
      answers.push([path, page.status, page.text.includes('data-away'), wordsOf(page).slice(0, 60)]);
    }
    const away = expect.stringContaining('Redis cannot be reached');
    expect(answers).toEqual(paths.map((path) => [path, 503, true, away]));
    // What needs no Redis is there.
    expect(wordsOf(await visitor.get('/ui/routes?from=a%40example.com'))).toContain('relay sends for it');
    const sent = await visitor.post('/ui/connectors/relay/pause', { reason: 'r', csrf });
    const told = sent.status === 303 ? await visitor.get(String(sent.headers['location'])) : sent;
    expect(wordsOf(told)).toMatch(/Redis cannot be reached|Not done/);
    await redis.restart();
    await until(async () => (await visitor.get('/ui/')).status === 200, { what: 'the dashboard', timeoutMs: 60_000 });
    for (const path of paths) expect([200, 404]).toContain((await visitor.get(path)).status);
    expect((await api.ask('/v1/connectors/relay')).body.paused).toBe(false);
  },
);
