/** Dead letters, operations, routes, events and the audit: what they show, and what can be done there. */
import { expect, test } from 'vitest';
import { eventTypes } from '../../../src/queue/journal/events.ts';
import { openQueues } from '../../../src/queue/open.ts';
import { until } from '../../../testkit/until.ts';
import { signIn, wordsOf, type Visitor } from '../../support/dashboard.ts';
import { serveApi } from '../../support/http-server.ts';
import { plantDead } from '../../support/operators.ts';
import { shardCount, testConnection } from '../../support/redis.ts';

const selectionOf = (text: string): string => /name="selection" value="([^"]+)"/.exec(text)?.[1] ?? '';

test('a group is previewed, replayed at a rate with a reason, followed to its end, and gone; the audit has it', async () => {
  const api = await serveApi();
  await api.here.worker();
  await plantDead(
    api.prefix,
    Array.from({ length: 25 }, () => ({})),
  );
  const visitor = await signIn(api);
  const list = wordsOf(await visitor.get('/ui/dead-letters'));
  expect(list).toContain('25 messages to 25 recipients in 1 group');
  expect(list).toContain('550 5.1.1 <>: User unknown');
  const asked = { reason: 'rejected', connector: 'relay', reply: '550 5.1.1 <>: User unknown' };
  const preview = await visitor.post('/ui/dead-letters/preview', { ...asked, action: 'replay' });
  expect(preview.status).toBe(200);
  expect(wordsOf(preview)).toContain('Replay 25 messages');
  expect(wordsOf(preview)).toContain('through relay 25');
  expect(wordsOf(preview)).toContain('20 of 25');
  const fields = { selection: selectionOf(preview.text), count: '25', rate: '500', reason: 'the directory is back' };
  const begun = await visitor.submit('/ui/dead-letters/replay', fields);
  expect(wordsOf(begun)).toContain('The replay of 25 messages has begun.');
  await until(async () => wordsOf(await visitor.get('/ui/operations')).includes('25 of 25'), { what: 'the operation' });
  expect(wordsOf(await visitor.get('/ui/dead-letters'))).toContain('There are no dead letters.');
  const audit = wordsOf(await visitor.get('/ui/audit?action=replay'));
  expect(audit).toContain('dashboard, 127.0.0.1 replay');
  expect(audit).toContain('the directory is back');
});

test('a drop of many needs its count typed and a reason; a wrong count changes nothing', async () => {
  const api = await serveApi();
  await plantDead(
    api.prefix,
    Array.from({ length: 120 }, () => ({})),
  );
  const visitor = await signIn(api);
  const preview = await visitor.post('/ui/dead-letters/preview', { action: 'drop' });
  expect(preview.text).toContain('pattern="120"');
  const fields = { selection: selectionOf(preview.text), count: '120', rate: '1000', reason: 'a test' };
  const wrong = wordsOf(await visitor.submit('/ui/dead-letters/drop', { ...fields, confirm: '12' }));
  expect(wrong).toContain('Not done: you typed 12, and 120 were selected.');
  expect(wordsOf(await visitor.submit('/ui/dead-letters/drop', { ...fields, confirm: '120', reason: '' }))).toContain(
    'Not done: reason',
  );
  expect((await api.ask('/v1/operations')).body.items).toEqual([]);
  expect(wordsOf(await visitor.submit('/ui/dead-letters/drop', { ...fields, confirm: '120' }))).toContain('has begun');
  await until(async () => wordsOf(await visitor.get('/ui/operations')).includes('120 of 120'), { what: 'the drop' });
});

test('a confirmation that a script leaves out is asked for by the server, too', async () => {
  const api = await serveApi();
  await plantDead(
    api.prefix,
    Array.from({ length: 120 }, () => ({})),
  );
  const visitor = await signIn(api);
  const preview = await visitor.post('/ui/dead-letters/preview', { action: 'drop' });
  const fields = { selection: selectionOf(preview.text), count: '120', reason: 'r' };
  expect(wordsOf(await visitor.submit('/ui/dead-letters/drop', fields))).toContain('Not done: you typed nothing');
});

