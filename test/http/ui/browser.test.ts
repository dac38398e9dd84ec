/** The dashboard in a browser, where there is one: every page for everyone, what is live, what is hostile, and a session that ends. */
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { expect, onTestFinished, test } from 'vitest';
import { findChromium, openDashboard, startBrowser, type Look } from '../../../testkit/browser.ts';
import { until } from '../../../testkit/until.ts';
import { serveApi, type ServedApi } from '../../support/http-server.ts';
import { plantDead } from '../../support/operators.ts';

const chromium = findChromium();
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const evil = '<img src=x onerror="document.title=1"><script>document.title=1</script>';

async function open(api: ServedApi, look: Partial<Look> = {}, as = 'all'): Promise<Page> {
  const browser = await startBrowser(chromium!);
  onTestFinished(() => browser.close());
  const whole = { width: 1_600, height: 1_000, scheme: 'light', ...look } as const;
  const { page } = await openDashboard(browser, urlOf(api), api.tokens.get(as)!, whole);
  return page;
}

function urlOf({ port }: ServedApi): string {
  return `http://localhost:${port}`;
}

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string }[];
}

/** The policy of the page lets no other script in; the debugger puts it there. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const found = await page.evaluate<readonly Violation[]>('axe.run().then(({ violations }) => violations)');
  return found.map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 200)}`);
}

async function filled(): Promise<ServedApi> {
  const broken = '{ direction: outgoing, smtp: { host: 127.0.0.1, port: 1, security: none } }';
  const api = await serveApi({ others: { broken } });
  await plantDead(api.prefix, [{}, {}, { reply: `550 ${evil}`, id: 'hostile' }]);
  await api.post('/v1/messages', {
    id: 'later',
    from: 'a@example.com',
    to: ['zoe@example.net', 'b@example.net'],
    subject: evil,
    text: evil,
    html: evil,
    metadata: { order: evil },
    sendAt: new Date(Date.now() + 3_600_000).toISOString(),
  });
  await api.post('/v1/connectors/relay/pause', { reason: evil, for: '2h' });
  return api;
}

const paths = [
  '/ui/',
  '/ui/connectors',
  '/ui/connectors/relay',
  '/ui/messages',
  '/ui/messages?q=none%40example.net',
  '/ui/messages/later',
  '/ui/messages/hostile',
  '/ui/dead-letters',
  '/ui/dead-letters?view=list',
  '/ui/operations',
  '/ui/routes?from=a%40example.com',
  '/ui/events',
  '/ui/audit',
  '/ui/nothing',
];

for (const look of [
  { width: 1_600, height: 1_000, scheme: 'light' },
  { width: 400, height: 860, scheme: 'dark' },
] as const) {
  test.skipIf(chromium === null)(
    `axe finds nothing on any page at ${look.width} pixels, ${look.scheme}, none is wider than the window, and no script of a stranger runs`,
    { timeout: 90_000 },
    async () => {
      const api = await filled();
      const page = await open(api, look);
      const complaints: string[] = [];
      const found: unknown[] = [];
      page.on('console', (message) => void (message.type() === 'error' && complaints.push(message.text())));
      page.on('pageerror', (error) => complaints.push(error.message));
      for (const path of paths) {
        await page.goto(urlOf(api) + path);
        found.push(...(await violations(page)).map((each) => `${path}: ${each}`));
        const width = await page.evaluate<number>('document.documentElement.scrollWidth');
        if (width !== look.width) found.push(`${path} is ${width} pixels wide`);
        expect(await page.title()).toContain('· Postlane');
      }
      expect(found).toEqual([]);
      // The page that is not there says so with its status.
      expect(complaints.filter((text) => !text.includes('404'))).toEqual([]);
    },
  );
}

test.skipIf(chromium === null)(
  'a connector is paused in a dialog, and another window shows it without a reload',
  { timeout: 60_000 },
  async () => {
    const api = await serveApi();
    const [one, two] = [await open(api), await open(api)];
    await two.goto(`${urlOf(api)}/ui/connectors/relay`);
    await until(async () => (await two.textContent('.live')) === 'Live', { what: 'a live page' });
    await two.evaluate('window.same = true');
    await one.goto(`${urlOf(api)}/ui/connectors/relay`);
    await one.click('[data-dialog="d-pause"]');
    await one.fill('#p-why', 'a test in a browser');
    await one.click('#d-pause button.primary');
    await one.waitForSelector('text=relay is paused for 2 hours.');
    await two.waitForSelector('text=a test in a browser', { timeout: 20_000 });
    expect(await two.evaluate('window.same')).toBe(true);
  },
);

test.skipIf(chromium === null)('an event appears on the page of events as text', { timeout: 60_000 }, async () => {
  const api = await serveApi();
  const page = await open(api);
  await page.goto(`${urlOf(api)}/ui/events`);
  await until(async () => (await page.textContent('.live')) === 'Live', { what: 'a live page' });
  await api.post('/v1/connectors/relay/pause', { reason: evil });
  await page.waitForSelector('#stream tbody tr');
  expect(await page.textContent('#stream tbody tr')).toContain('paused');
  expect(await page.locator('#stream tbody img').count()).toBe(0);
});

test.skipIf(chromium === null)(
  'a session that ends while a page is open leads to the log-in, and from there back',
  { timeout: 60_000 },
  async () => {
    const api = await serveApi({ tokens: [{ id: 'short', scopes: ['viewer'] }] });
    const page = await open(api, {}, 'short');
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
  'the HTML of a message is shown in a frame that runs nothing and loads nothing',
  { timeout: 60_000 },
  async () => {
    const api = await filled();
    const page = await open(api);
    await page.goto(`${urlOf(api)}/ui/messages/later`);
    await page.click('text=Show content');
    await page.waitForSelector('iframe.mail');
    expect(await page.title()).toBe('Content · Postlane');
    expect(await page.getAttribute('iframe.mail', 'sandbox')).toBe('');
  },
);
