/** A browser for tests and screenshots: the Chromium of the machine, driven by playwright-core. None is downloaded. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';

/** Path of a Chromium; null where there is none. */
export function findChromium(env: NodeJS.ProcessEnv = process.env): string | null {
  const folders = [...(env['PATH'] ?? '').split(delimiter), '/usr/bin'].filter((folder) => folder !== '');
  const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find(isProgram) ?? null;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Without the sandbox of Chromium: root in a container has none, and it sees pages of ours alone. */
export function startBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

export interface Look {
  readonly width: number;
  readonly height: number;
  readonly scheme: 'light' | 'dark';
}

/** A window of its own, signed in at the dashboard. */
export async function openDashboard(
  browser: Browser,
  url: string,
  token: string,
  { width, height, scheme }: Look,
): Promise<{ readonly context: BrowserContext; readonly page: Page }> {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, timezoneId: 'UTC' });
  const page = await context.newPage();
  await page.goto(`${url}/ui/login`);
  await page.fill('#token', token);
  await page.click('button.primary');
  await page.waitForSelector('#main');
  return { context, page };
}