test('a running operation gets another rate, and is stopped with a reason', async () => {
  const api = await serveApi();
  await plantDead(
    api.prefix,
    Array.from({ length: 50 }, () => ({})),
  );
  const visitor = await signIn(api);
  const preview = await visitor.post('/ui/dead-letters/preview', { action: 'replay', via: 'relay' });
  await visitor.submit('/ui/dead-letters/replay', { selection: selectionOf(preview.text), rate: '0.1', via: 'relay' });
  const { id } = (await api.ask('/v1/operations')).body.items[0];
  const running = wordsOf(await visitor.get('/ui/operations'));
  expect(running).toContain('Replay of 50 messages');
  expect(running).toContain('through relay');
  expect(wordsOf(await visitor.submit(`/ui/operations/${id}/rate`, { rate: '0.2' }))).toContain(
    'Its rate is 0.2 a second.',
  );
  expect(wordsOf(await visitor.submit(`/ui/operations/${id}/rate`, { rate: '-1' }))).toContain(
    'Not done: ratePerSecond',
  );
  expect(wordsOf(await visitor.submit(`/ui/operations/${id}/stop`, { reason: 'wrong one' }))).toContain(
    'It is stopped.',
  );
  const after = wordsOf(await visitor.get('/ui/operations'));
  expect(after).toContain('“ wrong one ”');
  expect(wordsOf(await visitor.submit(`/ui/operations/${id}/stop`))).toContain('Not done: the operation is stopped');
});

test('a preview that is of another action, or over, begins nothing', async () => {
  const api = await serveApi();
  await plantDead(api.prefix, [{}, {}]);
  const visitor = await signIn(api);
  const preview = await visitor.post('/ui/dead-letters/preview', { action: 'replay' });
  const selection = selectionOf(preview.text);
  expect(wordsOf(await visitor.submit('/ui/dead-letters/drop', { selection, reason: 'r' }))).toContain(
    'of another action',
  );
  expect(wordsOf(await visitor.submit('/ui/dead-letters/replay', { selection: 'sel_x' }))).toContain(
    'its time is over',
  );
});

test('a viewer may look at dead letters and preview, and begin nothing; a token of some senders sees no counts', async () => {
  const api = await serveApi({
    tokens: [
      { id: 'looker', scopes: ['viewer'] },
      { id: 'shop', scopes: ['operator'], from: ['shop@example.com'] },
    ],
  });
  await plantDead(api.prefix, [{}, { from: 'shop@example.com', id: 'mine' }]);
  const looker = await signIn(api, 'looker');
  expect((await looker.get('/ui/dead-letters')).text).not.toContain('/ui/dead-letters/preview');
  const preview = await looker.post('/ui/dead-letters/preview', { action: 'drop' });
  const fields = { selection: selectionOf(preview.text), reason: 'r', count: '2' };
  expect(wordsOf(await looker.submit('/ui/dead-letters/drop', fields))).toContain('does not have the scope dead:write');
  expect((await looker.get('/ui/operations')).status).toBe(403);
  expect((await looker.get('/ui/audit')).status).toBe(403);
  const shop = await signIn(api, 'shop');
  const list = await shop.get('/ui/dead-letters');
  expect(list.text).toContain('/ui/messages/mine');
  expect(wordsOf(list)).toContain('1 message, newest first');
  expect((await shop.post('/ui/dead-letters/preview', { action: 'drop' })).status).toBe(403);
});

test('a route is explained: the rule, who was passed over, and what is no address', async () => {
  const archive =
    '{ address: archive@example.com, direction: incoming, incoming: { protocol: pop3, host: pop.example.com, user: a, password: b } }';
  const api = await serveApi({ others: { archive } });
  const visitor = await signIn(api);
  const explained = wordsOf(await visitor.get('/ui/routes?from=Archive%40Example.com'));
  expect(explained).toContain('relay sends for it, as the system default gateway.');
  expect(explained).toContain('its direction is incoming, so it never sends');
  expect(wordsOf(await visitor.get('/ui/routes'))).toContain('everything else default relay');
  const wrong = await visitor.get(`/ui/routes?from=${encodeURIComponent('<img src=x>')}`);
  expect(wrong.status).toBe(200);
  expect(wrong.text).not.toContain('<img');
  expect(wordsOf(wrong)).toContain('is no address.');
});

