/** The suppression list in the dashboard: an address is added, found, removed; who may not is refused; masked where that is wanted. */
import { expect, test } from 'vitest';
import { signIn, wordsOf } from '../../support/dashboard.ts';
import { serveApi } from '../../support/http-server.ts';

const evil = '<script>alert(1)</script><img src=x>';

test('an address is suppressed with a reason and an end, found by its beginning, and removed; the audit has both', async () => {
  const api = await serveApi();
  const visitor = await signIn(api);
  expect(wordsOf(await visitor.get('/ui/suppressions'))).toContain('No address is suppressed. Add one');
  const added = await visitor.submit('/ui/suppressions/add', { address: 'Gone@Example.net', reason: evil, for: '30d' });
  expect(wordsOf(added)).toContain('Gone@Example.net gets no mail from the next attempt on.');
  expect(added.text).not.toMatch(/<script>alert|<img/);
  expect(wordsOf(added)).toContain('1 address that gets no mail.');
  expect(wordsOf(await visitor.get('/ui/suppressions?q=GONE'))).toContain('gone@example.net');
  expect(wordsOf(await visitor.get('/ui/suppressions?q=other'))).toContain('No suppressed address fits the filter.');
  expect(wordsOf(await visitor.get('/ui/suppressions?cursor=%00&origin=__proto__'))).toContain('Suppressions');
  for (const wrong of ['', 'no address', evil]) {
    const refused = await visitor.submit('/ui/suppressions/add', { address: wrong });
    expect(wordsOf(refused)).toContain('Not done:');
    expect(refused.text).not.toMatch(/<script>alert|<img/);
  }
  expect(wordsOf(await visitor.submit('/ui/suppressions/remove', { address: 'gone@example.net' }))).toContain(
    'gone@example.net gets mail again.',
  );
  expect(wordsOf(await visitor.submit('/ui/suppressions/remove', { address: 'gone@example.net' }))).toContain(
    'Not done:',
  );
  expect(wordsOf(await visitor.get('/ui/audit?action=suppress'))).toContain('gone@example.net');
});

test('a viewer neither sees the list nor changes it, and a masked page has no address', async () => {
  const api = await serveApi({
    tokens: [
      { id: 'looker', scopes: ['viewer'] },
      { id: 'ops', scopes: ['operator'] },
    ],
    rest: ['ui: { maskRecipients: true }'],
  });
  await api.post('/v1/suppressions', { address: 'johanna@example.net' });
  const looker = await signIn(api, 'looker');
  expect((await looker.get('/ui/suppressions')).status).toBe(403);
  expect((await looker.get('/ui/')).text).not.toContain('href="/ui/suppressions"');
  const refused = await looker.post('/ui/suppressions/remove', { address: 'johanna@example.net' });
  expect(refused.status).toBe(303);
  expect((await api.ask('/v1/suppressions')).body.count).toBe(1);
  const page = await (await signIn(api, 'ops')).get('/ui/suppressions');
  expect(page.text).not.toContain('johanna');
  expect(wordsOf(page)).toContain('j…a@example.net');
});
