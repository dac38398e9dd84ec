/** The event stream: what it tells, to whom, and that nothing is missed or told twice by who comes back. */
import { expect, test } from 'vitest';
import { until } from '../../testkit/until.ts';
import { serveApi } from '../support/http-server.ts';
import { isSealed } from '../support/redis.ts';
import { openEvents, type SseClient } from '../support/sse-client.ts';

const mail = { from: 'shop@example.com', to: 'zoe@example.net', subject: 'Hi', text: 'Hello' };
const tokens = [
  { id: 'shop', scopes: ['messages:send', 'messages:read'], from: ['*@example.com'] },
  { id: 'crm', scopes: ['messages:send', 'messages:read'], from: ['crm@example.org'] },
];
const idsOf = (client: SseClient, type = 'message.sent') =>
  client.events.filter(({ event }) => event === type).map(({ data }) => data['id']);

test('a client is told of a message from its acceptance to its end', async () => {
  const { here, post, port, tokens: secrets } = await serveApi();
  const client = await openEvents({ port, token: secrets.get('all')! });
  expect(client.status).toBe(200);
  expect(client.headers).toMatchObject({ 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const { body } = await post('/v1/messages', { ...mail, metadata: { orderId: '7' } });
  await here.worker();
  const events = await client.has(2);
  expect(events.map(({ event }) => event)).toEqual(['message.accepted', 'message.sent']);
  expect(events[1]!.data).toMatchObject({
    type: 'message.sent',
    id: body.id,
    state: 'sent',
    connector: 'relay',
    // Where bodies are sealed, metadata that is not indexed is in no event.
    metadata: isSealed() ? {} : { orderId: '7' },
    recipients: [{ address: 'zoe@example.net', outcome: 'accepted' }],
  });
  expect(events[1]!.data['messageId']).not.toContain('<');
  expect(events[1]!.data['at']).toMatch(/^\d{4}-.*Z$/);
  expect(new Set(events.map(({ id }) => id)).size).toBe(2);
});

test('who comes back with the last id gets what was missed, once, also from another process', async () => {
  const { here, post, port, tokens: secrets } = await serveApi();
  const token = secrets.get('all')!;
  const first = await openEvents({ port, token });
  await here.worker();
  await post('/v1/messages', { ...mail, id: 'a' });
  await first.has(2);
  const lastEventId = first.lastId();
  first.close();
  await post('/v1/messages/batch', { messages: ['b', 'c', 'd'].map((id) => ({ ...mail, id })) });
  await until(async () => (await here.callJson(['status', 'd'])).values[0]?.['state'] === 'sent', { what: 'd sent' });
  const second = await here.serve();
  for (const at of [port, Number((await second.logged('serving'))['port'])]) {
    const again = await openEvents({ port: at, token, lastEventId });
    await again.has(6);
    await post('/v1/messages', { ...mail, id: `e${at}` });
    await until(() => idsOf(again).includes(`e${at}`), { what: 'the next one' });
    expect(new Set(idsOf(again).slice(0, 3))).toEqual(new Set(['b', 'c', 'd']));
    expect(new Set(again.events.map(({ id }) => id)).size).toBe(again.events.length);
    expect(again.events.some(({ event }) => event === 'gap')).toBe(false);
  }
  expect(await second.end()).toBe(0);
});

test('who comes back after what is kept is told of a gap', async () => {
  const { port, tokens: secrets } = await serveApi();
  const client = await openEvents({ port, token: secrets.get('all')!, lastEventId: '1-0' });
  expect(await client.has(1)).toMatchObject([{ event: 'gap', data: { type: 'gap', dropped: null } }]);
  expect(client.lastId()).not.toBe('1-0');
});

test('a token that is limited to From addresses is told of what comes from them alone', async () => {
  const { here, post, port, tokens: secrets } = await serveApi({ tokens });
  const all = await openEvents({ port, token: secrets.get('all')! });
  const crm = await openEvents({ port, token: secrets.get('crm')! });
  await here.worker();
  await post('/v1/messages', { ...mail, id: 'of-shop' });
  await post('/v1/messages', { ...mail, from: 'crm@example.org', id: 'of-crm' });
  await until(() => idsOf(all).length === 2, { what: 'both' });
  await until(() => idsOf(crm).length === 1, { what: 'its own' });
  const again = await openEvents({ port, token: secrets.get('crm')!, lastEventId: '1-0' });
  await here.run(['pause', 'relay']);
  await post('/v1/messages', { ...mail, from: 'crm@example.org', id: 'of-crm-2' });
  await until(() => idsOf(again, 'message.accepted').includes('of-crm-2'), { what: 'its next' });
  expect(idsOf(crm)).toEqual(['of-crm']);
  expect(idsOf(again).concat(idsOf(again, 'message.accepted'))).not.toContain('of-shop');
});

test('a client chooses types and a connector', async () => {
  const { here, post, port, tokens: secrets } = await serveApi();
  const token = secrets.get('all')!;
  const sent = await openEvents({ port, token, query: '?type=message.sent' });
  const other = await openEvents({ port, token, query: '?connector=other' });
  await here.worker();
  await post('/v1/messages', { ...mail, id: 'a' });
  await post('/v1/messages', { ...mail, id: 'b' });
  await sent.has(2);
  expect(sent.events.map(({ event }) => event)).toEqual(['message.sent', 'message.sent']);
  expect(other.events).toEqual([]);
});

test('a stream ends when its token may see less than when it began', async () => {
  const { here, serve, port, config, tokens: secrets } = await serveApi({ tokens });
  const [shop, crm] = [secrets.get('shop')!, secrets.get('crm')!];
  const [ending, staying] = [await openEvents({ port, token: shop }), await openEvents({ port, token: crm })];
  here.write(
    'postlane.yaml',
    config(tokens.map((each) => (each.id === 'shop' ? { ...each, from: ['a@example.com'] } : each))),
  );
  serve.child.kill('SIGHUP');
  await until(() => ending.closed(), { what: 'the end of the stream of the token that was narrowed' });
  expect(staying.closed()).toBe(false);
});

test('a stream ends with its token, with the server, and does not begin with a wrong id', async () => {
  const { here, serve, port, ask, config, tokens: secrets } = await serveApi({ tokens });
  const [crm, all] = [secrets.get('crm')!, secrets.get('all')!];
  const [ending, staying] = [await openEvents({ port, token: crm }), await openEvents({ port, token: all })];
  here.write('postlane.yaml', config([]));
  serve.child.kill('SIGHUP');
  await until(() => ending.closed(), { what: 'the end of the stream of a removed token' });
  expect(staying.closed()).toBe(false);
  expect((await ask('/v1/events', { headers: { 'last-event-id': 'x' } })).body).toMatchObject({
    status: 422,
    issues: [{ field: 'Last-Event-ID' }],
  });
  expect((await ask('/v1/events?type=%0a')).status).toBe(422);
  expect((await ask('/v1/events', { method: 'HEAD' })).status).toBe(200);
  const startedAt = performance.now();
  expect(await serve.end()).toBe(0);
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  await until(() => staying.closed(), { what: 'the end of the stream with the server' });
});
