/** Every operation of the OpenAPI document gives every answer that the document lists for it, through the client made from it. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { scopes } from '../../src/config/scopes.ts';
import { maxBodyBytesInFlight } from '../../src/http/limits.ts';
import { startSmtpServer } from '../../testkit/smtp/server.ts';
import { maxSuppressions } from '../../src/queue/suppressions.ts';
import { until } from '../../testkit/until.ts';
import { createClient, type Client, type Operation } from '../support/openapi-client.ts';
import { serveApi, type Answered, type ServedApi } from '../support/http-server.ts';
import { plantDead } from '../support/operators.ts';
import { ownRedis, type OwnRedis } from '../support/own-redis.ts';
import { testProducer } from '../support/postlane.ts';
import { openEvents } from '../support/sse-client.ts';

/** `operation status code`: what only a fault within the server makes, or a race of two people. */
const notProvoked = (answer: string): boolean =>
  // The log has the reason of what the server did not foresee; 30 s without an answer of Redis are 503 long before.
  / (?:500 internal|504 timeout)$/.test(answer) ||
  // The server has lost the key since the same was submitted (test/producer/submitter.test.ts).
  /^submitMessage 409 key-missing$/.test(answer) ||
  // It was judged when it was submitted, and its content is looked at before: something must change in between.
  /^resendMessage 422 (?:message-invalid|attachment-missing)$/.test(answer);

/** A body that the operation takes, where it has one. */
const bodies: Readonly<Record<string, unknown>> = {
  submitMessage: { from: 'shop@example.com', to: 'zoe@example.net', text: 'x' },
  submitBatch: { messages: [{ from: 'shop@example.com', to: 'zoe@example.net', text: 'x' }] },
  sendMessageNow: {},
  resendMessage: {},
  resolveMessage: { as: 'sent' },
  previewDeadLetters: {},
  replayDeadLetters: { all: true, count: 0 },
  dropDeadLetters: { all: true, count: 0, reason: 'a test' },
  changeOperation: { ratePerSecond: 1 },
  pauseConnector: { reason: 'a test' },
  resumeConnector: {},
  addSuppression: { address: 'gone@example.net' },
  importSuppressions: { entries: [{ address: 'gone@example.net' }] },
};

interface Here {
  readonly api: ServedApi;
  readonly redis: OwnRedis;
  readonly operations: readonly Operation[];
  /** Notes the answer. */
  readonly call: Client['call'];
  readonly note: (operation: string, status: number, code?: string) => void;
  readonly token: (id: string) => string;
}

test('every operation gives each status and each code that the document lists', { timeout: 170_000 }, async () => {
  const redis = await ownRedis({ appendfsync: 'no' });
  const lost = await startSmtpServer({ script: { '.': 'reset' } });
  onTestFinished(() => lost.stop());
  const without = scopes.map((scope) => ({
    id: `no-${scope.replace(':', '-')}`,
    scopes: scopes.filter((each) => each !== scope),
  }));
  const api = await serveApi({
    env: { REDIS_URL: redis.url },
    tokens: [
      ...without,
      { id: 'slow', scopes: ['admin'], ratePerMinute: 1 },
      { id: 'rated', scopes: ['admin'], ratePerMinute: 100_000 },
      { id: 'other', scopes: ['admin'], from: ['*@other.example'] },
    ],
    others: {
      archive: '{ direction: incoming, incoming: { protocol: pop3, host: pop.example.com, user: a, password: b } }',
      lost: `{ direction: outgoing, addresses: ["*@lost.example"], smtp: { host: 127.0.0.1, port: ${lost.port}, security: none }, onUncertain: hold }`,
    },
    rest: ['retention: { content: 1h }'],
  });
  const token = (id: string): string => api.tokens.get(id)!;
  const client = createClient(api.port, token('all'));
  const seen = new Set<string>();
  const note = (operation: string, status: number, code = ''): void => {
    seen.add(`${operation} ${status} ${code}`.trim());
  };
  const call: Client['call'] = async (id, given, as) => {
    const answered = await client.call(id, given, as);
    note(id, answered.status, answered.status < 300 ? '' : answered.body.code);
    return answered;
  };
  const here: Here = { api, redis, operations: client.operations, call, note, token };
  await refuseWhoever(here);
  await refuseWhatever(here);
  await messages(here);
  await letters(here);
  await connectors(here);
  await suppressions(here);
  await full(here);
  await redis.kill();
  for (const { id, ...rest } of behindTokens(here)) {
    const given = { params: paramsOf(rest), body: bodies[id] };
    expect([id, (await call(id, given, token('rated'))).body.code]).toEqual([id, 'redis-unavailable']);
  }
  const listed = client.operations.flatMap(({ id, responses }) =>
    Object.entries(responses).flatMap(([status, { description }]) => {
      const codes = [...description.matchAll(/`([a-z-]+)`: /g)].map(([, code]) => code!);
      return codes.length === 0 ? [`${id} ${status}`] : codes.map((code) => `${id} ${status} ${code}`);
    }),
  );
  expect(listed.length).toBeGreaterThan(300);
  expect(listed.filter((answer) => !seen.has(answer) && !notProvoked(answer))).toEqual([]);
  expect([...seen].filter((answer) => !listed.includes(answer))).toEqual([]);
});

