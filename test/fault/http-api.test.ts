/** The HTTP API under faults: counted at the client, at the server and in what arrives. */
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { startPrivateRedis } from '../../testkit/redis.ts';
import { until } from '../../testkit/until.ts';
import { serveApi } from '../support/http-server.ts';
import { openEvents, type SseClient } from '../support/sse-client.ts';

const mail = { from: 'shop@example.com', to: 'zoe@example.net', subject: 'Hi', text: 'Hello' };
const sentTo = (client: SseClient) =>
  client.events.filter(({ event }) => event === 'message.sent').map(({ data }) => data['id']);
const numbered = (count: number, start = 0) => Array.from({ length: count }, (_, i) => `m${start + i}`);

test(
  'Redis away: 503 with Retry-After; back: requests work, and a stream goes on without a gap or a double',
  { timeout: 120_000 },
  async () => {
    const redis = await startPrivateRedis({ appendfsync: 'always' });
    onTestFinished(() => redis.stop());
    const env = { REDIS_URL: redis.url };
    const { here, post, ask, port, tokens } = await serveApi({
      env,
      tokens: [{ id: 'rated', scopes: ['viewer'], ratePerMinute: 1_000 }],
    });
    await here.worker({ env });
    const client = await openEvents({ port, token: tokens.get('all')! });
    for (const id of numbered(5)) expect((await post('/v1/messages', { ...mail, id })).status).toBe(202);
    await until(() => sentTo(client).length === 5, { what: 'five sent' });
    await redis.kill();
    const away = await Promise.all([
      post('/v1/messages', { ...mail, id: 'm5' }),
      ask('/v1/messages/m1'),
      ask('/v1/messages?recipient=zoe@example.net'),
      ask('/v1/whoami', { as: 'rated' }),
    ]);
    for (const { status, headers, body } of away) {
      expect([status, body.status, Number(headers['retry-after']) > 0]).toEqual([503, 503, true]);
    }
    expect(away[0].body).toMatchObject({ code: 'redis-unavailable', id: 'm5' });
    expect((await ask('/v1/whoami')).status).toBe(200);
    expect((await ask('/livez')).status).toBe(200);
    expect((await ask('/readyz')).status).toBe(503);
    expect(client.closed()).toBe(false);
    await redis.restart();
    await until(async () => (await ask('/readyz')).status === 200, { what: 'it to be ready' });
    for (const id of numbered(5, 5)) {
      await until(async () => [200, 202].includes((await post('/v1/messages', { ...mail, id })).status), { what: id });
    }
    await until(() => sentTo(client).length >= 10, { what: 'all ten sent' });
    expect(new Set(sentTo(client))).toEqual(new Set(numbered(10)));
    expect(sentTo(client)).toHaveLength(10);
    expect(client.events.some(({ event }) => event === 'gap')).toBe(false);
  },
);