test('what an operator or a server wrote stays text in the audit, in groups and in operations', async () => {
  const evil = '<script>alert(1)</script>"><img src=x>';
  const api = await serveApi();
  await plantDead(api.prefix, [{ reply: `550 ${evil}` }, { reply: `550 ${evil}` }]);
  const visitor = await signIn(api);
  await visitor.submit('/ui/connectors/relay/pause', { reason: evil });
  const preview = await visitor.post('/ui/dead-letters/preview', { action: 'replay', reply: evil, recipient: evil });
  const all = await visitor.post('/ui/dead-letters/preview', { action: 'replay' });
  await visitor.submit('/ui/dead-letters/replay', { selection: selectionOf(all.text), rate: '0.1', reason: evil });
  const pages = [
    '/ui/',
    '/ui/connectors',
    '/ui/connectors/relay',
    '/ui/dead-letters',
    '/ui/dead-letters?view=list',
    '/ui/operations',
    '/ui/audit',
  ];
  const texts = [preview, all, ...(await Promise.all(pages.map((path) => visitor.get(path))))];
  for (const { status, text } of texts) {
    expect(status).toBe(200);
    expect(text).not.toMatch(/<script>alert|<img/);
  }
});

test('events reach a page that is open, of messages and of connectors', async () => {
  const api = await serveApi();
  const visitor = await signIn(api);
  expect(wordsOf(await visitor.get('/ui/events'))).toContain('No event is kept.');
  const got = await firstEvent(api.port, visitor, async () => {
    await visitor.submit('/ui/connectors/relay/pause', { reason: '<script>alert(1)</script><img src=x>' });
  });
  expect(got).toContain('event: connector.paused');
  // Who opens the page later sees what was there before, as text.
  await visitor.submit('/ui/connectors/relay/resume');
  const page = await visitor.get('/ui/events');
  expect(wordsOf(page)).toMatch(/resumed relay .*paused relay/);
  expect(page.text).not.toMatch(/<script>alert|<img/);
  expect(wordsOf(await visitor.get('/ui/events?type=message.'))).toContain('No event is kept.');
  expect(wordsOf(await visitor.get('/ui/events?connector=other'))).toContain('No event is kept.');
});

test('a page listens for every type of event that there is', async () => {
  const api = await serveApi();
  const { text } = await (await signIn(api)).get('/ui/events');
  const kinds = /data-kinds="([^"]*)"/.exec(text)?.[1]?.split(' ');
  expect(kinds).toEqual([...eventTypes, 'gap']);
});

test('a token of some senders sees the events of their messages alone', async () => {
  const api = await serveApi({ tokens: [{ id: 'shop', scopes: ['operator'], from: ['shop@example.com'] }] });
  const { events } = openQueues(testConnection(), { prefix: api.prefix, shards: shardCount() });
  await events.register('test', { wants: 'all', leaseMs: null });
  await api.here.worker();
  for (const [id, from] of [
    ['mine', 'shop@example.com'],
    ['foreign', 'a@example.com'],
  ] as const) {
    await api.post('/v1/messages', { id, from, to: 'zoe@example.net', text: 'x' });
    await until(async () => (await api.ask(`/v1/messages/${id}`)).body.state === 'sent', { what: 'the mail' });
  }
  await api.post('/v1/connectors/relay/pause', { reason: 'r' });
  const all = await (await signIn(api)).get('/ui/events');
  expect(all.text).toMatch(/paused<[^]*foreign[^]*mine/);
  const own = await (await signIn(api, 'shop')).get('/ui/events');
  expect(own.text).toContain('/ui/messages/mine');
  expect(own.text).not.toMatch(/foreign|paused</);
});

/** Opens the stream, does something, and reads until an event is there. */
async function firstEvent(port: number, visitor: Visitor, act: () => Promise<void>): Promise<string> {
  const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const ended = new AbortController();
  const answer = await fetch(`http://127.0.0.1:${port}/ui/stream`, { headers: { cookie }, signal: ended.signal });
  expect(answer.headers.get('content-type')).toBe('text/event-stream');
  await act();
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of answer.body!) {
    text += decoder.decode(chunk);
    if (text.includes('event: connector')) break;
  }
  ended.abort();
  return text;
}
