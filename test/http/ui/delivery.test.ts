/** Staging in the dashboard: while not everyone gets their mail, every page says so, to everyone who is signed in. */
import { expect, test } from 'vitest';
import { signIn, wordsOf } from '../../support/dashboard.ts';
import { serveApi } from '../../support/http-server.ts';

const sender = { id: 'sender', scopes: ['messages:read'] };
const paths = ['/ui/messages', '/ui/messages/none', '/ui/events', '/ui/no-such-page'];

test.each([
  ['redirectTo: qa@example.com', 'All mail goes to qa@example.com instead of its recipients.'],
  ['allowRecipients: []', 'No recipient gets mail.'],
  [
    'redirectTo: qa@example.com, allowRecipients: ["*@example.com"]',
    'Only recipients that fit 1 pattern get their mail; all other mail goes to qa@example.com.',
  ],
])('delivery: { %s } stands above every page', async (setting, words) => {
  const api = await serveApi({ tokens: [sender], rest: [`delivery: { ${setting} }`] });
  const [all, one] = [await signIn(api), await signIn(api, 'sender')];
  for (const path of ['/ui/', '/ui/connectors', '/ui/dead-letters']) {
    expect(wordsOf(await all.get(path))).toContain(words);
  }
  for (const path of paths) expect(wordsOf(await one.get(path))).toContain(words);
});

test('a masked page does not tell the address, and without a restriction no page says anything', async () => {
  const masked = await serveApi({
    rest: ['ui: { maskRecipients: true }', 'delivery: { redirectTo: johanna@example.com }'],
  });
  const page = await (await signIn(masked)).get('/ui/');
  expect(page.text).not.toContain('johanna');
  expect(wordsOf(page)).toContain('All mail goes to j…a@example.com instead of its recipients.');
  const free = await serveApi();
  expect((await (await signIn(free)).get('/ui/')).text).not.toContain('ban wait staging');
});