test(
  '200 clients that do not read cost next to nothing, hold up no other, and miss nothing when they come back',
  { timeout: 180_000 },
  async () => {
    const { here, post, port, serve, tokens } = await serveApi();
    const token = tokens.get('all')!;
    const residentMiB = (): number => {
      const [, kib = '0'] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${serve.child.pid}/status`, 'utf8')) ?? [];
      return Number(kib) / 1_024;
    };
    const reader = await openEvents({ port, token });
    const deaf = await Promise.all(Array.from({ length: 200 }, () => openEvents({ port, token })));
    for (const each of deaf) each.pause();
    await here.worker();
    const metadata = { note: 'x'.repeat(3_000) };
    const send = async (ids: readonly string[]): Promise<void> => {
      for (let start = 0; start < ids.length; start += 200) {
        const messages = ids.slice(start, start + 200).map((id) => ({ ...mail, id, metadata }));
        expect((await post('/v1/messages/batch', { messages })).status).toBe(200);
      }
    };
    await send(numbered(200));
    await until(() => sentTo(reader).length === 200, { what: 'the first 200', timeoutMs: 60_000 });
    const before = residentMiB();
    await send(numbered(1_400, 200));
    await until(() => sentTo(reader).length === 1_600, { what: 'all 1,600', timeoutMs: 90_000 });
    // 1,400 events of 3 KB and more would be a gigabyte for 200 clients.
    expect(residentMiB() - before).toBeLessThan(150);
    expect(new Set(sentTo(reader))).toEqual(new Set(numbered(1_600)));
    // One of them reads what is in its socket, and comes back with where it stands.
    const one = deaf[0]!;
    one.resume();
    await until(() => one.closed() || sentTo(one).length === 1_600, {
      what: 'the end of its stream',
      timeoutMs: 60_000,
    });
    const again = await openEvents({ port, token, lastEventId: one.lastId() });
    await until(() => sentTo(one).length + sentTo(again).length >= 1_600, { what: 'the rest', timeoutMs: 60_000 });
    expect(new Set([...sentTo(one), ...sentTo(again)])).toEqual(new Set(numbered(1_600)));
    expect(sentTo(one).length + sentTo(again).length).toBe(1_600);
  },
);

test('1,000 requests at once are 1,000 messages', async () => {
  const { here, post, mail: server } = await serveApi();
  const ids = numbered(1_000);
  const answers = await Promise.all(ids.map((id) => post('/v1/messages', { ...mail, id })));
  expect(answers.filter(({ status }) => status === 202)).toHaveLength(1_000);
  const worker = await here.worker();
  await until(() => server.received.transactions.length >= 1_000, { what: 'all of them', timeoutMs: 60_000 });
  expect(await worker.end()).toBe(0);
  expect(server.received.transactions).toHaveLength(1_000);
});

test(
  'a header that does not come ends, and a body that is announced and does not come takes nothing from others',
  { timeout: 60_000 },
  async () => {
    const { post, port, tokens } = await serveApi();
    const slow = connect(port, '127.0.0.1');
    onTestFinished(() => void slow.destroy());
    slow.on('error', () => undefined);
    slow.write('GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\n');
    const ended = once(slow, 'close');
    slow.resume();
    for (let i = 0; i < 50; i += 1) {
      const headers = {
        host: 'localhost',
        authorization: `Bearer ${tokens.get('all')}`,
        'content-type': 'application/json',
        'content-length': '30000000',
      };
      const call = request({ port, host: '127.0.0.1', path: '/v1/messages', method: 'POST', headers, agent: false });
      call.on('error', () => undefined);
      call.write('{');
      onTestFinished(() => void call.destroy());
    }
    expect((await post('/v1/messages', mail)).status).toBe(202);
    await ended;
  },
);

test('a token that is removed while its request arrives: the request is answered, the next one is not', async () => {
  const { here, serve, ask, port, config, tokens } = await serveApi({
    tokens: [{ id: 'a', scopes: ['messages:send'] }],
  });
  const answered = Promise.withResolvers<number>();
  const headers = { host: 'localhost', authorization: `Bearer ${tokens.get('a')}`, 'content-type': 'application/json' };
  const call = request(
    { port, host: '127.0.0.1', path: '/v1/messages', method: 'POST', headers, agent: false },
    (response) => {
      response.resume();
      answered.resolve(response.statusCode ?? 0);
    },
  );
  const text = JSON.stringify(mail);
  call.write(text.slice(0, 20));
  // What is written later than this came with a token that was valid.
  expect((await ask('/v1/whoami', { as: 'a' })).status).toBe(200);
  here.write('postlane.yaml', config([]));
  serve.child.kill('SIGHUP');
  await serve.logged('config-applied');
  call.end(text.slice(20));
  expect(await answered.promise).toBe(202);
  expect((await ask('/v1/whoami', { as: 'a' })).status).toBe(401);
});

test(
  'a message that is settled in the very moment it is cancelled was either sent or cancelled',
  { timeout: 90_000 },
  async () => {
    const { here, post, ask, mail: server } = await serveApi();
    const ids = numbered(120);
    const worker = await here.worker();
    const cancelled = new Set<string>();
    await Promise.all(
      ids.map(async (id) => {
        await post('/v1/messages', { ...mail, id, to: `${id}@example.net` });
        // Two people at once.
        const both = await Promise.all([0, 1].map(() => post(`/v1/messages/${id}/cancel`)));
        for (const { status, body } of both) {
          expect([200, 409]).toContain(status);
          if (status === 200) cancelled.add(body.id as string);
        }
      }),
    );
    const states = async () =>
      Promise.all(ids.map(async (id) => (await ask(`/v1/messages/${id}`)).body.state as string));
    const isOver = (state: string): boolean => state === 'sent' || state === 'cancelled';
    await until(async () => (await states()).every(isOver), { what: 'all of them over' });
    const over = await states();
    const got = new Set(server.received.transactions.flatMap(({ to }) => to.map((each) => each.split('@')[0]!)));
    expect(ids.filter((_, i) => over[i] === 'sent').filter((id) => !got.has(id))).toEqual([]);
    expect(ids.filter((id) => cancelled.has(id) && got.has(id))).toEqual([]);
    expect(ids.filter((id, i) => cancelled.has(id) !== (over[i] === 'cancelled'))).toEqual([]);
    expect(server.received.transactions).toHaveLength(got.size);
    expect(await worker.end()).toBe(0);
  },
);
