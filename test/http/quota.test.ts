/** What a token may submit in a day: over processes and ways in, exact, and without a price for what is not stored. */
import { expect, test } from 'vitest';
import { serveApi } from '../support/http-server.ts';

const mail = { from: 'sales@example.com', to: ['a@example.net', 'b@example.net'], text: 'x' };

test('a token over its quota gets 429 with the time to wait, and another token goes on', async () => {
  const scopes = ['messages:send', 'messages:read'];
  const { post, ask } = await serveApi({
    tokens: [
      { id: 'shop', scopes, recipientsPerDay: 5 },
      { id: 'crm', scopes },
    ],
  });
  const send = (as: string, more: object = {}) => post('/v1/messages', { ...mail, ...more }, { as });
  expect((await send('shop')).status).toBe(202);
  expect((await send('shop')).status).toBe(202);
  const over = await send('shop');
  expect(over.body).toMatchObject({ status: 429, code: 'rate-limited' });
  expect(Math.ceil(over.body.retryAfterMs / 1_000)).toBe(Number(over.headers['retry-after']));
  expect(over.body.detail).toBe('the token shop may submit 5 recipients a day');
  const waitSeconds = Number(over.headers['retry-after']);
  expect(waitSeconds).toBeGreaterThan(86_400 - 1_500);
  expect(waitSeconds).toBeLessThanOrEqual(86_400 + 3 * 1_440);
  expect((await send('shop', { to: ['a@example.net'] })).status).toBe(202);
  expect((await send('crm')).status).toBe(202);
  expect((await ask('/v1/whoami', { as: 'shop' })).body).toMatchObject({
    recipientsPerDay: 5,
    used: { messagesPerDay: null, recipientsPerDay: 5 },
  });
});

test('a message to more recipients than a day may have is refused for good', async () => {
  const { post } = await serveApi({ tokens: [{ id: 'shop', scopes: ['messages:send'], recipientsPerDay: 1 }] });
  expect((await post('/v1/messages', mail, { as: 'shop' })).body).toMatchObject({ status: 403, code: 'forbidden' });
});

test('what is not stored, or is a message that is there already, does not count', async () => {
  const { post, ask } = await serveApi({ tokens: [{ id: 'shop', scopes: ['messages:send'], messagesPerDay: 3 }] });
  const keyed = (key: string, text = 'x') =>
    post('/v1/messages', { ...mail, text }, { as: 'shop', headers: { 'idempotency-key': key } });
  expect((await keyed('k')).status).toBe(202);
  expect((await keyed('k')).body).toMatchObject({ duplicate: true });
  expect((await keyed('k', 'another')).body.code).toBe('idempotency-mismatch');
  expect((await post('/v1/messages', { ...mail, to: ['no address'] }, { as: 'shop' })).status).toBe(422);
  expect((await ask('/v1/whoami', { as: 'shop' })).body.used).toEqual({ messagesPerDay: 1, recipientsPerDay: null });
  expect((await keyed('l')).status).toBe(202);
});

test('of many at once and in a batch, exactly as many are taken as the quota allows', async () => {
  const { post } = await serveApi({ tokens: [{ id: 'shop', scopes: ['messages:send'], messagesPerDay: 10 }] });
  const batch = { messages: Array.from({ length: 8 }, () => mail) };
  const [many, ...single] = await Promise.all([
    post('/v1/messages/batch', batch, { as: 'shop' }),
    ...Array.from({ length: 8 }, () => post('/v1/messages', mail, { as: 'shop' })),
  ]);
  const results = many.body.results as { readonly id?: string; readonly error?: { readonly code: string } }[];
  const refused = results.flatMap(({ error }) => error?.code ?? []);
  expect(new Set(refused).size).toBeLessThanOrEqual(1);
  const taken = results.length - refused.length + single.filter(({ status }) => status === 202).length;
  expect(taken).toBe(10);
});

test('a token whose quota is used up is told of each message that is there already, and only what is new is refused', async () => {
  const { post } = await serveApi({ tokens: [{ id: 'shop', scopes: ['messages:send'], messagesPerDay: 2 }] });
  const keyed = () => post('/v1/messages', mail, { as: 'shop', headers: { 'idempotency-key': 'k' } });
  const named = () => post('/v1/messages', { ...mail, id: 'order-1' }, { as: 'shop' });
  expect([(await keyed()).status, (await named()).status]).toEqual([202, 202]);
  for (const again of [await keyed(), await named()]) {
    expect(again).toMatchObject({ status: 200, body: { duplicate: true } });
  }
  const batch = await post('/v1/messages/batch', { messages: [{ ...mail, id: 'order-1' }, mail] }, { as: 'shop' });
  const [known, over] = batch.body.results;
  expect(known).toMatchObject({ id: 'order-1', duplicate: true });
  expect(over.error).toMatchObject({ status: 429, code: 'rate-limited' });
  expect(over.error.retryAfterMs).toBeGreaterThan(86_400_000 - 1_500_000);
  expect(over.error.retryAfterMs).toBeLessThanOrEqual(86_400_000 + 3 * 1_440_000);
  expect((await post('/v1/messages', { ...mail, id: 'order-2' }, { as: 'shop' })).status).toBe(429);
});
