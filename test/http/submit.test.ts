/** Submitting over HTTP: what is stored, what is answered, and what is refused, asked from outside of the process. */
import { describe, expect, test } from 'vitest';
import { until } from '../../testkit/until.ts';
import { startTestServer } from '../support/cli-config.ts';
import { serveApi } from '../support/http-server.ts';

const mail = { from: 'shop@example.com', to: 'zoe@example.net', subject: 'Hi', text: 'Hello' };
const tokens = [
  { id: 'shop', scopes: ['messages:send', 'messages:read', 'messages:cancel'], from: ['*@example.com'] },
  { id: 'crm', scopes: ['messages:send', 'messages:read', 'messages:cancel'], from: ['crm@example.org'] },
];

test('a message is stored before 202 is answered, and is sent and followed under its id', async () => {
  const { here, post, ask, mail: server } = await serveApi({ tokens });
  const answered = await post('/v1/messages', mail, { as: 'shop' });
  expect(answered).toMatchObject({ status: 202, body: { state: 'queued', duplicate: false } });
  const { id } = answered.body;
  expect(answered.headers['location']).toBe(`/v1/messages/${id}`);
  expect((await ask(`/v1/messages/${id}`, { as: 'shop' })).body).toMatchObject({
    id,
    state: 'queued',
    connector: null,
  });
  const worker = await here.worker();
  await worker.logged('sent');
  expect((await ask(`/v1/messages/${id}`, { as: 'shop' })).body).toMatchObject({
    id,
    state: 'sent',
    connector: 'relay',
    attempts: 1,
    recipients: [{ address: 'zoe@example.net', outcome: 'accepted' }],
    from: 'shop@example.com',
    route: { from: 'shop@example.com', connector: 'relay', rule: 'default' },
    submittedBy: 'shop',
    retryAt: null,
  });
  const { body } = await ask(`/v1/messages/${id}/events`, { as: 'shop' });
  expect(body.items.map(({ event }: { event: string }) => event)).toContain('routed');
  expect(server.received.transactions).toHaveLength(1);
});

test('the attempts of a message tell of every reply, by which worker and server, and how large the mail was', async () => {
  let refusals = 1;
  const answers: Record<string, string> = { 'no@example.net': '550 5.1.1 no such user' };
  const strict = await startTestServer({
    script: {
      RCPT: ({ line }) => {
        const address = /<(.*?)>/.exec(line)?.[1] ?? '';
        if (address === 'late@example.net' && refusals-- > 0) return '450 4.2.0 mailbox busy';
        return answers[address];
      },
    },
  });
  const { here, post, ask } = await serveApi({
    others: {
      strict: `{ address: orders@example.com, direction: outgoing, smtp: { host: 127.0.0.1, port: ${strict.port}, security: none } }`,
    },
  });
  const to = ['yes@example.net', 'late@example.net', 'no@example.net'];
  await post('/v1/messages', { id: 'mixed', from: 'orders@example.com', to, text: 'x' });
  expect((await ask('/v1/messages/mixed')).body).toMatchObject({ attemptLog: [], size: null });
  const worker = await here.worker();
  await until(async () => (await ask('/v1/messages/mixed')).body.state === 'deferred', { what: 'the first attempt' });
  expect((await post('/v1/messages/mixed/send-now')).status).toBe(200);
  await until(async () => (await ask('/v1/messages/mixed')).body.state === 'partial', { what: 'the second attempt' });
  const { body } = await ask('/v1/messages/mixed');
  const about = { connector: 'strict', server: `127.0.0.1:${strict.port}`, worker: expect.any(String) };
  expect(body.attemptLog).toMatchObject([
    {
      ...about,
      at: expect.stringMatching(/^20.*Z$/),
      recipients: [
        { address: 'yes@example.net', outcome: 'accepted', code: '250' },
        { address: 'late@example.net', outcome: 'deferred', code: '450', enhancedCode: '4.2.0' },
        { address: 'no@example.net', outcome: 'rejected', code: '550', enhancedCode: '5.1.1' },
      ],
    },
    { ...about, recipients: [{ address: 'late@example.net', outcome: 'accepted', code: '250' }] },
  ]);
  expect(body.attempts).toBe(2);
  expect(body.size).toBeGreaterThan(200);
  expect(Object.keys(body.history.at(-1))).not.toContain('tried');
  expect(await worker.end()).toBe(0);
});