function behindTokens({ operations }: Here): readonly Operation[] {
  return operations.filter(({ scope }) => scope !== null);
}

/** Of the path and of the query, as far as they must be given: of something that is not there. */
function paramsOf({ parameters }: Pick<Operation, 'parameters'>): Record<string, string> {
  const usual: Readonly<Record<string, string>> = { from: 'a@b.example', address: 'a@b.example' };
  return Object.fromEntries(
    parameters.filter(({ required }) => required).map(({ name }) => [name, usual[name] ?? 'nothing']),
  );
}

/** Wrong tokens, scopes, names of the host, and too many requests. */
async function refuseWhoever(here: Here): Promise<void> {
  const { call, token } = here;
  expect((await call('getOpenApi', {}, null)).status).toBe(200);
  expect((await call('getToken', {}, token('slow'))).status).toBe(200);
  for (const { id, ...rest } of behindTokens(here)) {
    const given = { params: paramsOf(rest), body: bodies[id] };
    expect([id, (await call(id, given, null)).status]).toEqual([id, 401]);
    const misdirected = await call(id, { ...given, headers: { host: 'evil.example' } });
    expect([id, misdirected.status]).toEqual([id, 421]);
    const over = await call(id, given, token('slow'));
    expect([id, over.status, Number(over.headers['retry-after']) > 0]).toEqual([id, 429, true]);
  }
  for (const { id, scope, ...rest } of behindTokens(here).filter(({ scope }) => scope !== 'any')) {
    const given = { params: paramsOf(rest), body: bodies[id] };
    const refused = await call(id, given, token(`no-${scope!.replace(':', '-')}`));
    expect([id, refused.status]).toEqual([id, 403]);
    expect(refused.body.detail).toContain(scope);
  }
}

/** Unknown parameters and names, and bodies that are none. */
async function refuseWhatever(here: Here): Promise<void> {
  const { call } = here;
  for (const { id, ...rest } of behindTokens(here).filter(({ path }) => path.includes('{id}'))) {
    expect([id, (await call(id, { params: paramsOf(rest), body: bodies[id] })).status]).toEqual([id, 404]);
  }
  for (const { id, types, ...rest } of behindTokens(here)) {
    const params = paramsOf(rest);
    const unknown = await call(id, { params: { ...params, nonsense: 'x' }, body: bodies[id] });
    expect([id, unknown.status, unknown.body.code]).toEqual([id, 422, 'invalid-request']);
    if (types.length === 0) continue;
    const sent = async (body: string, more: object = {}): Promise<unknown[]> => [
      id,
      (await call(id, { params, body, contentType: 'application/json', ...more })).status,
    ];
    expect(await sent('{', {})).toEqual([id, 400]);
    expect(await sent('x', { contentType: 'text/plain' })).toEqual([id, 415]);
    expect(await sent('x', { headers: { 'content-length': '999999999' } })).toEqual([id, 413]);
  }
}

