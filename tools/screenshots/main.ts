/**
 * Takes a picture of every page of the dashboard, at 400 and 1,600 pixels, light and dark (set.ts has what they show), and that of README.
 *
 * npm run -s screenshots -- [FOLDER]
 * npm run -s screenshots -- --readme     the two pictures of README alone
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { findChromium, openDashboard, startBrowser } from '../../testkit/browser.ts';
import { createDisposables } from '../../testkit/disposables.ts';
import { createScreen } from '../quickstart/report.ts';
import { startAll, type Setup } from '../quickstart/setup.ts';
import { fill } from './set.ts';

const widths = [
  { width: 400, height: 860 },
  { width: 1_600, height: 1_000 },
] as const;
const schemes = ['light', 'dark'] as const;
/** Of README: no wider than a page of GitHub shows. */
const readme = { width: 1_280, height: 800 };

const [argument = 'screenshots'] = process.argv.slice(2);
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
    const paths = await fill(setup, started);
    const browser = await startBrowser(chromium);
    started.defer('the browser', () => browser.close());
    const folder = resolve(argument === '--readme' ? 'docs/images' : argument);
    mkdirSync(folder, { recursive: true });
    if (argument === '--readme') await takeForReadme(browser, setup, folder);
    else await takeAll(browser, setup, paths, folder);
    screen.line(`pictures are in ${folder}`);
    return 0;
  } finally {
    await started.close();
  }
}

async function takeForReadme(browser: Browser, { api }: Setup, folder: string): Promise<void> {
  for (const scheme of schemes) {
    const { context, page } = await openDashboard(browser, api.url, api.token, { ...readme, scheme });
    await page.goto(`${api.url}/ui/`);
    await page.waitForSelector('.live[data-live="on"]');
    await page.screenshot({ path: join(folder, `dashboard-${scheme}.png`) });
    await context.close();
  }
}

async function takeAll(
  browser: Browser,
  { api }: Setup,
  paths: readonly (readonly [string, string])[],
  folder: string,
): Promise<void> {
  for (const size of widths) {
    for (const scheme of schemes) {
      const { context, page } = await openDashboard(browser, api.url, api.token, { ...size, scheme });
      const shot = (name: string): Promise<unknown> =>
        page.screenshot({ path: join(folder, `${name}-${size.width}-${scheme}.png`), fullPage: true });
      const take = async (name: string, path: string): Promise<void> => {
        await open(page, api.url + path);
        await shot(name);
      };
      for (const [name, path] of paths) await take(name, path);
      await open(page, `${api.url}/ui/connectors/relay#d-pause`);
      await shot('dialog');
      await open(page, `${api.url}/ui/messages/later`);
      await page.click('text=Show content');
      await page.waitForSelector('text=recorded in the audit');
      await shot('content');
      await open(page, `${api.url}/ui/dead-letters`);
      await page.locator('button[value="replay"]').first().click();
      await page.waitForSelector('.receipt');
      await shot('preview');
      await open(page, `${api.url}/ui/`);
      if (size.width === 400) {
        await page.click('a.more');
        await page.screenshot({ path: join(folder, `menu-${size.width}-${scheme}.png`) });
      }
      await context.clearCookies();
      await take('login', '/ui/login?ended=1');
      await context.close();
    }
  }
}

async function open(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page.waitForSelector('#main');
}