describe('Idempotency-Key', () => {
  const keyed = (key: string, as = 'shop') => ({ as, headers: { 'idempotency-key': key } });

  test('the same key and content again are 200 and one message, another content is 422', async () => {
    const { post } = await serveApi({ tokens });
    const first = await post('/v1/messages', mail, keyed('order-1'));
    expect(first).toMatchObject({ status: 202, body: { duplicate: false } });
    expect(await post('/v1/messages', mail, keyed('order-1'))).toMatchObject({
      status: 200,
      body: { id: first.body.id, state: 'queued', duplicate: true },
    });
    // JSON objects have no order.
    const reordered = { text: 'Hello', subject: 'Hi', to: ['zoe@example.net'], from: { address: 'shop@example.com' } };
    expect((await post('/v1/messages', reordered, keyed('order-1'))).status).toBe(200);
    for (const other of [
      { ...mail, text: 'Bye' },
      { ...mail, to: 'max@example.net' },
      { ...mail, id: 'own' },
    ]) {
      expect((await post('/v1/messages', other, keyed('order-1'))).body).toMatchObject({
        status: 422,
        code: 'idempotency-mismatch',
        id: first.body.id,
      });
    }
    expect((await post('/v1/messages', { ...mail, id: first.body.id }, keyed('order-1'))).status).toBe(200);
  });

  test('a key is one of its token alone', async () => {
    const { post } = await serveApi({ tokens: [...tokens, { id: 'shop2', scopes: ['messages:send'] }] });
    const one = await post('/v1/messages', mail, keyed('order-1'));
    const two = await post('/v1/messages', { ...mail, text: 'Other' }, keyed('order-1', 'shop2'));
    expect([one.status, two.status]).toEqual([202, 202]);
    expect(one.body.id).not.toBe(two.body.id);
  });

  test('the id of a body stands beside its key', async () => {
    const { post } = await serveApi({ tokens });
    expect((await post('/v1/messages', { ...mail, id: 'own' }, keyed('k'))).body).toMatchObject({ id: 'own' });
    expect((await post('/v1/messages', { ...mail, id: 'own' }, keyed('k'))).status).toBe(200);
    expect((await post('/v1/messages', { ...mail, id: 'own2' }, keyed('k'))).body.code).toBe('idempotency-mismatch');
    expect((await post('/v1/messages', mail, keyed('k'))).status).toBe(200);
  });

  test('twenty requests at once with one key are one message', async () => {
    const { post } = await serveApi({ tokens });
    const all = await Promise.all(Array.from({ length: 20 }, () => post('/v1/messages', mail, keyed('once'))));
    expect(new Set(all.map(({ body }) => body.id)).size).toBe(1);
    expect(all.filter(({ status }) => status === 202)).toHaveLength(1);
    expect(all.filter(({ status }) => status === 200)).toHaveLength(19);
  });

  test.each(['', 'x'.repeat(257), 'ü'])('the key "%s" is refused', async (key) => {
    const { post } = await serveApi({ tokens });
    const { body } = await post('/v1/messages', mail, keyed(key === 'ü' ? Buffer.from('ü').toString('latin1') : key));
    expect(body).toMatchObject({ status: 422, code: 'invalid-request', issues: [{ field: 'Idempotency-Key' }] });
  });
});

