/** The OpenAPI document is valid, and the API is what it says: asked through a client that was made from the document alone. */
import { Validator } from '@seriousme/openapi-schema-validator';
import { expect, test } from 'vitest';
import { until } from '../../testkit/until.ts';
import { createClient, openApiDocument } from '../support/openapi-client.ts';
import { serveApi } from '../support/http-server.ts';

const mail = { from: 'shop@example.com', to: 'zoe@example.net', subject: 'Hi', text: 'Hello' };

test('the document is valid OpenAPI 3.1, as another program judges it', async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(openApiDocument()) as Record<string, unknown>);
  expect(errors ?? []).toEqual([]);
  expect([valid, validator.version]).toEqual([true, '3.1']);
});

test('the way of messages through the client', { timeout: 90_000 }, async () => {
  const { here, port, tokens } = await serveApi();
  const { call } = createClient(port, tokens.get('all')!);
  const key = { 'Idempotency-Key': 'k' };
  expect((await call('submitMessage', { body: mail, params: key })).status).toBe(202);
  const { status, body } = await call('submitMessage', { body: mail, params: key });
  expect([status, body.duplicate]).toEqual([200, true]);
  expect((await call('submitMessage', { body: { ...mail, text: 'x' }, params: key })).body.code).toBe(
    'idempotency-mismatch',
  );
  expect((await call('submitMessage', { body: { ...mail, to: 'x' } })).body.code).toBe('message-invalid');
  expect((await call('submitMessage', { body: 'a', contentType: 'text/plain' })).body.code).toBe(
    'unsupported-media-type',
  );
  expect((await call('submitMessage', { body: '{' })).body.code).toBe('malformed-request');
  const raw = 'From: shop@example.com\r\nTo: zoe@example.net\r\n\r\nx\r\n';
  expect((await call('submitMessage', { body: raw, contentType: 'message/rfc822' })).status).toBe(202);
  const { id } = body;
  expect((await call('getMessageContent', { params: { id } })).body.subject).toBe('Hi');
  expect((await call('submitBatch', { body: { messages: [mail, {}] } })).body.results).toHaveLength(2);
  const later = (await call('submitMessage', { body: { ...mail, sendAt: '2099-01-01T00:00:00Z' } })).body.id as string;
  expect((await call('cancelMessage', { params: { id: later } })).body.state).toBe('cancelled');
  const worker = await here.worker();
  await until(async () => (await call('getMessage', { params: { id } })).body.state === 'sent', { what: 'it sent' });
  expect((await call('cancelMessage', { params: { id } })).body.code).toBe('conflict');
  expect((await call('listMessageEvents', { params: { id } })).body.items.length).toBeGreaterThan(0);
  expect((await call('findMessages', { params: { recipient: 'zoe@example.net' } })).body.items.length).toBeGreaterThan(
    0,
  );
  expect((await call('findMessages', { params: { from: 'shop@example.com' } })).body.code).toBe('not-indexed');
  expect((await call('findMessages', { params: { cursor: '*' } })).body.code).toBe('query-invalid');
  expect((await call('getMessage', { params: { id: 'unknown' } })).body.code).toBe('not-found');
  expect((await call('explainRoute', { params: { from: 'a@b.example' } })).body.connector).toBe('relay');
  expect((await call('getToken')).body.id).toBe('all');
  expect(await worker.end()).toBe(0);
});
