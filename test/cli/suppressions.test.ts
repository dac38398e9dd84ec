/** `postlane suppressions` and its routes: add, list, export, import, remove, each with its entry in the audit. */
import { expect, test } from 'vitest';
import { serveApi } from '../support/http-server.ts';

test('addresses are added, listed, exported, removed, and imported again', async () => {
  const { here } = await opened();
  const added = await here.callJson([
    'suppressions',
    'add',
    'Gone@Example.net',
    '_x@example.net',
    '--reason',
    'asked for it',
  ]);
  expect(added).toMatchObject({ code: 0, values: [{ added: 2, replaced: 0 }] });
  expect((await here.callJson(['suppressions', 'add', 'gone@example.net', '--until', '30d'])).values).toEqual([
    { added: 0, replaced: 1 },
  ]);
  const { values } = await here.callJson(['suppressions']);
  expect(values).toMatchObject([
    { address: '_x@example.net', reason: 'asked for it', origin: 'operator', until: null },
    { address: 'gone@example.net', reason: null },
  ]);
  const { stdout } = await here.call(['suppressions', 'list', '--csv']);
  const file = here.write('list.csv', stdout);
  for (const { address } of values as { address: string }[]) {
    expect((await here.call(['suppressions', 'remove', address, '--reason', 'a test'])).code).toBe(0);
  }
  expect((await here.call(['suppressions', 'remove', 'gone@example.net'])).code).toBe(1);
  expect((await here.callJson(['suppressions', 'add', '--file', file])).values).toEqual([{ added: 2, replaced: 0 }]);
  const again = (await here.callJson(['suppressions', 'list', '--origin', 'import'])).values;
  expect(again).toMatchObject([{ reason: 'asked for it' }, { until: (values[1] as { until: string }).until }]);
  const audit = (await here.callJson(['audit'])).values.map(({ action, target, result }) => [action, target, result]);
  expect(audit).toContainEqual(['suppress', 'gone@example.net', 'done']);
  expect(audit).toContainEqual(['unsuppress', 'gone@example.net', 'not-found']);
});

test('a file with a mistake adds nothing, and each mistake has its line', async () => {
  const { here } = await opened();
  const file = here.write('bad.csv', 'address,until\nok@example.net,\nnobody,\n"b@example.net",tomorrow\n');
  const { code, stderr } = await here.call(['suppressions', 'add', '--file', file]);
  expect(code).toBe(2);
  expect(stderr).toContain('line 3 has an address that has no @');
  expect(stderr).toContain('line 4 has an end that is no ISO 8601 time');
  expect((await here.callJson(['suppressions'])).values).toEqual([]);
  expect((await here.call(['suppressions', 'add'])).code).toBe(2);
  expect((await here.call(['suppressions', 'add', 'nobody'])).code).toBe(2);
});

test('the API adds, shows, lists and removes; letter case and the form of the domain do not matter', async () => {
  const { post, ask, remove } = await opened();
  const first = await post('/v1/suppressions', { address: 'Zoe@BÜCHER.example', reason: 'bounced', for: '2h' });
  expect([first.status, first.body]).toMatchObject([
    201,
    { address: 'zoe@xn--bcher-kva.example', origin: 'operator', by: 'all', reason: 'bounced' },
  ]);
  expect((await post('/v1/suppressions', { address: 'zoe@bücher.example' })).status).toBe(200);
  expect((await ask(`/v1/suppressions/${encodeURIComponent('ZOE@bücher.example')}`)).body.until).toBeNull();
  const entries = [{ address: 'a@x.example' }, { address: 'b@x.example', until: '2030-01-01T00:00:00Z' }];
  expect((await post('/v1/suppressions/batch', { entries })).body).toEqual({ added: 2, replaced: 0 });
  const page = await ask('/v1/suppressions?limit=2');
  expect(page.body).toMatchObject({ count: 3, items: [{ address: 'a@x.example' }, { origin: 'import' }] });
  expect((await ask(`/v1/suppressions?limit=2&cursor=${page.body.next}`)).body).toMatchObject({
    items: [{ address: 'zoe@xn--bcher-kva.example' }],
    next: null,
  });
  expect((await remove('/v1/suppressions/a@x.example')).status).toBe(204);
  expect((await remove('/v1/suppressions/a@x.example')).status).toBe(404);
  const refused = await post('/v1/suppressions', { address: 'nobody' });
  expect(refused.body).toMatchObject({ status: 422, issues: [{ field: 'address', rule: 'address' }] });
  const both = await post('/v1/suppressions', { address: 'a@x.example', for: '2h', until: '2030-01-01T00:00:00Z' });
  expect(both.body).toMatchObject({ status: 422 });
  expect((await ask('/v1/suppressions', { as: 'sender' })).status).toBe(403);
});

async function opened() {
  const api = await serveApi({ tokens: [{ id: 'sender', scopes: ['messages:send'] }] });
  const remove = (path: string) => api.ask(path, { method: 'DELETE' });
  return { ...api, remove };
}
