/** The operator's side of the API, from outside of the process: connectors, dead letters, operations, messages, audit, statistics. */
import { expect, onTestFinished, test } from 'vitest';
import { startSmtpServer } from '../../testkit/smtp/server.ts';
import { until } from '../../testkit/until.ts';
import { signIn, wordsOf } from '../support/dashboard.ts';
import { serveApi, type ServedApi } from '../support/http-server.ts';
import { plantDead } from '../support/operators.ts';

const archive = '{ direction: incoming, incoming: { protocol: pop3, host: pop.example.com, user: a, password: b } }';

async function deadLetters(api: ServedApi, count: number): Promise<string[]> {
  return plantDead(
    api.prefix,
    Array.from({ length: count }, () => ({})),
  );
}

test('a connector is listed, paused with a reason and an end, shown so, and resumed; each with its entry in the audit', async () => {
  const api = await serveApi({ others: { archive } });
  const listed = await api.ask('/v1/connectors');
  expect(listed.body).toMatchObject({
    count: 2,
    next: null,
    states: { idle: 1, incoming: 1 },
    items: [{ id: 'relay', state: 'idle', isDefault: true, pause: null, faults: [], suspect: null }, { id: 'archive' }],
  });
  const paused = await api.post('/v1/connectors/relay/pause', { reason: 'the mailbox moves', for: '2h' });
  expect(paused.body).toMatchObject({
    id: 'relay',
    paused: true,
    before: null,
    pause: { by: 'all', reason: 'the mailbox moves' },
  });
  const left = Date.parse(paused.body.pause.until) - Date.now();
  expect(left).toBeGreaterThan(7_100_000);
  expect(left).toBeLessThanOrEqual(7_200_000);
  expect((await api.ask('/v1/connectors/relay')).body).toMatchObject({ state: 'paused', waitingFor: 'pause' });
  expect((await api.ask('/v1/connectors?state=paused&text=RELAY')).body.items).toHaveLength(1);
  const resumed = await api.post('/v1/connectors/relay/resume', {});
  expect(resumed.body).toMatchObject({ paused: false, before: { by: 'all' } });
  expect((await api.post('/v1/connectors/relay/resume')).status).toBe(200);
  const audit = await api.ask('/v1/audit');
  expect(audit.body.items.map((entry: { action: string; by: string }) => [entry.action, entry.by])).toEqual([
    ['resume', 'all'],
    ['resume', 'all'],
    ['pause', 'all'],
  ]);
  expect(audit.body.items[2]).toMatchObject({
    target: 'relay',
    reason: 'the mailbox moves',
    result: 'done',
    client: '127.0.0.1',
  });
});

test('a pause without a reason, with an unknown field or a wrong time is refused by field and rule', async () => {
  const api = await serveApi({ others: { archive } });
  const refused = async (body: unknown): Promise<unknown> => (await api.post('/v1/connectors/relay/pause', body)).body;
  expect(await refused({})).toMatchObject({ status: 422, issues: [{ field: 'reason', rule: 'required' }] });
  expect(await refused({ reason: ' ' })).toMatchObject({ status: 422, issues: [{ field: 'reason' }] });
  expect(await refused({ reason: 'r', for: '366d' })).toMatchObject({
    status: 422,
    issues: [{ field: 'for', rule: 'duration' }],
  });
  expect(await refused({ reason: 'r', until: 'x' })).toMatchObject({
    status: 422,
    issues: [{ field: 'until', rule: 'unknown-field' }],
  });
  expect((await api.post('/v1/connectors/nobody/pause', { reason: 'r' })).status).toBe(404);
  expect((await api.post('/v1/connectors/archive/pause', { reason: 'r' })).status).toBe(409);
  expect((await api.ask('/v1/connectors/nobody')).status).toBe(404);
  expect((await api.ask('/v1/connectors?cursor=x')).status).toBe(422);
});

test('of several hosts each is tried and named, and one that works is enough', async () => {
  const spare = await startSmtpServer();
  onTestFinished(() => spare.stop());
  const hosts = `[{ host: 127.0.0.1, port: 1 }, { host: 127.0.0.1, port: ${spare.port} }]`;
  const api = await serveApi({ others: { two: `{ direction: outgoing, smtp: { hosts: ${hosts}, security: none } }` } });
  expect((await api.post('/v1/connectors/two/try')).body).toMatchObject({
    ok: true,
    detail: '1 of 2 hosts fails: 127.0.0.1:1 (unreachable)',
    hosts: [
      { host: '127.0.0.1:1', ok: false, code: 'ECONNREFUSED' },
      { host: `127.0.0.1:${spare.port}`, ok: true },
    ],
  });
  const visitor = await signIn(api);
  expect(wordsOf(await visitor.submit('/ui/connectors/two/try'))).toContain(
    'But 1 of 2 hosts fails: 127.0.0.1:1 (unreachable).',
  );
});

