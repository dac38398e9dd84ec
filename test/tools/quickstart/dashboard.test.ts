/** The first acceptance of the dashboard, with a browser alone: from the link of the quick start to who did what. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { until } from '../../../testkit/until.ts';
import { chromium, testBrowser } from '../../support/browser.ts';

const program = fileURLToPath(new URL('../../../tools/quickstart/main.ts', import.meta.url));

/** → the link that it prints. It ends with the test. */
async function quickstart(): Promise<string> {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn(process.execPath, [program, '--count', '40', '--keep'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env,
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  onTestFinished(async () => {
    if (child.exitCode !== null) return;
    child.kill('SIGINT');
    await once(child, 'close');
  });
  const link = /^ +(http:\S+\/ui\/login\?link=\S+)$/m;
  await until(() => link.test(output), { what: 'the link', timeoutMs: 120_000 });
  return link.exec(output)?.[1] ?? '';
}

test.skipIf(chromium === null)(
  'with a browser alone: find the message to a recipient, see why another was refused, replay it by another connector, pause and resume a connector, and see who did it',
  { timeout: 240_000 },
  async () => {
    const link = await quickstart();
    const browser = await testBrowser();
    const page = await browser.newPage({ viewport: { width: 1_280, height: 900 } });
    page.setDefaultTimeout(30_000);
    // In, by the link.
    await page.goto(link);
    await page.click('text=Sign in as quickstart');
    await page.waitForSelector('.verdict');
    // Why was one refused? The dead letters say it.
    await page.click('nav >> text=Dead letters');
    await page.waitForSelector('text=There is no mailbox of that name');
    await page.click('text=List >> visible=true');
    const refused = (await page.textContent('tbody a[href^="/ui/messages/"]'))?.trim() ?? '';
    expect(refused).toMatch(/^gone-/);
    // The message to a given recipient.
    await page.fill('#find', refused);
    await page.press('#find', 'Enter');
    await page.waitForURL(/\/ui\/messages\?q=/);
    await page.click(`tbody a:has-text("${refused}")`);
    await page.waitForSelector('h1');
    expect(await page.textContent('#main')).toContain('550 5.1.1 There is no mailbox of that name');
    expect(await page.textContent('.ledger')).toContain('refused');
    // Again, by another connector.
    await page.click('.head [data-dialog="d-replay"]');
    await page.selectOption('#via', 'finance');
    await page.fill('#replay-why', 'the mailbox was renamed');
    await page.click('#d-replay button.primary');
    await page.waitForSelector('text=It is replayed through finance');
    await until(
      async () => {
        await page.reload();
        return /Attempt 2[^]*Why finance/.test((await page.textContent('#main')) ?? '');
      },
      { what: 'an attempt by the other connector', timeoutMs: 60_000 },
    );
    // A connector is paused and resumed.
    await page.click('nav >> text=Connectors');
    await page.click('tbody >> text=shop');
    await page.click('[data-dialog="d-pause"]');
    await page.fill('#p-why', 'the shop moves');
    await page.click('#d-pause button.primary');
    await page.waitForSelector('text=shop is paused for 2 hours.');
    await page.click('[data-dialog="d-resume"]');
    await page.click('#d-resume button.primary');
    await page.waitForSelector('text=shop is resumed.');
    // And who did it.
    await page.click('nav >> text=Audit');
    await page.waitForSelector('h1:has-text("Audit")');
    const audit = (await page.textContent('tbody')) ?? '';
    expect(audit).toMatch(
      /quickstart[^]*resume[^]*shop[^]*quickstart[^]*pause[^]*shop[^]*the shop moves[^]*quickstart[^]*replay/,
    );
    expect(audit).toContain('via finance');
    expect(audit).toContain('the mailbox was renamed');
  },
);
