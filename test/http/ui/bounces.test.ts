/** What came back, in the dashboard: in the message, in the search, and where its reports are read. */
import { expect, test } from 'vitest';
import { until } from '../../../testkit/until.ts';
import { signIn, wordsOf } from '../../support/dashboard.ts';
import { serveApi } from '../../support/http-server.ts';
import { testOperator } from '../../support/postlane.ts';
import { redisUrl } from '../../support/redis.ts';

const evil = '<script>alert(1)</script>"><img src=x>\u202e';

test('a message that came back says so for each recipient, with the reason as text, and is found by that', async () => {
  const api = await serveApi();
  await api.here.worker();
  await api.post('/v1/messages', {
    id: 'back',
    from: 'a@example.com',
    to: ['zoe@example.net', 'ben@example.net'],
    text: 'x',
  });
  await api.post('/v1/messages', { id: 'other', from: 'a@example.com', to: 'zoe@example.net', text: 'x' });
  for (const id of ['back', 'other']) {
    await until(async () => (await api.ask(`/v1/messages/${id}`)).body.state === 'sent', { what: `${id} to be sent` });
  }
  const visitor = await signIn(api);
  expect(wordsOf(await visitor.get('/ui/messages?bounced=1'))).toContain('No message was found.');
  const operator = await testOperator(api.prefix, redisUrl());
  const bounce = { at: Date.now(), status: '5.1.1', smtpCode: '550', permanent: true, diagnostic: `550 ${evil}` };
  await operator.bounceNotes.write('back', 'relay', Date.now(), [
    { place: 0, address: 'zoe@example.net', bounce: { ...bounce, action: 'failed' } },
    { place: 1, address: 'ben@example.net', bounce: { ...bounce, action: 'delayed', diagnostic: null } },
  ]);
  const page = await visitor.get('/ui/messages/back');
  const words = wordsOf(page);
  expect(words).toContain('It came back from 1 of 2.');
  expect(words).toContain('Came back a report in the mailbox of relay');
  expect(words).toMatch(/zoe@example\.net 550 <script>.*U\+202E.* came back/);
  expect(words).toContain('550 5.1.1');
  expect(words).toContain('delayed on its way');
  const list = await visitor.get('/ui/messages?bounced=1');
  expect(list.text).toContain('href="/ui/messages/back"');
  expect(list.text).not.toContain('href="/ui/messages/other"');
  expect(wordsOf(list)).toContain('came back');
  for (const { text } of [page, list]) expect(text).not.toMatch(/<script>alert|<img|\u202e/);
});

test('a connector whose mailbox is read says when that was last, and how often it has failed', async () => {
  const mailbox =
    '{ address: b@example.com, direction: both, bounces: true, incoming: { protocol: imap, host: 127.0.0.1, port: 1, user: b, password: p }, smtp: { host: 127.0.0.1, port: 1, security: none, allowInsecureAuth: true } }';
  const api = await serveApi({ others: { mailbox } });
  const visitor = await signIn(api);
  expect(wordsOf(await visitor.get('/ui/connectors/mailbox'))).toContain(
    'Delivery reports Mailbox IMAP, 127.0.0.1 State not read yet Last read never Next once a worker runs',
  );
  expect(wordsOf(await visitor.get('/ui/connectors/relay'))).not.toContain('Delivery reports');
  const { mailboxes } = await testOperator(api.prefix, redisUrl());
  await mailboxes.take('mailbox', 'test', 60_000);
  await mailboxes.end('mailbox', 'test', 600_000, 0);
  expect(wordsOf(await visitor.get('/ui/connectors/mailbox'))).toMatch(
    /State read Last read 0 s ago .* Next (tomorrow )?\d\d:/,
  );
});