test('a log-in is tried without a mail, and a failure is an answer', async () => {
  const api = await serveApi({
    others: { broken: '{ direction: outgoing, smtp: { host: 127.0.0.1, port: 1, security: none } }' },
  });
  expect((await api.post('/v1/connectors/relay/try')).body).toMatchObject({
    connector: 'relay',
    ok: true,
    transport: 'smtp',
  });
  expect((await api.post('/v1/connectors/broken/try')).body).toMatchObject({
    ok: false,
    fault: 'unreachable',
    code: 'ECONNREFUSED',
  });
  expect(api.mail.received.transactions).toEqual([]);
});

test('dead letters are grouped, previewed, replayed by an operation that is followed to its end, and gone', async () => {
  const api = await serveApi();
  const worker = await api.here.worker();
  await deadLetters(api, 25);
  const listed = await api.ask('/v1/dead-letters?limit=10');
  expect(listed.body.items.map(({ id }: { id: string }) => id)[0]).toBe('dead-000024');
  const rest = await api.ask(`/v1/dead-letters?limit=20&cursor=${listed.body.next}`);
  expect(rest.body).toMatchObject({ next: null });
  expect(rest.body.items).toHaveLength(15);
  const grouped = await api.ask('/v1/dead-letters?group=reason,connector,reply');
  expect(grouped.body).toMatchObject({
    count: 25,
    groups: [
      { reason: 'rejected', connector: 'relay', reply: '550 5.1.1 <>: User unknown', count: 25, wouldRouteTo: 'relay' },
    ],
  });
  const filter = { reply: '550 5.1.1 <>: User unknown', reason: 'rejected' };
  const preview = await api.post('/v1/dead-letters/preview', { filter });
  expect(preview.body).toMatchObject({
    count: 25,
    recipients: 25,
    byConnector: [{ connector: 'relay', count: 25 }],
    excluded: [],
  });
  const begun = await api.post('/v1/dead-letters/replay', {
    selection: preview.body.selection,
    ratePerSecond: 100,
    reason: 'repaired',
  });
  expect(begun.status).toBe(202);
  expect(begun.headers['location']).toBe(`/v1/operations/${begun.body.id}`);
  const ended = await until(
    async () => {
      const { body } = await api.ask(`/v1/operations/${begun.body.id}`);
      return body.state === 'done' ? body : null;
    },
    { what: 'the operation to end' },
  );
  expect(ended).toMatchObject({ total: 25, done: 25, results: { replayed: 25 }, reason: 'repaired', by: 'all' });
  await until(() => api.mail.received.transactions.length === 25, { what: 'all mails' });
  expect((await api.ask('/v1/dead-letters')).body.items).toEqual([]);
  expect((await api.ask('/v1/operations')).body.items).toHaveLength(1);
  expect((await api.ask(`/v1/operations/${begun.body.id}`, { method: 'DELETE' })).status).toBe(409);
  await worker.end();
});

test('an operation is slowed down and stopped; what it has not done stays dead', async () => {
  const api = await serveApi();
  await deadLetters(api, 50);
  const begun = await api.post('/v1/dead-letters/drop', { all: true, count: 50, ratePerSecond: 1, reason: 'a test' });
  expect(begun.status).toBe(202);
  const at = `/v1/operations/${begun.body.id}`;
  expect((await api.ask(at, { method: 'PATCH', body: { ratePerSecond: 0.1 } })).body).toMatchObject({
    ratePerSecond: 0.1,
  });
  expect((await api.ask(at, { method: 'PATCH', body: { ratePerSecond: 0 } })).status).toBe(422);
  const stopped = await api.ask(`${at}?reason=enough`, { method: 'DELETE' });
  expect(stopped.body).toMatchObject({ state: 'stopped', stoppedBy: 'all', stopReason: 'enough' });
  expect((await api.ask('/v1/dead-letters?group=reason')).body.count).toBeGreaterThan(40);
  expect((await api.ask('/v1/operations/op_nothing')).status).toBe(404);
});

test('what is to be replayed or dropped must be said, once, and counted right', async () => {
  const api = await serveApi();
  await deadLetters(api, 2);
  const replay = (body: unknown) => api.post('/v1/dead-letters/replay', body);
  expect((await replay({})).body).toMatchObject({ status: 422, issues: [{ rule: 'choice' }] });
  expect((await replay({ ids: ['a'], all: true, count: 1 })).status).toBe(422);
  expect((await replay({ all: true })).body).toMatchObject({
    status: 422,
    issues: [{ field: 'count', rule: 'required' }],
  });
  expect((await replay({ all: true, count: 7 })).body).toMatchObject({
    status: 409,
    code: 'conflict',
    why: 'count',
    count: 2,
  });
  expect((await replay({ selection: 'sel_x' })).status).toBe(404);
  expect((await replay({ all: true, count: 2, via: 'nobody' })).body).toMatchObject({ status: 409, why: 'via' });
  expect((await api.post('/v1/dead-letters/drop', { all: true, count: 2 })).body).toMatchObject({
    issues: [{ field: 'reason' }],
  });
  expect((await api.ask('/v1/dead-letters?group=subject')).status).toBe(422);
});

