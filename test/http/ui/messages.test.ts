/** Messages: found, followed over their attempts, and acted on; what strangers wrote stays text. */
import { expect, test } from 'vitest';
import { until } from '../../../testkit/until.ts';
import { meeting } from '../../support/calendar.ts';
import { signIn, wordsOf } from '../../support/dashboard.ts';
import { serveApi } from '../../support/http-server.ts';
import { plantDead } from '../../support/operators.ts';

const mail = { from: 'a@example.com', to: 'zoe@example.net', subject: 'Secret subject', text: 'Secret body' };
const hostile = '"><script>alert(1)</script><img src=x onerror=alert(2)>\u202egnp.exe';

test('a sent message is found by its recipient and its id, and shows who has it, what the server said and why this connector', async () => {
  const api = await serveApi();
  await api.here.worker();
  const { id } = (await api.post('/v1/messages', { ...mail, id: 'order-4711' })).body;
  await until(async () => (await api.ask(`/v1/messages/${id}`)).body.state === 'sent', { what: 'the mail' });
  const visitor = await signIn(api);
  for (const q of ['zoe@example.net', 'ZOE@EXAMPLE.NET']) {
    const list = await visitor.get(`/ui/messages?q=${encodeURIComponent(q)}`);
    expect(list.text).toContain('href="/ui/messages/order-4711"');
    expect(list.text).not.toContain('Secret');
  }
  expect((await visitor.get('/ui/messages?q=order-4711')).text).toContain('href="/ui/messages/order-4711"');
  const page = await visitor.get('/ui/messages/order-4711');
  const words = wordsOf(page);
  expect(words).toContain('The recipient has it.');
  expect(words).toContain('Attempt 1: 1 accepted');
  expect(words).toContain('250');
  expect(words).toContain('It is the system default gateway');
  expect(words).toContain('It is settled: sent.');
  expect(page.text).not.toContain('Secret');
});

test('a scheduled message is sent now, or cancelled; a second click is told what happened meanwhile', async () => {
  const api = await serveApi();
  const sendAt = new Date(Date.now() + 3_600_000).toISOString();
  await api.post('/v1/messages', { ...mail, id: 'later', sendAt });
  await api.post('/v1/messages', { ...mail, id: 'never', sendAt });
  const visitor = await signIn(api);
  expect(wordsOf(await visitor.get('/ui/messages/never'))).toContain('It is sent in 59 min');
  expect(wordsOf(await visitor.submit('/ui/messages/never/cancel'))).toContain('It is cancelled.');
  const again = wordsOf(await visitor.submit('/ui/messages/later/send-now'));
  expect(again).toContain('It is next in line.');
  expect(wordsOf(await visitor.submit('/ui/messages/later/send-now'))).toContain(
    'Not done: Only scheduled and deferred',
  );
  const audit = await api.ask('/v1/audit');
  expect(audit.body.items).toMatchObject([
    { action: 'send-now', target: 'later', through: 'ui', result: 'done' },
    { action: 'cancel', target: 'never', through: 'ui', result: 'done' },
  ]);
});

test('two who act on one message at once: one does it, the other is told that it is done', async () => {
  const api = await serveApi();
  await api.post('/v1/messages', { ...mail, id: 'one', sendAt: new Date(Date.now() + 3_600_000).toISOString() });
  const visitors = await Promise.all([signIn(api), signIn(api)]);
  const answers = await Promise.all(visitors.map((visitor) => visitor.submit('/ui/messages/one/cancel')));
  for (const answer of answers) expect(wordsOf(answer)).toContain('It is cancelled.');
  expect((await api.ask('/v1/messages/one')).body.state).toBe('cancelled');
});

test('a dead letter is replayed through another connector, from its own page', async () => {
  const other = '{ direction: outgoing, smtp: { host: 127.0.0.1, port: 1, security: none } }';
  const api = await serveApi({ others: { other } });
  const [id = ''] = await plantDead(api.prefix, [{}]);
  const visitor = await signIn(api);
  expect(wordsOf(await visitor.get(`/ui/messages/${id}`))).toContain('No one has it.');
  const done = wordsOf(
    await visitor.submit(`/ui/messages/${id}/replay`, { via: 'other', reason: 'the relay was wrong' }),
  );
  expect(done).toContain('It is replayed through other, by the operation op_');
  const audit = await api.ask('/v1/audit?action=replay');
  expect(audit.body.items[0]).toMatchObject({ through: 'ui', reason: 'the relay was wrong' });
  const none = wordsOf(await visitor.submit(`/ui/messages/${id}/drop`, { reason: '' }));
  expect(none).toContain('Not done: reason');
});