async function messages({ api, call, token, redis }: Here): Promise<void> {
  const mail = { from: 'shop@example.com', to: 'zoe@example.net', text: 'x' };
  const later = { ...mail, sendAt: '2099-01-01T00:00:00Z' };
  const submit = async (body: unknown, params: Record<string, string> = {}, as?: string): Promise<Answered> =>
    call('submitMessage', { body, params }, as);
  const codeOf = async (answered: Promise<Answered>): Promise<unknown> => (await answered).body.code;
  expect((await submit({ ...later, id: 'later' })).status).toBe(202);
  expect((await submit({ ...later, id: 'later' })).body.duplicate).toBe(true);
  expect((await submit({ ...later, id: 'cancelled' })).status).toBe(202);
  expect((await submit({ ...mail, from: 'a@lost.example', id: 'held' })).status).toBe(202);
  expect((await submit(mail, { 'Idempotency-Key': 'k' })).status).toBe(202);
  expect(await codeOf(submit({ ...mail, text: 'y' }, { 'Idempotency-Key': 'k' }))).toBe('idempotency-mismatch');
  expect(await codeOf(submit({ ...mail, to: 'x' }))).toBe('message-invalid');
  expect(await codeOf(submit(mail, { via: 'nobody' }))).toBe('invalid-request');
  const attachments = [{ filename: 'a.pdf', ref: '0'.repeat(64), size: 100_000 }];
  expect(await codeOf(submit({ ...mail, attachments }))).toBe('attachment-missing');
  const others = { ...later, from: 'a@other.example', id: 'later' };
  expect(await codeOf(submit(others, {}, token('other')))).toBe('conflict');
  expect((await call('submitBatch', { body: { messages: [mail, {}] } })).body.results).toHaveLength(2);
  expect(await codeOf(call('submitBatch', { body: { messages: [] } }))).toBe('invalid-request');
  const of = (id: string) => ({ params: { id } });
  expect((await call('getMessage', of('later'))).body.state).toBe('scheduled');
  expect((await call('listMessageEvents', of('later'))).status).toBe(200);
  expect((await call('getMessageContent', of('later'))).body.text).toBe('x');
  expect((await call('cancelMessage', of('cancelled'))).body.state).toBe('cancelled');
  const resent = await call('resendMessage', of('later'));
  expect([resent.status, resent.body.resendOf]).toEqual([202, 'later']);
  expect((await call('sendMessageNow', of('later'))).status).toBe(200);
  expect(await codeOf(call('resolveMessage', { ...of('later'), body: { as: 'sent' } }))).toBe('conflict');
  // By a producer with a key that the server does not have.
  const encryption = { active: 'k', keys: { k: randomBytes(32) } };
  const sealing = testProducer(api.prefix, { url: redis.url, encryption });
  await sealing.send({ ...mail, id: 'locked', sendAt: new Date(Date.now() + 3_600_000) });
  expect(await codeOf(call('getMessageContent', of('locked')))).toBe('key-missing');
  expect(await codeOf(call('resendMessage', of('locked')))).toBe('key-missing');
  const worker = await api.here.worker({ env: { REDIS_URL: redis.url } });
  const state = async (id: string): Promise<string> => (await call('getMessage', of(id))).body.state;
  await until(async () => (await state('later')) === 'sent', { what: 'it to be sent' });
  await until(async () => (await state('held')) === 'held', { what: 'what had no known end to be held' });
  expect(await codeOf(call('cancelMessage', of('later')))).toBe('conflict');
  expect(await codeOf(call('sendMessageNow', of('later')))).toBe('conflict');
  expect((await call('resolveMessage', { ...of('held'), body: { as: 'sent' } })).body.state).toBe('sent');
  expect(await codeOf(call('resendMessage', of('held')))).toBe('conflict');
  expect((await call('findMessages', { params: { recipient: 'zoe@example.net' } })).body.items).not.toEqual([]);
  expect(await codeOf(call('findMessages', { params: { from: 'shop@example.com' } }))).toBe('not-indexed');
  expect(await codeOf(call('findMessages', { params: { cursor: '*' } }))).toBe('query-invalid');
  expect(await codeOf(call('findMessages', { params: { limit: 'x' } }))).toBe('invalid-request');
  await worker.end();
}

async function letters({ api, call, redis }: Here): Promise<void> {
  const planter = new Redis(redis.url, { maxRetriesPerRequest: null });
  await plantDead(api.prefix, [{}, {}, {}], 0, planter);
  planter.disconnect();
  const codeOf = async (answered: Promise<Answered>): Promise<unknown> => (await answered).body.code;
  expect((await call('listDeadLetters')).body.items).toHaveLength(3);
  expect((await call('listDeadLetters', { params: { group: 'reason' } })).body.count).toBe(3);
  const preview = await call('previewDeadLetters', { body: {} });
  expect(preview.body.count).toBe(3);
  expect(await codeOf(call('previewDeadLetters', { body: { via: 'nobody' } }))).toBe('conflict');
  for (const id of ['replayDeadLetters', 'dropDeadLetters']) {
    const asked = id === 'dropDeadLetters' ? { reason: 'a test' } : {};
    expect(await codeOf(call(id, { body: { ...asked, all: true, count: 9 } }))).toBe('conflict');
    expect(await codeOf(call(id, { body: { ...asked, selection: 'sel_x' } }))).toBe('not-found');
  }
  const { selection } = preview.body;
  const replay = await call('replayDeadLetters', { body: { selection, ratePerSecond: 0.1 } });
  expect([replay.status, replay.headers['location']]).toEqual([202, `/v1/operations/${replay.body.id}`]);
  const operation = { params: { id: replay.body.id as string } };
  expect((await call('getOperation', operation)).body.total).toBe(3);
  expect((await call('changeOperation', { ...operation, body: { ratePerSecond: 0.2 } })).status).toBe(200);
  expect((await call('stopOperation', operation)).body.state).toBe('stopped');
  expect(await codeOf(call('stopOperation', operation))).toBe('conflict');
  expect(await codeOf(call('changeOperation', { ...operation, body: { ratePerSecond: 1 } }))).toBe('conflict');
  expect((await call('dropDeadLetters', { body: { ids: ['dead-000000'], reason: 'a test' } })).status).toBe(202);
  expect((await call('listOperations')).body.items).toHaveLength(2);
}

