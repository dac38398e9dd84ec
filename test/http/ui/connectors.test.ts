/** Overview and connectors: what they show, and what can be done there. */
import { expect, test } from 'vitest';
import { until } from '../../../testkit/until.ts';
import { signIn, wordsOf } from '../../support/dashboard.ts';
import { serveApi } from '../../support/http-server.ts';

const archive = '{ direction: incoming, incoming: { protocol: pop3, host: pop.example.com, user: a, password: b } }';

test('the overview says in a sentence how it stands, without a worker and with one', async () => {
  const api = await serveApi({ others: { archive } });
  const visitor = await signIn(api);
  const without = wordsOf(await visitor.get('/ui/'));
  expect(without).toContain('No mail is sent: no worker is running. 0 messages wait.');
  expect(without).toContain('No connector is held up.');
  expect(without).toContain('There are no dead letters.');
  await api.here.worker();
  await until(async () => wordsOf(await visitor.get('/ui/')).includes('Everything is sent.'), { what: 'a worker' });
});

test('a connector is paused with a reason and an end, shown so everywhere, and resumed; the audit says by whom and that it was the dashboard', async () => {
  const api = await serveApi({ others: { archive } });
  const visitor = await signIn(api);
  const list = wordsOf(await visitor.get('/ui/connectors'));
  expect(list).toContain('No connector is held up. All 2 are sending, idle, or only receive.');
  const paused = await visitor.submit('/ui/connectors/relay/pause', { reason: 'the mailbox moves', for: '2h' });
  expect(wordsOf(paused)).toContain('relay is paused for 2 hours.');
  expect(wordsOf(paused)).toMatch(/It is paused until (tomorrow )?\d\d:\d\d\./);
  expect(wordsOf(paused)).toContain('the mailbox moves');
  expect(wordsOf(await visitor.get('/ui/connectors?state=paused'))).toContain('the mailbox moves , until');
  // The notice is told once.
  expect(wordsOf(await visitor.get('/ui/connectors/relay'))).not.toContain('relay is paused for 2 hours.');
  expect(wordsOf(await visitor.submit('/ui/connectors/relay/resume'))).toContain('relay is resumed.');
  const audit = await api.ask('/v1/audit');
  expect(audit.body.items).toMatchObject([
    { action: 'resume', by: 'all', through: 'ui', client: '127.0.0.1' },
    { action: 'pause', by: 'all', through: 'ui', reason: 'the mailbox moves' },
  ]);
});

test('a pause without a reason is refused with the rule', async () => {
  const api = await serveApi();
  const visitor = await signIn(api);
  expect(wordsOf(await visitor.submit('/ui/connectors/relay/pause', { reason: ' ' }))).toContain('Not done: reason');
  expect(wordsOf(await visitor.submit('/ui/connectors/nobody/pause', { reason: 'r' }))).toContain(
    'no connector has the id nobody',
  );
});

test('a login is tested without a mail, and a test message goes through the chosen connector', async () => {
  const broken = '{ direction: outgoing, smtp: { host: 127.0.0.1, port: 1, security: none } }';
  const api = await serveApi({ others: { broken } });
  const visitor = await signIn(api);
  expect(wordsOf(await visitor.submit('/ui/connectors/relay/try'))).toContain('The login of relay works');
  expect(wordsOf(await visitor.submit('/ui/connectors/broken/try'))).toContain('The login of broken failed:');
  expect(api.mail.received.transactions).toEqual([]);
  await api.here.worker();
  const fields = { to: 'ops@example.net', from: 'test@example.com' };
  expect(wordsOf(await visitor.submit('/ui/connectors/relay/test', fields))).toContain(
    'The test message is on its way',
  );
  await until(() => api.mail.received.transactions.length === 1, { what: 'the test message' });
});

test('a connector that is not there is told so, and a cursor or filter of a stranger is passed over', async () => {
  const api = await serveApi();
  const visitor = await signIn(api);
  const missing = await visitor.get('/ui/connectors/%3Cscript%3E');
  expect(missing.status).toBe(404);
  expect(missing.text).toContain('&lt;script&gt;');
  expect(missing.text).not.toContain('<script>');
  for (const search of [
    '?cursor=x',
    '?cursor=e30',
    '?state=__proto__',
    '?sort=constructor',
    '?q=%22%3E%3Cimg%20src%3Dx%3E',
  ]) {
    const page = await visitor.get(`/ui/connectors${search}`);
    expect(page.status).toBe(200);
    expect(page.text).not.toContain('<img');
  }
  expect((await visitor.get('/ui/connectors/%E0%A4%A')).status).toBe(404);
});

test('assets are sent once, and asked for by their tag', async () => {
  const api = await serveApi();
  const visitor = await signIn(api);
  const first = await visitor.get('/ui/assets/style.css');
  expect(first.headers['content-type']).toBe('text/css; charset=utf-8');
  const again = await visitor.get('/ui/assets/style.css', { 'if-none-match': String(first.headers['etag']) });
  expect(again.status).toBe(304);
  expect((await visitor.get('/ui/assets/../app.ts')).status).not.toBe(200);
  expect((await visitor.get('/ui/assets/icons.svg')).status).toBe(404);
});

test('a browser that asks for the server itself is led to the dashboard; the API is as it was', async () => {
  const api = await serveApi();
  const visitor = await signIn(api);
  expect((await visitor.get('/')).headers['location']).toBe('/ui/');
  expect((await api.ask('/', { as: null })).status).toBe(401);
  expect((await api.ask('/v1/whoami')).status).toBe(200);
});