test('content is shown for a click, with the right scope and an entry in the audit; HTML can do nothing', async () => {
  const api = await serveApi({
    tokens: [
      { id: 'looker', scopes: ['viewer'] },
      { id: 'reader', scopes: ['content'] },
    ],
  });
  const html = '<p onclick="alert(1)">Dear Zoe</p><script>parent.location="https://evil.example"</script>';
  const sendAt = new Date(Date.now() + 3_600_000).toISOString();
  await api.post('/v1/messages', { ...mail, html, id: 'kept', sendAt, subject: `S ${hostile}` });
  const looker = await signIn(api, 'looker');
  expect(wordsOf(await looker.get('/ui/messages/kept'))).toContain('Reading it needs the scope content:read .');
  const refused = await looker.post('/ui/messages/kept/content');
  expect(refused.status).toBe(403);
  expect(refused.text).not.toContain('Secret body');
  const reader = await signIn(api, 'reader');
  const page = await reader.post('/ui/messages/kept/content');
  expect(page.status).toBe(200);
  expect(wordsOf(page)).toContain('Secret body');
  expect(page.text).toContain('S &quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;');
  expect(page.text).toMatch(/sandbox=""\s+referrerpolicy="no-referrer"\s+srcdoc="&lt;meta http-equiv=/);
  expect(page.text).toContain('&lt;script&gt;parent.location');
  expect(page.text).not.toContain('<script>parent');
  const audit = await api.ask('/v1/audit?action=read-content');
  expect(audit.body.items).toMatchObject([{ by: 'reader', through: 'ui', target: 'kept', result: 'done' }]);
});

test('an invitation, an alternative and a sender are shown with the content, and their markup is text', async () => {
  const api = await serveApi({ tokens: [{ id: 'reader', scopes: ['content'] }] });
  const forms = {
    sender: { name: hostile, address: 'ann@example.com' },
    calendarEvent: { content: meeting('REQUEST', [`COMMENT:${hostile}`]) },
    alternatives: [{ contentType: 'text/x-amp-html', content: `<!doctype html>${hostile}` }],
  };
  const sendAt = new Date(Date.now() + 3_600_000).toISOString();
  expect((await api.post('/v1/messages', { ...mail, ...forms, id: 'kept', sendAt })).status).toBe(202);
  const page = await (await signIn(api, 'reader')).post('/ui/messages/kept/content');
  const words = wordsOf(page);
  for (const shown of ['Sender', 'ann@example.com', 'Invitation', 'METHOD:REQUEST', 'Alternative text/x-amp-html']) {
    expect(words).toContain(shown);
  }
  expect(page.text).toContain('COMMENT:&quot;&gt;&lt;script&gt;');
  expect(page.text).not.toContain('<script>alert(1)');
});

test('a token that is limited to some senders sees their messages alone', async () => {
  const api = await serveApi({ tokens: [{ id: 'shop', scopes: ['operator'], from: ['shop@example.com'] }] });
  await api.post('/v1/messages', { ...mail, id: 'foreign', sendAt: new Date(Date.now() + 3_600_000).toISOString() });
  const visitor = await signIn(api, 'shop');
  expect((await visitor.get('/ui/messages/foreign')).status).toBe(404);
  expect((await visitor.get('/ui/messages?q=foreign')).text).not.toContain('href="/ui/messages/foreign"');
  expect(wordsOf(await visitor.submit('/ui/messages/foreign/cancel'))).toContain('Not found');
  expect((await api.ask('/v1/messages/foreign')).body.state).toBe('scheduled');
});

test('a reply, a sender, metadata and a query that are markup stay text, and characters that turn text are named', async () => {
  const api = await serveApi();
  await plantDead(api.prefix, [
    {
      id: 'evil',
      reply: `550 ${hostile}`,
      recipients: [{ address: 'r0@example.net', code: '550', reply: `550 ${hostile}` }],
    },
  ]);
  const visitor = await signIn(api);
  for (const path of [
    '/ui/messages/evil',
    `/ui/messages?q=${encodeURIComponent(hostile)}&metadata=${encodeURIComponent(hostile)}`,
  ]) {
    const { text } = await visitor.get(path);
    expect(text).not.toMatch(/<script>alert|<img/);
    // In the field of the search it is what was typed.
    expect(text.replaceAll(/ value="[^"]*"/g, '')).not.toContain('\u202e');
  }
});

test('recipients are masked where the configuration says so, in replies, too', async () => {
  const api = await serveApi({ rest: ['ui: { maskRecipients: true }'] });
  const [id = ''] = await plantDead(api.prefix, [{}]);
  const visitor = await signIn(api);
  for (const path of [`/ui/messages/${id}`, '/ui/messages']) {
    const { text } = await visitor.get(path);
    expect(text).not.toContain('r0@example.net');
  }
  expect(wordsOf(await visitor.get(`/ui/messages/${id}`))).toContain('…@example.net');
});

test('a search by what is not indexed says which setting it needs', async () => {
  const api = await serveApi();
  const visitor = await signIn(api);
  expect(wordsOf(await visitor.get('/ui/messages?q=from:a@example.com'))).toContain('index.from: true');
  expect(wordsOf(await visitor.get('/ui/messages'))).toContain('There are no messages yet.');
  expect(wordsOf(await visitor.get('/ui/messages?q=nobody@example.net'))).toContain('No message was found.');
});