describe('a token that is limited to From addresses', () => {
  test('sends as them alone, in whatever place the sender stands', async () => {
    const { post } = await serveApi({ tokens });
    const raw = (header: string) => ({ raw: `${header}\r\nTo: zoe@example.net\r\nSubject: x\r\n\r\nx\r\n` });
    const refused: unknown[] = [
      { ...mail, from: 'other@example.net' },
      { ...mail, from: 'shop@EXAMPLE.com.evil.test' },
      { ...mail, envelope: { from: 'other@example.net' } },
      { ...mail, from: undefined },
      raw('From: other@example.net'),
      raw('From: shop@example.com, other@example.net'),
      raw('From: shop@example.com\r\nSender: other@example.net'),
      { ...raw('From: other@example.net'), from: 'shop@example.com' },
      { ...raw('From: shop@example.com'), envelope: { from: 'other@example.net' } },
      { from: 'shop@example.com', to: 'zoe@example.net', raw: { ref: 'a'.repeat(64), size: 3 } },
    ];
    for (const message of refused) {
      const [crm, shop] = [
        await post('/v1/messages', message, { as: 'crm' }),
        await post('/v1/messages', message, { as: 'shop' }),
      ];
      // Without a From, the unmonitored address of the file sends, which is one of the shop's.
      const hasNoFrom = 'from' in (message as object) && (message as { from?: string }).from === undefined;
      const about = JSON.stringify(message).slice(0, 90);
      expect([about, crm.status, crm.body.code, shop.status]).toEqual([about, 403, 'forbidden', hasNoFrom ? 202 : 403]);
    }
    const allowed: unknown[] = [
      { ...mail, from: '"The shop" <Shop@Example.COM>' },
      { ...mail, sender: 'Robot <robot@example.com>' },
      { ...mail, envelope: { from: '' } },
      { ...mail, envelope: { from: 'bounces@example.com' } },
      raw('From: =?utf-8?q?Caf=C3=A9?= <shop@example.com>\r\nSender: robot@example.com'),
    ];
    for (const message of allowed) expect((await post('/v1/messages', message, { as: 'shop' })).status).toBe(202);
    expect((await post('/v1/messages', { ...mail, from: 'crm@example.org' }, { as: 'crm' })).status).toBe(202);
  });

  test('cannot name somebody else as the sender who writes in its name (spoofed Sender)', async () => {
    const { post } = await serveApi({ tokens });
    const statusOf = async (message: object) => (await post('/v1/messages', message, { as: 'shop' })).status;
    for (const sender of ['other@example.net', { name: 'The shop', address: 'Boss@EXAMPLE.com.evil.test' }]) {
      const { body } = await post('/v1/messages', { ...mail, sender }, { as: 'shop' });
      expect(body).toMatchObject({
        status: 403,
        code: 'forbidden',
        detail: expect.stringContaining('may not send as'),
      });
    }
    const batch = await post(
      '/v1/messages/batch',
      { messages: [{ ...mail, sender: 'other@example.net' }] },
      { as: 'shop' },
    );
    expect(batch.body).toMatchObject({ results: [{ error: { status: 403 } }] });
    expect(await statusOf({ ...mail, sender: 'Robot <robot@example.com>' })).toBe(202);
    expect(await statusOf({ ...mail, sender: '' })).toBe(422);
  });

  test('neither reads nor cancels what others have sent, nor learns of it by its id', async () => {
    const { post, ask } = await serveApi({ tokens });
    const { body } = await post('/v1/messages', { ...mail, id: 'of-the-shop' }, { as: 'shop' });
    const as = 'crm';
    for (const path of [`/v1/messages/${body.id}`, `/v1/messages/${body.id}/events`]) {
      expect((await ask(path, { as })).body).toMatchObject({ status: 404, code: 'not-found' });
    }
    expect((await post(`/v1/messages/${body.id}/cancel`, undefined, { as })).status).toBe(404);
    const own = { ...mail, from: 'crm@example.org', id: 'of-the-shop' };
    const taken = await post('/v1/messages', own, { as });
    expect(taken.body).toMatchObject({ status: 409, code: 'conflict' });
    expect(taken.body).not.toHaveProperty('state');
    expect((await ask(`/v1/messages/${body.id}`, { as: 'shop' })).body.state).toBe('queued');
  });
});

