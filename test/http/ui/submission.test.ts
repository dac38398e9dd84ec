/** Submission in the dashboard: who submits, what is refused and why, and whose log-in is locked. */
import { expect, test } from 'vitest';
import { openSubmissionStore } from '../../../src/admin/submissions.ts';
import { hashPassword } from '../../../src/submission/password.ts';
import { signIn, wordsOf } from '../../support/dashboard.ts';
import { serveApi } from '../../support/http-server.ts';
import { redisUrl, shardCount } from '../../support/redis.ts';

const evil = '<script>alert(1)</script>"><img src=x>';

test('without users and listeners, the page says what to add', async () => {
  const api = await serveApi();
  const words = wordsOf(await (await signIn(api)).get('/ui/submission'));
  expect(words).toContain('Nothing listens: the configuration has no submission.listeners.');
  expect(words).toContain('No user may submit mail by SMTP yet. Add submission.users');
  expect(words).toContain('start postlane smtp');
});

test('each user is shown with what was accepted and refused, failed log-ins lock, and what a client wrote stays text', async () => {
  const hash = await hashPassword('correct-horse-battery');
  const api = await serveApi({
    rest: [
      'submission:',
      '  listeners:',
      '    - { listen: 127.0.0.1:0, security: none, networks: [127.0.0.0/8], from: ["*@example.com"] }',
      '  users:',
      `    - { user: erp, password: "${hash}", from: [erp@example.com] }`,
      `    - { user: printer, password: "${hash}", from: [printer@example.com] }`,
      `    - { user: idle, password: "${hash}", from: [idle@example.com] }`,
    ],
  });
  const store = openSubmissionStore({
    redis: { url: redisUrl(), prefix: api.prefix, shards: shardCount() },
    timeoutMs: 5_000,
  });
  const at = Date.now();
  const refused = { at, reply: `550 5.7.1 ${evil}` };
  await store.note([
    { user: 'erp', counts: { accepted: 12, duplicate: 2 }, last: { at, address: '192.0.2.7', refused: null } },
    {
      user: 'printer',
      counts: { accepted: 1, rate: 3, 'wrong-login': 10 },
      last: { at, address: '192.0.2.8', refused },
    },
    { user: 'fax', counts: { accepted: 4 }, last: { at, address: '192.0.2.9', refused: null } },
    { user: '127.0.0.1:0', counts: { accepted: 5, [evil]: 1 }, last: { at, address: '127.0.0.1', refused: null } },
  ]);
  for (let i = 0; i < 10; i += 1) await store.attempt({ user: 'printer', address: `192.0.2.${i}` });
  await store.attempt({ user: 'erp', address: '198.51.100.1' });
  store.close();
  const visitor = await signIn(api);
  const page = await visitor.get('/ui/submission');
  const words = wordsOf(page);
  expect(page.text).not.toMatch(/<script>alert|<img/);
  expect(words).toContain('22 messages were accepted. 1 user is locked out, except from known addresses.');
  expect(words).toMatch(/printer user locked 10 failed log-ins; forgotten in 1[45] min 1 3 rate 10/);
  expect(words).toMatch(/erp user log-ins fail 1 failed log-in; forgotten in 1[45] min/);
  expect(words).toContain('127.0.0.1:0 clients of a network, without a log-in submits 5');
  expect(words).toContain('fax not in the configuration any more gone 4');
  expect(words).toContain('idle user nothing yet 0');
  expect(words.indexOf('printer user')).toBeLessThan(words.indexOf('erp user'));
  expect(wordsOf(await visitor.get('/ui/submission?q=ERP'))).toContain('1 of 1');
  expect(wordsOf(await visitor.get(`/ui/submission?q=${encodeURIComponent(evil)}`))).toContain(
    'No user fits the filter.',
  );
});

test('what a token has used of its quota is shown', async () => {
  const api = await serveApi({
    tokens: [{ id: 'shop', scopes: ['messages:send'], messagesPerDay: 7, recipientsPerDay: 5 }],
  });
  const mail = { from: 'a@example.com', to: ['b@example.net', 'c@example.net'], text: 'x' };
  expect((await api.post('/v1/messages', mail, { as: 'shop' })).status).toBe(202);
  const words = wordsOf(await (await signIn(api)).get('/ui/submission'));
  expect(words).toMatch(/shop token of the API nothing yet 0 – 1 of 7 messages 2 of 5 recipients/);
});
