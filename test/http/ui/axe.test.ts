/** Every page of the dashboard in a browser, with hostile content, at both widths, light and dark: axe finds nothing, and no script of a stranger runs. */
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { openSubmissionStore } from '../../../src/admin/submissions.ts';
import { openOperator } from '../../../src/admin/operator.ts';
import { defaultMessageLimits } from '../../../src/message/message.ts';
import { until } from '../../../testkit/until.ts';
import { chromium, openAs, urlOf, violations } from '../../support/browser.ts';
import { serveApi, type ServedApi } from '../../support/http-server.ts';
import { plantDead } from '../../support/operators.ts';
import { newSecret } from '../../support/receiver.ts';
import { redisUrl, shardCount } from '../../support/redis.ts';
import { plantDeadEvents } from '../../support/webhooks.ts';

const evil = '<img src=x onerror="document.title=1"><script>document.title=1</script>\u202e';
const broken = '{ direction: outgoing, smtp: { host: 127.0.0.1, port: 1, security: none } }';
const mailbox =
  '{ address: b@example.com, direction: both, bounces: true, incoming: { protocol: imap, host: 127.0.0.1, port: 1, user: b, password: p }, smtp: { host: 127.0.0.1, port: 1, security: none, allowInsecureAuth: true } }';

async function filled(): Promise<ServedApi> {
  const api = await serveApi({
    others: { broken, mailbox },
    rest: [
      `webhooks: [{ id: crm, url: "http://127.0.0.1:1/%3Cimg%20src=x%3E?${encodeURIComponent(evil)}", secret: "${newSecret()}", types: ["connector.*"] }]`,
    ],
  });
  const redis = { url: redisUrl(), prefix: api.prefix, shards: shardCount() };
  await plantDead(api.prefix, [{}, {}, { reply: `550 ${evil}`, id: 'hostile', from: 'a@example.com' }]);
  await plantDeadEvents(api.prefix, 'gone', [{ eventId: '0-1-0', type: 'message.dead', message: evil }], evil);
  const later = {
    id: 'later',
    from: { name: evil, address: 'a@example.com' },
    replyTo: { name: evil, address: 'a@example.com' },
    to: [{ name: evil, address: 'zoe@example.net' }, 'b@example.net'],
    subject: evil,
    text: evil,
    html: evil,
    metadata: { order: evil },
    attachments: [{ filename: evil.slice(0, 60), content: 'x' }],
    sendAt: new Date(Date.now() + 3_600_000).toISOString(),
  };
  expect((await api.post('/v1/messages', later)).status).toBe(202);
  await api.here.worker();
  await api.post('/v1/messages', { id: 'back', from: 'a@example.com', to: 'zoe@example.net', text: 'x' });
  await until(async () => (await api.ask('/v1/messages/back')).body.state === 'sent', { what: 'the mail' });
  const operator = await openOperator({ redis, timeoutMs: 5_000, limits: defaultMessageLimits });
  await operator.bounceNotes.write('back', 'mailbox', Date.now(), [
    {
      place: 0,
      address: 'zoe@example.net',
      bounce: { at: 1, action: 'failed', status: evil, smtpCode: evil, permanent: true, diagnostic: evil },
    },
  ]);
  operator.close();
  const store = openSubmissionStore({ redis, timeoutMs: 5_000 });
  await store.note([
    {
      user: evil.replaceAll(' ', '_'),
      counts: { accepted: 1, [evil.replaceAll(' ', '_')]: 2 },
      last: { at: Date.now(), address: evil, refused: { at: Date.now(), reply: evil } },
    },
  ]);
  store.close();
  await api.post('/v1/connectors/relay/pause', { reason: evil, for: '2h' });
  await api.post('/v1/suppressions', { address: 'gone@example.net', reason: evil });
  await api.post('/v1/messages', { from: 'c@example.com', to: 'zoe@example.net', text: 'x' }, { as: 'all' });
  return api;
}

const paths = [
  '/ui/',
  '/ui/connectors',
  '/ui/connectors/relay',
  '/ui/connectors/relay#d-pause',
  '/ui/connectors/mailbox',
  '/ui/messages',
  '/ui/messages?q=none%40example.net',
  '/ui/messages?bounced=1',
  '/ui/messages/later',
  '/ui/messages/later#d-cancel',
  '/ui/messages/hostile',
  '/ui/messages/back',
  '/ui/dead-letters',
  '/ui/dead-letters?view=list',
  '/ui/operations',
  '/ui/routes?from=a%40example.com',
  '/ui/events',
  '/ui/webhooks',
  '/ui/webhooks/crm',
  '/ui/webhooks/gone',
  '/ui/submission',
  '/ui/suppressions',
  '/ui/suppressions#d-add',
  '/ui/audit',
  '/ui/nothing',
];

for (const look of [
  { width: 1_600, height: 1_000, scheme: 'light' },
  { width: 1_600, height: 1_000, scheme: 'dark' },
  { width: 400, height: 860, scheme: 'light' },
  { width: 400, height: 860, scheme: 'dark' },
] as const) {
  test.skipIf(chromium === null)(
    `axe finds nothing on any page at ${look.width} pixels, ${look.scheme}, none is wider than the window, and no script of a stranger runs`,
    { timeout: 180_000 },
    async () => {
      const api = await filled();
      const { page } = await openAs(api, look);
      const complaints: string[] = [];
      const found: string[] = [];
      page.on('console', (message) => void (message.type() === 'error' && complaints.push(message.text())));
      page.on('pageerror', (error) => complaints.push(error.message));
      const inspect = async (name: string): Promise<void> => {
        found.push(...(await violations(page)).map((each) => `${name}: ${each}`));
        const width = await page.evaluate<number>('document.documentElement.scrollWidth');
        if (width !== look.width) found.push(`${name} is ${width} pixels wide`);
        if (!(await page.title()).endsWith('· Postlane')) found.push(`${name} has another title`);
        if ((await page.locator('#main img').count()) > 0) found.push(`${name} has an image`);
      };
      for (const path of paths) {
        await page.goto(urlOf(api) + path);
        await inspect(path);
      }
      await content(page, api);
      await inspect('content');
      await page.goto(`${urlOf(api)}/ui/dead-letters`);
      await page.locator('button[value="replay"]').first().click();
      await page.waitForSelector('.receipt');
      await inspect('preview');
      await page.context().clearCookies();
      await page.goto(`${urlOf(api)}/ui/login?ended=1&next=${encodeURIComponent(evil)}`);
      await inspect('log-in');
      await page.fill('#token', evil);
      await page.click('button.primary');
      await page.waitForSelector('#token-e');
      await inspect('log-in, refused');
      expect(found).toEqual([]);
      // The page that is not there, and the log-in that is refused, say so with their status; what the mail brings is blocked.
      const blocked =
        /in 'about:srcdoc' because the document's frame is sandboxed|"img-src data:". The action has been/;
      expect(complaints.filter((text) => !/\b40[14]\b/.test(text) && !blocked.test(text))).toEqual([]);
      expect(complaints.filter((text) => blocked.test(text))).not.toEqual([]);
    },
  );
}

/** What the message says: in a frame that runs nothing and loads nothing. */
async function content(page: Page, api: ServedApi): Promise<void> {
  await page.goto(`${urlOf(api)}/ui/messages/later`);
  await page.click('text=Show content');
  await page.waitForSelector('iframe.mail');
  expect(await page.title()).toBe('Content · Postlane');
  expect(await page.getAttribute('iframe.mail', 'sandbox')).toBe('');
}