describe('a message that is not valid', () => {
  test('is 422 with field and rule, and nothing of it is stored', async () => {
    const { post, ask } = await serveApi();
    const { body } = await post('/v1/messages', { id: 'bad', from: 'x', to: 'y@example.net', sbject: 'x' });
    expect(body).toMatchObject({ status: 422, code: 'message-invalid' });
    expect(body.issues.map(({ field }: { field: string }) => field)).toEqual(['sbject', 'from']);
    expect((await ask('/v1/messages/bad')).status).toBe(404);
  });

  test.each([
    ['a list', '[]', 422],
    ['null', 'null', 422],
    ['a text', '"x"', 422],
    ['nothing', '', 400],
    ['half of it', '{"from":', 400],
    ['bytes that are no UTF-8', Buffer.from([0x22, 0xff, 0x22]), 400],
    ['JSON that is nested without end', '['.repeat(100_000), 400],
    ['a number as recipient', '{"from":"a@b.example","to":5}', 422],
    ['an attachment by path', '{"from":"a@b.example","to":"c@d.example","attachments":[{"path":"/etc/passwd"}]}', 422],
    ['__proto__', '{"__proto__":{"from":"a@b.example"},"to":"c@d.example"}', 422],
  ])('%s is refused', async (_what, body, status) => {
    const { post } = await serveApi();
    const answered = await post('/v1/messages', body, { headers: { 'content-type': 'application/json' } });
    expect(answered.status).toBe(status);
    expect(answered.headers['content-type']).toBe('application/problem+json');
  });

  test('a body without a type, or of one that is not taken, is 415', async () => {
    const { post } = await serveApi();
    for (const type of ['', 'text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      const headers: Record<string, string> = type === '' ? {} : { 'content-type': type };
      expect((await post('/v1/messages', 'a=b', { headers })).body).toMatchObject({ status: 415 });
    }
    const gzip = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    expect((await post('/v1/messages', '{}', { headers: gzip })).status).toBe(415);
  });

  test('a body over the limit is 413, whether or not it says so first', async () => {
    const { post } = await serveApi({ rest: ['message: { maxSize: 30KiB }'] });
    const of = (chars: number) => JSON.stringify({ ...mail, text: 'x'.repeat(chars) });
    const headers = { 'content-type': 'application/json' };
    expect((await post('/v1/messages', of(15_000), { headers })).status).toBe(202);
    // It fits into a body, and not into a message.
    expect((await post('/v1/messages', of(35_000), { headers })).body).toMatchObject({
      status: 413,
      code: 'too-large',
    });
    expect((await post('/v1/messages', of(50_000), { headers })).body).toMatchObject({
      status: 413,
      code: 'too-large',
    });
    const chunked = { ...headers, 'transfer-encoding': 'chunked' };
    expect((await post('/v1/messages', of(50_000), { headers: chunked })).status).toBe(413);
  });
});

test('a finished message goes to the recipients in its header, or to those in the query', async () => {
  const { here, post, mail: server } = await serveApi({ tokens });
  const text = 'From: shop@example.com\r\nTo: zoe@example.net\r\nSubject: raw\r\n\r\nHello\r\n';
  const asked = { as: 'shop', headers: { 'content-type': 'message/rfc822' } };
  expect((await post('/v1/messages', text, asked)).status).toBe(202);
  const query = '?from=bounces@example.com&to=a@example.net&to=b@example.net';
  expect((await post(`/v1/messages${query}`, text, asked)).status).toBe(202);
  expect((await post('/v1/messages?to=c@example.net', { ...mail }, { as: 'shop' })).body.code).toBe('invalid-request');
  expect((await post('/v1/messages?from=x@evil.example', text, asked)).status).toBe(403);
  expect((await post('/v1/messages', 'no header', asked)).body.code).toBe('message-invalid');
  const worker = await here.worker();
  await worker.logged('sent', 2);
  const envelopes = server.received.transactions.map(({ from, to }) => [from, [...to].toSorted()]);
  expect(envelopes).toContainEqual(['bounces@example.com', ['a@example.net', 'b@example.net']]);
  expect(envelopes).toContainEqual(['shop@example.com', ['zoe@example.net']]);
});

test('through a chosen connector only with `connectors:write`', async () => {
  const second = await serveApi();
  const { here, post, ask } = await serveApi({
    tokens: [...tokens, { id: 'tester', scopes: ['messages:send', 'connectors:write'] }],
    others: {
      spare: `{ direction: outgoing, smtp: { host: 127.0.0.1, port: ${second.mail.port}, security: none } }`,
      inbox:
        '{ direction: incoming, address: in@example.com, incoming: { protocol: imap, host: a.example, user: u, password: p } }',
    },
  });
  expect((await post('/v1/messages?via=spare', mail, { as: 'shop' })).status).toBe(403);
  for (const via of ['inbox', 'nothing', 'Not%20an%20id']) {
    expect((await post(`/v1/messages?via=${via}`, mail, { as: 'tester' })).body).toMatchObject({
      status: 422,
      code: 'invalid-request',
      issues: [{ field: 'via' }],
    });
  }
  const { body } = await post('/v1/messages?via=spare', mail, { as: 'tester' });
  const worker = await here.worker();
  await worker.logged('sent');
  expect((await ask(`/v1/messages/${body.id}`)).body).toMatchObject({ connector: 'spare', route: { rule: 'via' } });
  expect(second.mail.received.transactions).toHaveLength(1);
  expect((await post('/v1/messages?via=spare', { ...mail, to: 'nonsense' }, { as: 'tester' })).status).toBe(422);
  const { items } = (await ask('/v1/audit?action=send-via')).body;
  expect(items).toMatchObject([
    { by: 'tester', through: 'api', target: 'spare', result: 'message-invalid' },
    { by: 'tester', through: 'api', target: 'spare', result: 'done', detail: `message ${body.id}` },
  ]);
});

describe('a batch', () => {
  test('has a result for each message, in order; one that is refused affects no other', async () => {
    const { post } = await serveApi({ tokens });
    const messages = [
      mail,
      { ...mail, to: 'nonsense' },
      { ...mail, from: 'x@evil.example' },
      { ...mail, id: 'four' },
      { ...mail, id: 'four' },
    ];
    const { status, body } = await post('/v1/messages/batch', { messages }, { as: 'shop' });
    expect(status).toBe(200);
    expect(body.results).toMatchObject([
      { state: 'queued', duplicate: false },
      { error: { status: 422, code: 'message-invalid', issues: [{ field: 'to' }] } },
      { error: { status: 403, code: 'forbidden' } },
      { id: 'four', duplicate: false },
      { id: 'four', duplicate: true },
    ]);
  });

  test('again under its key is the same messages', async () => {
    const { post } = await serveApi({ tokens });
    const asked = { as: 'shop', headers: { 'idempotency-key': 'b' } };
    const messages = [mail, { ...mail, text: 'two' }];
    const one = (await post('/v1/messages/batch', { messages }, asked)).body.results;
    const two = (await post('/v1/messages/batch', { messages }, asked)).body.results;
    expect(two).toEqual(one.map((each: object) => ({ ...each, duplicate: true })));
  });

  test('of more than 1,000, or of none, is refused, and each message counts for the rate', async () => {
    const { post } = await serveApi({ tokens: [{ id: 'slow', scopes: ['messages:send'], ratePerMinute: 5 }] });
    const of = (count: number) => ({ messages: Array.from({ length: count }, () => mail) });
    expect((await post('/v1/messages/batch', of(1_000))).body.results).toHaveLength(1_000);
    expect((await post('/v1/messages/batch', of(1_001))).body.code).toBe('invalid-request');
    expect((await post('/v1/messages/batch', of(0))).body.code).toBe('invalid-request');
    expect((await post('/v1/messages/batch', of(4), { as: 'slow' })).status).toBe(200);
    expect((await post('/v1/messages/batch', of(3), { as: 'slow' })).status).toBe(429);
  });
});

test('a message is cancelled once, and one that is settled cannot be', async () => {
  const { here, post } = await serveApi({ tokens });
  const { body: one } = await post('/v1/messages', { ...mail, sendAt: '2099-01-01T00:00:00Z' }, { as: 'shop' });
  expect(one.state).toBe('scheduled');
  const cancel = (id: string) => post(`/v1/messages/${id}/cancel`, undefined, { as: 'shop' });
  expect(await cancel(one.id)).toMatchObject({ status: 200, body: { state: 'cancelled', deadline: null } });
  expect(await cancel(one.id)).toMatchObject({ status: 200, body: { state: 'cancelled' } });
  const { body: two } = await post('/v1/messages', mail, { as: 'shop' });
  const worker = await here.worker();
  await worker.logged('sent');
  expect((await cancel(two.id)).body).toMatchObject({ status: 409, code: 'conflict', state: 'sent', id: two.id });
  expect((await cancel('unknown')).body).toMatchObject({ status: 404, code: 'not-found' });
  expect((await cancel('a%2Fb')).status).toBe(404);
  expect((await cancel('x'.repeat(2_000))).status).toBe(404);
});

test('another `message.maxRecipients` is in force at once', async () => {
  const { here, post, serve, config } = await serveApi({ tokens });
  const limited = (most: number): string => config(tokens, [`message: { maxRecipients: ${most} }`]);
  const to = ['a@example.net', 'b@example.net'];
  for (const [most, status] of [
    [1, 422],
    [2, 202],
  ] as const) {
    here.write('postlane.yaml', limited(most));
    const before = serve.of('config-applied').length;
    serve.child.kill('SIGHUP');
    await until(() => serve.of('config-applied').length > before, { what: 'the configuration to be in force' });
    expect((await post('/v1/messages', { ...mail, to }, { as: 'shop' })).status).toBe(status);
  }
});
