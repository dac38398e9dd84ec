/** The dashboard in a browser, where there is one: what is live, a second tab, a session that ends, Redis away. */
import { expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { until } from '../../../testkit/until.ts';
import { chromium, openAs, urlOf } from '../../support/browser.ts';
import { serveApi, type ServedApi } from '../../support/http-server.ts';
import { ownRedis } from '../../support/own-redis.ts';

const evil = '<img src=x onerror="document.title=1"><script>document.title=1</script>';
const timeout = 60_000;

async function live(page: Page): Promise<void> {
  await until(async () => (await page.textContent('.live')) === 'Live', { what: 'a live page' });
}

/** Whether the page is still the one that was loaded. */
async function mark(page: Page): Promise<() => Promise<boolean>> {
  await page.evaluate('window.same = true');
  return async () => (await page.evaluate('window.same')) === true;
}

async function pause(page: Page, api: ServedApi, reason: string): Promise<void> {
  await page.goto(`${urlOf(api)}/ui/connectors/relay`);
  await page.click('[data-dialog="d-pause"]');
  await page.fill('#p-why', reason);
  await page.click('#d-pause button.primary');
  await page.waitForSelector('text=relay is paused for 2 hours.');
}

test.skipIf(chromium === null)(
  'a connector is paused in a dialog, and a second tab and another window show it without a reload',
  { timeout },
  async () => {
    const api = await serveApi();
    const [one, two] = [await openAs(api), await openAs(api)];
    const tab = await one.context.newPage();
    const others = [tab, two.page];
    for (const page of others) await page.goto(`${urlOf(api)}/ui/connectors/relay`);
    await Promise.all(others.map(live));
    const same = await Promise.all(others.map(mark));
    await pause(one.page, api, 'a test in a browser');
    for (const page of others) await page.waitForSelector('text=a test in a browser', { timeout: 30_000 });
    expect(await Promise.all(same.map((each) => each()))).toEqual([true, true]);
  },
);

test.skipIf(chromium === null)(
  'what is typed in one tab is not lost while the other acts, and its form still counts',
  { timeout },
  async () => {
    const api = await serveApi();
    const { page, context } = await openAs(api);
    const tab = await context.newPage();
    await tab.goto(`${urlOf(api)}/ui/connectors/relay`);
    await live(tab);
    await tab.click('[data-dialog="d-test"]');
    await tab.fill('#t-to', 'half-typed@example.net');
    const same = await mark(tab);
    await pause(page, api, 'from the first tab');
    await until(async () => (await tab.textContent('.side'))?.includes('1') === true, {
      what: 'the count of what is held up',
    });
    expect(await tab.inputValue('#t-to')).toBe('half-typed@example.net');
    expect(await same()).toBe(true);
    await tab.fill('#t-from', 'a@example.com');
    await tab.click('#d-test button.primary');
    await tab.waitForSelector('text=The test message is on its way');
  },
);

test.skipIf(chromium === null)(
  'who signs out in one tab is signed out in the other, whose open form is refused after the next sign-in',
  { timeout },
  async () => {
    const api = await serveApi({ tokens: [{ id: 'second', scopes: ['admin'] }] });
    const { page, context } = await openAs(api);
    const tab = await context.newPage();
    await tab.goto(`${urlOf(api)}/ui/connectors/relay`);
    await tab.click('[data-dialog="d-pause"]');
    await tab.fill('#p-why', 'from the session before');
    await page.click('text=Sign out >> visible=true');
    await page.waitForURL(/\/ui\/login/);
    await page.fill('#token', api.tokens.get('second')!);
    await page.click('button.primary');
    await page.waitForSelector('#main');
    await tab.click('#d-pause button.primary');
    await tab.waitForSelector('text=The form is of another session');
    expect((await api.ask('/v1/connectors/relay')).body.paused).toBe(false);
  },
);

test.skipIf(chromium === null)('an event appears on the page of events as text', { timeout }, async () => {
  const api = await serveApi();
  const { page } = await openAs(api);
  await page.goto(`${urlOf(api)}/ui/events`);
  await live(page);
  await api.post('/v1/connectors/relay/pause', { reason: evil });
  await page.waitForSelector('#stream tbody tr');
  expect(await page.textContent('#stream tbody tr')).toContain('paused');
  const mark = (): Promise<string | null> => page.getAttribute('#stream tbody tr .st', 'class');
  const marked = await mark();
  await page.reload();
  await page.waitForSelector('#stream tbody tr');
  expect(await mark()).toBe(marked);
  expect(await page.textContent('#stream tbody tr')).toContain('paused');
  expect(await page.locator('#stream tbody img').count()).toBe(0);
});

test.skipIf(chromium === null)(
  'a session that ends while a page is open leads to the log-in, and from there back',
  { timeout },
  async () => {
    const api = await serveApi({ tokens: [{ id: 'short', scopes: ['viewer'] }] });
    const { page } = await openAs(api, {}, 'short');
    await page.goto(`${urlOf(api)}/ui/connectors`);
    api.here.write('postlane.yaml', api.config([]));
    api.serve.child.kill('SIGHUP');
    await page.waitForURL(/\/ui\/login\?next=%2Fui%2Fconnectors&ended=1/, { timeout: 30_000 });
    await page.fill('#token', api.tokens.get('all')!);
    await page.click('button.primary');
    await page.waitForURL(/\/ui\/connectors$/);
    expect(await page.textContent('.who')).toBe('all');
  },
);

test.skipIf(chromium === null)(
  'Redis away while a page is open: it says so, keeps what it shows, and comes back by itself',
  { timeout: 120_000 },
  async () => {
    const redis = await ownRedis();
    const api = await serveApi({ env: { REDIS_URL: redis.url } });
    const { page, context } = await openAs(api);
    await page.goto(`${urlOf(api)}/ui/connectors`);
    await live(page);
    const same = await mark(page);
    await redis.kill();
    // A page that is opened meanwhile says it in words.
    const tab = await context.newPage();
    await tab.goto(`${urlOf(api)}/ui/messages`);
    await tab.waitForSelector('text=Redis cannot be reached');
    expect(await tab.textContent('body')).toContain('Nothing is lost');
    await until(async () => (await page.textContent('.live')) === 'Redis is unreachable', {
      what: 'the page to say so',
      timeoutMs: 40_000,
    });
    expect(await page.textContent('#main')).toContain('relay');
    await redis.restart();
    await until(async () => (await page.textContent('.live')) === 'Live', {
      what: 'the page to be back',
      timeoutMs: 40_000,
    });
    expect(await same()).toBe(true);
    await tab.waitForSelector('text=There are no messages yet.', { timeout: 40_000 });
  },
);