test('a token that is limited to From addresses sees its own dead letters alone, and begins nothing', async () => {
  const api = await serveApi({ tokens: [{ id: 'shop', scopes: ['operator'], from: ['s@example.com'] }] });
  await plantDead(api.prefix, [{}, { from: 's@example.com' }, {}]);
  const { body } = await api.ask('/v1/dead-letters', { as: 'shop' });
  expect(body.items.map(({ from }: { from: string }) => from)).toEqual(['s@example.com']);
  for (const path of ['replay', 'drop', 'preview']) {
    const asked = path === 'preview' ? {} : { all: true, count: 3, reason: 'r' };
    expect([path, (await api.post(`/v1/dead-letters/${path}`, asked, { as: 'shop' })).status]).toEqual([path, 403]);
  }
  expect((await api.ask('/v1/dead-letters?group=reason', { as: 'shop' })).status).toBe(403);
});

test('a message says what may be done with it; it is sent now, cancelled, and sent again as a new one that names it', async () => {
  const api = await serveApi();
  const worker = await api.here.worker();
  const message = { from: 'a@example.com', to: 'b@example.net', text: 'x', sendAt: '2099-01-01T00:00:00Z' };
  await api.post('/v1/messages', { ...message, id: 'one' });
  const shown = await api.ask('/v1/messages/one');
  const allowed = shown.body.actions.filter((each: { allowed: boolean }) => each.allowed);
  expect(allowed.map(({ action }: { action: string }) => action)).toEqual(['cancel', 'send-now', 'resend']);
  const again = await api.post('/v1/messages/one/resend');
  expect(again).toMatchObject({ status: 202, body: { resendOf: 'one' } });
  expect(again.body.id).not.toBe('one');
  expect((await api.post('/v1/messages/one/send-now')).status).toBe(200);
  const state = async (id: string): Promise<string> => (await api.ask(`/v1/messages/${id}`)).body.state;
  await until(async () => (await state('one')) === 'sent' && (await state(again.body.id)) === 'sent', {
    what: 'both to be sent',
  });
  expect((await api.post('/v1/messages/one/send-now')).body).toMatchObject({ status: 409, code: 'conflict' });
  expect((await api.post('/v1/messages/one/resolve', { as: 'sent' })).body).toMatchObject({
    status: 409,
    state: 'sent',
  });
  expect((await api.post('/v1/messages/nothing/resend')).status).toBe(404);
  await api.post('/v1/messages', { ...message, id: 'two' });
  expect((await api.post('/v1/messages/two/cancel')).body).toMatchObject({ state: 'cancelled' });
  const actions = (await api.ask('/v1/audit')).body.items.map((entry: { action: string }) => entry.action);
  expect(actions).toEqual(['cancel', 'resolve', 'send-now', 'resend']);
  await worker.end();
});

test('statistics show workers, the series of a day, and the state of the configuration', async () => {
  const api = await serveApi();
  const worker = await api.here.worker();
  await api.post('/v1/messages', { id: 'one', from: 'a@example.com', to: 'b@example.net', text: 'x' });
  const stats = await until(
    async () => {
      const { body } = await api.ask('/v1/stats');
      return body.sent === 1 && body.workers.length === 1 ? body : null;
    },
    { what: 'the message and the worker to be counted' },
  );
  expect(stats).toMatchObject({
    sentWithinFiveMinutes: 1,
    oldest: null,
    firstDeadline: null,
    slotsBusy: 0,
    configuration: { state: 'applied', rejectedAt: null },
    redirectTo: null,
  });
  expect(stats.slots).toBeGreaterThan(0);
  expect(stats.series.length).toBeGreaterThan(280);
  expect(stats.redis.usedBytes).toBeGreaterThan(0);
  api.here.write('postlane.yaml', 'no: configuration');
  api.serve.child.kill('SIGHUP');
  await api.serve.logged('config-rejected');
  expect((await api.ask('/v1/stats')).body.configuration).toMatchObject({
    state: 'rejected',
    mistakes: expect.any(Number),
  });
  await worker.end();
});

test('the table of routes and an explanation say the same', async () => {
  const api = await serveApi({
    others: {
      sales:
        '{ direction: outgoing, addresses: [s@example.com, "*@sales.example.com"], smtp: { host: 127.0.0.1, port: 25, security: none } }',
      archive,
    },
  });
  expect((await api.ask('/v1/routes')).body).toMatchObject({
    items: [
      { pattern: 's@example.com', rule: 'exact', connector: 'sales' },
      { pattern: '*@sales.example.com', rule: 'domain', connector: 'sales' },
      { pattern: '*', rule: 'default', connector: 'relay' },
    ],
    neverChosen: [{ connector: 'archive' }],
  });
  expect((await api.ask('/v1/routes/explain?from=x@sales.example.com')).body).toMatchObject({
    connector: 'sales',
    rule: 'domain',
  });
});
