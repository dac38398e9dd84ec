/** One delivery over real sockets: signed, verified, bounded, and never led elsewhere. */
import https from 'node:https';
import { expect, onTestFinished, test } from 'vitest';
import { Webhook } from 'standardwebhooks';
import { createCertificates } from '../../testkit/certificates.ts';
import { freePort } from '../../testkit/ports.ts';
import { createEgress } from '../../src/webhooks/egress.ts';
import { createSender, type SenderOptions } from '../../src/webhooks/sender.ts';
import { sign } from '../../src/webhooks/signature.ts';
import { httpsServer, pourInto } from '../support/https-server.ts';
import { newSecret, startReceiver } from '../support/receiver.ts';

function sender(options: SenderOptions = {}) {
  const made = createSender(options);
  onTestFinished(() => made.close());
  return made;
}
const delivery = { id: '0-1-0', body: '{"type":"message.sent","data":{"subject":"Grüße"}}' };

test('a receiver verifies it with the package of Standard Webhooks, and knows its id', async () => {
  const receiver = await startReceiver();
  expect(await sender().send(receiver.endpoint(), delivery)).toEqual({
    kind: 'answered',
    status: 204,
    retryAfterMs: null,
  });
  expect(receiver.received).toMatchObject([{ id: '0-1-0', text: delivery.body }]);
  expect(receiver.received[0]!.headers['content-type']).toBe('application/json');
});

test('while one secret replaces another, receivers with either of them verify; with a third one, none', () => {
  const [old, next, other] = [newSecret(), newSecret(), newSecret()];
  const headers = sign('evt', delivery.body, [next, old], Date.now());
  for (const secret of [old, next]) {
    expect(() => new Webhook(secret).verify(delivery.body, { ...headers })).not.toThrow();
  }
  expect(() => new Webhook(other).verify(delivery.body, { ...headers })).toThrow('signature');
  const late = sign('evt', delivery.body, [next], Date.now() - 600_000);
  expect(() => new Webhook(next).verify(delivery.body, { ...late })).toThrow('timestamp');
});

test.for([301, 302, 303, 307, 308])('SSRF: a redirect (%i) is an answer, and not followed', async (status) => {
  const [target, receiver] = [await startReceiver(), await startReceiver()];
  receiver.react = () => ({ status, headers: { location: target.url } });
  expect(await sender().send(receiver.endpoint(), delivery)).toMatchObject({ kind: 'answered', status });
  expect(target.requests()).toBe(0);
});

test('a receiver that hangs costs the time that is allowed, and no more', async () => {
  const receiver = await startReceiver();
  receiver.react = () => 'hang';
  const before = performance.now();
  expect(await sender({ timeoutMs: 200 }).send(receiver.endpoint(), delivery)).toMatchObject({ why: 'timeout' });
  expect(performance.now() - before).toBeLessThan(5_000);
});

test('an answer without an end is read up to a bound, and its status counts', async () => {
  const server = await httpsServer((_request, response) => {
    response.writeHead(200);
    pourInto(response, 'x'.repeat(10_000));
  });
  const receiver = await startReceiver();
  const endpoint = receiver.endpoint({ url: server.origin, ca: server.ca });
  expect(await sender().send(endpoint, delivery)).toMatchObject({ status: 200 });
  expect(server.sent()).toBeLessThan(10_000_000);
});

test('TLS: the certificate is verified, against the CA of the endpoint where it has one', async () => {
  const { ca, server: keys } = await createCertificates();
  const receiver = await startReceiver((listener) => https.createServer({ key: keys.key, cert: keys.cert }, listener));
  const url = receiver.url.replace('http:', 'https:');
  expect(await sender().send(receiver.endpoint({ url }), delivery)).toMatchObject({
    kind: 'failed',
    why: 'unreachable',
  });
  expect(await sender().send(receiver.endpoint({ url, ca }), delivery)).toMatchObject({ status: 204 });
  expect(receiver.received).toHaveLength(1);
});

test('SSRF: neither an address nor a name that resolves to one that is refused is connected to', async () => {
  const receiver = await startReceiver();
  const byAddress = receiver.endpoint({ url: 'http://169.254.169.254/latest/meta-data/' });
  expect(await sender().send(byAddress, delivery)).toMatchObject({ kind: 'failed', why: 'refused-address' });
  const egress = createEgress(((_name: string, _options: unknown, done: (error: null, found: unknown[]) => void) => {
    done(null, [{ address: '169.254.169.254', family: 4 }]);
  }) as never);
  const byName = receiver.endpoint({ url: 'http://rebound.example/' });
  expect(await sender({ egress }).send(byName, delivery)).toMatchObject({ kind: 'failed', why: 'refused-address' });
});

test('a connection is used again, and one that was closed meanwhile is no failure', async () => {
  const receiver = await startReceiver();
  const sending = sender();
  for (let i = 0; i < 3; i += 1) await sending.send(receiver.endpoint(), delivery);
  expect(receiver.received.length).toBe(3);
  receiver.react = () => (receiver.received.length === 4 ? 'reset' : 204);
  expect(await sending.send(receiver.endpoint(), delivery)).toMatchObject({ status: 204 });
  expect(receiver.received).toHaveLength(5);
});

test('nobody listens: a failure with the code of the system', async () => {
  const receiver = await startReceiver();
  const url = `http://127.0.0.1:${await freePort()}/`;
  expect(await sender().send(receiver.endpoint({ url }), delivery)).toEqual({
    kind: 'failed',
    why: 'unreachable',
    detail: 'ECONNREFUSED',
  });
});

test.for([
  ['30', 30_000],
  ['0', null],
  ['999999999', 86_400_000],
  ['soon', null],
  ['-5', null],
  ['Fri, 01 Jan 2021 00:01:00 GMT', null],
] as const)('Retry-After: %s', async ([written, retryAfterMs]) => {
  const receiver = await startReceiver();
  receiver.react = () => ({ status: 429, headers: { 'retry-after': written } });
  expect(await sender().send(receiver.endpoint(), delivery)).toEqual({ kind: 'answered', status: 429, retryAfterMs });
});

test('Retry-After as a date', async () => {
  const receiver = await startReceiver();
  const date = new Date(Date.now() + 600_000).toUTCString();
  receiver.react = () => ({ status: 429, headers: { 'retry-after': date } });
  const answer = await sender().send(receiver.endpoint(), delivery);
  const { retryAfterMs } = answer as { readonly retryAfterMs: number };
  expect(retryAfterMs).toBeGreaterThan(500_000);
  expect(retryAfterMs).toBeLessThanOrEqual(600_000);
});
