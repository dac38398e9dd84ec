/** Finding messages over HTTP. */
import { expect, test } from 'vitest';
import { until } from '../../testkit/until.ts';
import { serveApi } from '../support/http-server.ts';

const mail = { from: 'shop@example.com', to: 'zoe@example.net', subject: 'Hi', text: 'Hello' };
const rest = ['index: { from: true, metadata: [orderId] }'];
const tokens = [{ id: 'crm', scopes: ['messages:read'], from: ['crm@example.org'] }];

test('messages are found by what is indexed, newest first, a page at a time', async () => {
  const { here, post, ask } = await serveApi({ rest, tokens });
  await here.worker();
  const messages = [
    { ...mail, id: 'a', metadata: { orderId: '7' } },
    { ...mail, id: 'b', from: 'crm@example.org' },
    { ...mail, id: 'c', to: ['zoe@example.net', 'max@example.net'] },
  ];
  for (const message of messages) {
    await post('/v1/messages', message);
    const state = async () => (await ask(`/v1/messages/${message.id}`)).body.state === 'sent';
    await until(state, { what: `${message.id} sent` });
  }
  const find = async (query: string, as = 'all') => (await ask(`/v1/messages?${query}`, { as })).body;
  const ids = async (query: string, as?: string) => (await find(query, as)).items.map(({ id }: { id: string }) => id);
  expect(await ids('recipient=ZOE@example.net')).toEqual(['c', 'b', 'a']);
  expect(await ids('recipient=max@example.net')).toEqual(['c']);
  expect(await ids('from=crm@example.org')).toEqual(['b']);
  expect(await ids('metadata.orderId=7')).toEqual(['a']);
  expect(await ids('connector=relay&state=sent&recipient=zoe@example.net')).toEqual(['c', 'b', 'a']);
  expect(await ids('recipient=zoe@example.net&until=2001-01-01T00:00:00Z')).toEqual([]);
  expect(await ids('recipient=zoe@example.net', 'crm')).toEqual(['b']);
  const { messageId } = (await ask('/v1/messages/a')).body;
  expect(await ids(`messageId=${encodeURIComponent(messageId)}`)).toEqual(['a']);
  const page = await find('recipient=zoe@example.net&limit=2');
  expect(page).toMatchObject({ items: [{ id: 'c', recipientCount: 2 }, { id: 'b' }], complete: true });
  const last = await find(`recipient=zoe@example.net&limit=2&cursor=${page.next}`);
  expect(last).toMatchObject({ items: [{ id: 'a', state: 'sent', metadata: { orderId: '7' } }], next: null });
  expect(last.items[0].at).toMatch(/Z$/);
});

test('a filter that has no index, is not known or makes no sense is refused', async () => {
  const { ask } = await serveApi();
  const body = async (query: string) => (await ask(`/v1/messages?${query}`)).body;
  expect(await body('from=a@b.example')).toMatchObject({ status: 422, code: 'not-indexed' });
  expect(await body('metadata.x=1')).toMatchObject({ status: 422, code: 'not-indexed' });
  for (const query of [
    'subject=x',
    'limit=0',
    'limit=501',
    'limit=x',
    'since=yesterday',
    'state=lost',
    'recipient=',
    'metadata.=x',
    'connector=A%20B',
  ]) {
    expect([query, (await body(query)).code]).toEqual([query, 'invalid-request']);
  }
  expect(await body('cursor=nonsense')).toMatchObject({ status: 422, code: 'query-invalid' });
  expect(await body('__proto__=x')).toMatchObject({ status: 422 });
});
