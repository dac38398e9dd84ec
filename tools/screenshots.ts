/**
 * Takes a picture of every page of the dashboard, at 400 and 1,600 pixels, light and dark: of the example set of the quick start, with a
 * connector that is paused, one that cannot be reached, scheduled messages and a replay that is under way.
 *
 * npm run -s screenshots -- [FOLDER]
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Page } from 'playwright-core';
import { createProducer } from '../src/producer/producer.ts';
import { findChromium, openDashboard, startBrowser } from '../testkit/browser.ts';
import { createDisposables } from '../testkit/disposables.ts';
import { until } from '../testkit/until.ts';
import { exampleSet } from './quickstart/messages.ts';
import { createScreen } from './quickstart/report.ts';
import { startAll, type Setup } from './quickstart/setup.ts';

const messages = 200;
const widths = [
  { width: 400, height: 860 },
  { width: 1_600, height: 1_000 },
] as const;
const hourMs = 3_600_000;

const folder = resolve(process.argv[2] ?? 'screenshots');
process.exitCode = await main();

async function main(): Promise<number> {
  const chromium = findChromium();
  if (chromium === null) {
    process.stderr.write('There is no Chromium: install it, for instance with apt-get install chromium.\n');
    return 1;
  }
  const started = createDisposables();
  try {
    const screen = createScreen(process.stdout);
    const setup = await startAll(started, screen, () => false);
    const paths = await fill(setup);
    const browser = await startBrowser(chromium);
    started.defer('the browser', () => browser.close());
    mkdirSync(folder, { recursive: true });
    for (const size of widths) {
      for (const scheme of ['light', 'dark'] as const) {
        const { context, page } = await openDashboard(browser, setup.api.url, setup.api.token, { ...size, scheme });
        for (const [name, path] of paths) await take(page, setup.api.url + path, name, `${size.width}-${scheme}`);
        await page.goto(`${setup.api.url}/ui/dead-letters`);
        await page.locator('button[value="replay"]').first().click();
        await page.screenshot({ path: join(folder, `preview-${size.width}-${scheme}.png`), fullPage: true });
        await context.clearCookies();
        await take(page, `${setup.api.url}/ui/login?ended=1`, 'login', `${size.width}-${scheme}`);
        await context.close();
      }
    }
    screen.line(`pictures are in ${folder}`);
    return 0;
  } finally {
    await started.close();
  }
}

async function take(page: Page, url: string, name: string, look: string): Promise<void> {
  await page.goto(url);
  await page.screenshot({ path: join(folder, `${name}-${look}.png`), fullPage: true });
}

/** Name of a picture → path of its page. */
async function fill({ redis, api }: Setup): Promise<[string, string][]> {
  const producer = createProducer({ redis });
  try {
    const later = new Date(Date.now() + 5 * hourMs);
    const set = exampleSet(messages, new Date(Date.now() + 1_000));
    await producer.sendMany(set.map(({ mail }) => mail));
    await call(api, 'POST', '/v1/connectors/shop/pause', { reason: 'the shop moves to another server', for: '2h' });
    await producer.send({
      from: 'sales@example.com',
      to: 'zoe@example.net',
      subject: 'Later',
      text: 'x',
      sendAt: later.toISOString(),
    });
    await until(async () => (await call(api, 'GET', '/v1/dead-letters')).items.length > 0, {
      what: 'dead letters',
      timeoutMs: 60_000,
    });
  } finally {
    await producer.close();
  }
  const [letter] = (await call(api, 'GET', '/v1/dead-letters')).items as [{ id: string }];
  const [sent] = (await call(api, 'GET', '/v1/messages?state=sent')).items as [{ id: string }];
  await call(api, 'POST', '/v1/dead-letters/replay', {
    ids: [letter.id],
    ratePerSecond: 0.05,
    reason: 'the directory is back',
  });
  return [
    ['overview', '/ui/'],
    ['connectors', '/ui/connectors'],
    ['connector', '/ui/connectors/shop'],
    ['messages', '/ui/messages'],
    ['messages-empty', '/ui/messages?q=nobody%40example.org'],
    ['message-sent', `/ui/messages/${sent.id}`],
    ['message-dead', `/ui/messages/${letter.id}`],
    ['dead-letters', '/ui/dead-letters'],
    ['dead-letters-list', '/ui/dead-letters?view=list'],
    ['routes', '/ui/routes?from=archive%40example.com'],
    ['events', '/ui/events'],
    ['operations', '/ui/operations'],
    ['audit', '/ui/audit'],
    ['not-found', '/ui/messages/no-such-id'],
  ];
}

async function call(
  { url, token }: Setup['api'],
  method: string,
  path: string,
  body?: unknown,
): Promise<{ readonly items: { readonly id: string }[] }> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const answer = await fetch(url + path, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as { items: { id: string }[] };
}
