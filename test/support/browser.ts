/** A browser at the dashboard within a test, and what axe finds there. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { onTestFinished } from 'vitest';
import { findChromium, openDashboard, startBrowser, type Look } from '../../testkit/browser.ts';
import type { ServedApi } from './http-server.ts';

export const chromium = findChromium();
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export async function testBrowser(): Promise<Browser> {
  const browser = await startBrowser(chromium!);
  onTestFinished(() => browser.close());
  return browser;
}

/** A window of its own, signed in. `as`: id of a token. */
export async function openAs(
  api: ServedApi,
  look: Partial<Look> = {},
  as = 'all',
): Promise<{ readonly context: BrowserContext; readonly page: Page }> {
  const whole = { width: 1_600, height: 1_000, scheme: 'light', ...look } as const;
  return openDashboard(await testBrowser(), urlOf(api), api.tokens.get(as)!, whole);
}

export function urlOf({ port }: ServedApi): string {
  return `http://localhost:${port}`;
}

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string }[];
}

/** The policy of the page lets no other script in; the debugger puts it there. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const found = await page.evaluate<readonly Violation[]>('axe.run().then(({ violations }) => violations)');
  return found.map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 200)}`);
}