async function suppressions({ api, call, redis }: Here): Promise<void> {
  const gone = { params: { address: 'gone@example.net' } };
  for (const id of ['getSuppression', 'removeSuppression']) expect((await call(id, gone)).status).toBe(404);
  expect((await call('addSuppression', { body: bodies['addSuppression'] })).status).toBe(201);
  expect((await call('addSuppression', { body: bodies['addSuppression'] })).status).toBe(200);
  expect((await call('importSuppressions', { body: bodies['importSuppressions'] })).body.replaced).toBe(1);
  expect((await call('getSuppression', gone)).body.origin).toBe('import');
  expect((await call('listSuppressions')).body.count).toBe(1);
  expect((await call('removeSuppression', gone)).status).toBe(204);
  const filler = new Redis(redis.url);
  const list = `${api.prefix}:suppressions`;
  await filler.eval("for i = 1, ARGV[1] do redis.call('HSET', KEYS[1], i, '') end", 1, list, maxSuppressions);
  expect((await call('addSuppression', { body: bodies['addSuppression'] })).body.code).toBe('conflict');
  expect((await call('importSuppressions', { body: bodies['importSuppressions'] })).body.code).toBe('conflict');
  await filler.del(list);
  filler.disconnect();
}

async function connectors({ api, call, note, token }: Here): Promise<void> {
  const relay = { params: { id: 'relay' } };
  const archive = { params: { id: 'archive' } };
  expect((await call('listConnectors')).body.count).toBe(3);
  expect((await call('getConnector', relay)).body.id).toBe('relay');
  expect((await call('pauseConnector', { ...relay, body: { reason: 'a test', for: '2h' } })).body.paused).toBe(true);
  expect((await call('resumeConnector', relay)).body.paused).toBe(false);
  expect((await call('tryConnector', relay)).body.ok).toBe(true);
  for (const id of ['pauseConnector', 'resumeConnector', 'tryConnector']) {
    expect([id, (await call(id, { ...archive, body: bodies[id] })).status]).toEqual([id, 409]);
  }
  expect((await call('listRoutes')).body.items).not.toEqual([]);
  expect((await call('explainRoute', { params: { from: 'a@lost.example' } })).body.connector).toBe('lost');
  expect((await call('getStats')).status).toBe(200);
  expect((await call('listAudit')).body.items).not.toEqual([]);
  expect((await call('getToken')).body.id).toBe('all');
  const open = await Promise.all(
    Array.from({ length: 1_000 }, () => openEvents({ port: api.port, token: token('all') })),
  );
  for (const { status, headers } of open) expect([status, headers['content-type']]).toEqual([200, 'text/event-stream']);
  note('followEvents', 200);
  expect((await call('followEvents')).body.code).toBe('unavailable');
  for (const stream of open) stream.close();
}

/** As many bodies as the server holds; and a Redis that has no room. */
async function full({ api, call, token, redis }: Here): Promise<void> {
  const count = 8;
  const each = maxBodyBytesInFlight / count;
  const sockets: Socket[] = [];
  onTestFinished(() => sockets.forEach((socket) => void socket.destroy()));
  for (let i = 0; i < count; i += 1) {
    const socket = connect(api.port, '127.0.0.1').on('error', () => undefined);
    sockets.push(socket);
    socket.write(
      `POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token('all')}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${each + 1}\r\n\r\n`,
    );
    if (!socket.write(Buffer.alloc(each, 0x20))) await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
  }
  const text = 'x'.repeat(20 * 1024 * 1024);
  for (const id of ['submitMessage', 'submitBatch']) {
    await until(async () => (await call(id, { body: { messages: [], text } })).body.code === 'unavailable', {
      what: id,
    });
  }
  for (const socket of sockets) socket.destroy();
  await redis.admin.config('SET', 'maxmemory', '1');
  for (const id of ['submitMessage', 'resendMessage']) {
    const answered = await call(id, { params: id === 'resendMessage' ? { id: 'later' } : {}, body: bodies[id] });
    expect([id, answered.status, answered.body.code]).toEqual([id, 503, 'redis-full']);
  }
  await redis.admin.config('SET', 'maxmemory', '0');
}
