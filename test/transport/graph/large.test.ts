/** Messages too large for one request: drafts, attachments, interrupted upload sessions, and what is left behind. */
import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { faults } from '../../../testkit/graph/faults.ts';
import { keysOf } from '../../../src/queue/redis/keys.ts';
import { tooLargeForGraph } from '../../../src/transport/graph/large.ts';
import { settled } from '../../support/accounting.ts';
import { project } from '../../support/cli.ts';
import { freely, graphPair, largeMail } from '../../support/graph-client.ts';
import { fakeGraph, graphConfig } from '../../support/graph-project.ts';
import { configOf, startWorker, testOperator, testProducer } from '../../support/postlane.ts';
import { testConnection, testPrefix } from '../../support/redis.ts';

const megabyte = 1024 * 1024;
const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const yes = { kind: 'settled', recipients: [{ outcome: 'accepted' }, { outcome: 'accepted' }] };

describe('a large message', () => {
  test.each([[[1]], [[2.9]], [[3.1]], [[1, 3.1, 2.9]], [[20]]])(
    'with attachments of %j MB arrives byte for byte',
    async (sizes) => {
      const { graph, transport } = await graphPair();
      const mail = largeMail(sizes.map((size) => Math.round(size * megabyte)));
      expect(await transport.send(mail, freely)).toMatchObject(yes);
      expect(graph.deliveries.map(({ recipient, as }) => `${recipient} ${as}`)).toEqual([
        'a@example.net to',
        'hidden@example.net bcc',
      ]);
      const [copy] = graph.mailbox('sales@example.com').in('sentitems');
      const arrived = copy?.attachments.map(({ name, chunks }) => [name, hash(Buffer.concat(chunks))]);
      const given = mail.contents.map((bytes, at) => [`file-${at}.bin`, hash(bytes)]);
      expect(arrived).toEqual(given);
      expect(graph.mailbox('sales@example.com').in('drafts')).toEqual([]);
    },
  );

  test('continues an interrupted upload twice, and after a lost answer', async () => {
    const { graph, transport } = await graphPair();
    const mail = largeMail([12 * megabyte]);
    graph.script('uploadRange', null, faults.reset('mid-body'), null, faults.reset('after-work'), faults.unavailable());
    expect(await transport.send(mail, freely)).toMatchObject(yes);
    const ranges = graph.requests.filter(({ operation }) => operation === 'uploadRange');
    expect(ranges.length).toBeLessThan(9);
    const [copy] = graph.mailbox('sales@example.com').in('sentitems');
    expect(hash(Buffer.concat(copy?.attachments[0]?.chunks ?? []))).toBe(hash(mail.contents[0] ?? Buffer.alloc(0)));
  });

  test('sends its token to no upload URL', async () => {
    const { graph, transport } = await graphPair();
    expect(await transport.send(largeMail([4 * megabyte]), freely)).toMatchObject(yes);
    const uploads = graph.requests.filter(({ operation }) => operation === 'uploadRange');
    expect(uploads.length).toBe(2);
    expect(uploads.filter(({ headers }) => headers['authorization'] !== undefined)).toEqual([]);
  });

  test('with an attachment above 150 MB is refused as too large before anything is on the wire', async () => {
    const { graph, transport } = await graphPair();
    const mail = largeMail([3 * megabyte]);
    const [attachment] = mail.structured.message.attachments;
    const message = {
      ...mail.structured.message,
      attachments: [{ ...attachment!, ref: 'x', size: 151 * megabyte } as never],
    };
    const huge = { ...mail, structured: { ...mail.structured, message } };
    expect(await transport.send(huge, freely)).toMatchObject({ recipients: [{ tooLarge: true }, { tooLarge: true }] });
    expect(graph.requests).toEqual([]);
  });

  test.each([
    ['createMessage', faults.throttled(5), { kind: 'connector-fault', fault: 'throttled', pauseMs: 5_000 }],
    ['createMessage', faults.gatewayTimeout(), { recipients: [{ outcome: 'deferred' }, {}] }],
    ['createMessage', faults.accessDenied(), { kind: 'connector-fault', fault: 'config' }],
    ['createUploadSession', faults.internal(), { recipients: [{ outcome: 'deferred' }, {}] }],
    ['send', faults.throttled(5), { kind: 'connector-fault', fault: 'throttled', pauseMs: 5_000 }],
    ['send', faults.sendAsDenied(), { recipients: [{ outcome: 'rejected' }, {}] }],
    ['send', faults.silent(), { recipients: [{ outcome: 'uncertain' }, {}] }],
  ] as const)('%s is answered badly', async (operation, fault, expected) => {
    const { graph, transport } = await graphPair();
    graph.script(operation, fault);
    expect(await transport.send(largeMail([4 * megabyte]), freely)).toMatchObject(expected);
    expect(graph.deliveries).toEqual([]);
  });

  test('whose upload makes no progress is deferred, and its draft is deleted', async () => {
    const { graph, transport } = await graphPair();
    graph.script('uploadRange', () => faults.badGateway());
    const outcome = await transport.send(largeMail([4 * megabyte]), freely);
    expect(outcome).toMatchObject({ recipients: [{ outcome: 'deferred' }, { outcome: 'deferred' }] });
    expect(graph.mailbox('sales@example.com').in('drafts')).toEqual([]);
  });

  test('whose attachment becomes unreadable during the upload is deferred, and its draft is deleted', async () => {
    const { graph, transport } = await graphPair();
    const mail = largeMail([8 * megabyte]);
    const { rangeOf } = mail.structured;
    const gone: typeof rangeOf = (content, start, end) =>
      start > 0 ? Promise.reject(new Error('gone')) : rangeOf(content, start, end);
    const outcome = await transport.send({ ...mail, structured: { ...mail.structured, rangeOf: gone } }, freely);
    expect(outcome).toMatchObject({
      recipients: [{ outcome: 'deferred', reply: { text: 'an attachment cannot be read: gone' } }, {}],
    });
    expect([graph.mailbox('sales@example.com').in('drafts'), graph.deliveries]).toEqual([[], []]);
  });

  test('that is stopped during its upload is not sent, and leaves no draft', async () => {
    const { graph, transport } = await graphPair();
    const stop = new AbortController();
    graph.script('uploadRange', () => {
      stop.abort();
      return null;
    });
    const outcome = await transport.send(largeMail([4 * megabyte]), { ...freely, signal: stop.signal });
    expect(outcome).toEqual({ kind: 'stopped', why: 'signal' });
    expect([graph.mailbox('sales@example.com').in('drafts'), graph.count('send')]).toEqual([[], 0]);
  });
});

describe('postlane send', () => {
  const raw = (bytes: number): string => `From: sales@example.com\r\nTo: a@example.net\r\n\r\n${'x'.repeat(bytes)}\r\n`;

  test('refuses at once what its Graph connector can never send, and enqueues nothing', async () => {
    const [graph, prefix] = [await fakeGraph(), testPrefix()];
    const here = project(graphConfig(graph, { prefix }));
    const signed = raw(3_000_001).replace('\r\n\r\n', '\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n');
    const ended = await here.call(['send', '--id', 'm', '--eml', here.write('large.eml', signed)]);
    expect(ended.code).not.toBe(0);
    expect(ended.stderr).toContain('Graph takes finished messages of up to 3000000');
    expect(ended.stderr).toContain('connector sales');
    expect(await testProducer(prefix).status('m')).toBeNull();
  });

  test('accepts the same message for another kind of connector, and a smaller one for Graph', async () => {
    const [graph, prefix] = [await fakeGraph(), testPrefix()];
    const relay = { direction: 'outgoing', address: 'relay@example.com', smtp: { host: '127.0.0.1' } };
    const config = JSON.parse(graphConfig(graph, { prefix })) as { connectors: object };
    const here = project(JSON.stringify({ ...config, connectors: { ...config.connectors, relay } }));
    const large = here.write('large.eml', raw(3_000_001).replace('sales@', 'relay@'));
    expect(await here.call(['send', '--eml', large])).toMatchObject({ code: 0 });
    expect(await here.call(['send', '--eml', here.write('small.eml', raw(2_900_000))])).toMatchObject({ code: 0 });
    expect(await here.call(['send', '--eml', here.write('parts.eml', raw(3_000_001))])).toMatchObject({ code: 0 });
    const hidden = raw(3_000_001).replace('\r\n\r\n', '\r\nBcc: hidden@example.net\r\n\r\n');
    expect(await here.call(['send', '--eml', here.write('bcc.eml', hidden)])).toMatchObject({ code: 0 });
    const signed = raw(3_000_001).replace('\r\n\r\n', '\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n');
    const relayed = ['send', '--via', 'relay', '--eml', here.write('signed.eml', signed)];
    expect(await here.call(relayed)).toMatchObject({ code: 0 });
  });

  test.each([
    [[{ ref: 'x', size: 151 * megabyte }], 'an attachment has 158334976 bytes, and Graph takes 157286400'],
    [[{ ref: 'x', size: 150 * megabyte }], null],
    [
      [
        { ref: 'x', size: 1 },
        { ref: 'x', size: 150 * megabyte + 1 },
      ],
      'an attachment has 157286401 bytes, and Graph takes 157286400',
    ],
  ])('judges attachments of the sizes %j', (sizes, expected) => {
    const attachments = sizes.map((content) => ({ ...content, disposition: 'attachment' as const }));
    expect(tooLargeForGraph({ ...largeMail([]).structured.message, attachments })).toBe(expected);
  });

  test('judges the text by its own limit', () => {
    const message = { ...largeMail([]).structured.message, html: '🦄'.repeat(1_000_000) };
    expect(tooLargeForGraph(message)).toMatch(/^the text of the message has 4000\d+ bytes, and Graph takes 3900000/);
  });
});

describe('through a whole worker', () => {
  const letter = { id: 'm', from: 'sales@example.com', to: 'a@example.net', text: 'x' };

  test.each([3.1, 5])(
    'an attachment of %d MB arrives byte for byte although its upload is interrupted twice',
    async (size) => {
      const prefix = testPrefix();
      const { graph, transport } = await graphPair();
      graph.script('uploadRange', faults.reset('mid-body'), faults.reset('after-body'));
      await startWorker({ prefix, config: configOf({ graph: {} }), transports: { graph: transport } });
      const producer = testProducer(prefix);
      const content = randomBytes(Math.round(size * megabyte));
      await producer.send({ ...letter, attachments: [{ filename: 'a.bin', content }] });
      expect(await settled(producer, ['m'])).toMatchObject([{ state: 'sent', attempts: 1 }]);
      const [copy] = graph.mailbox('sales@example.com').in('sentitems');
      expect(hash(Buffer.concat(copy?.attachments[0]?.chunks ?? []))).toBe(hash(content));
      expect(graph.deliveries).toHaveLength(1);
    },
  );

  test.each([
    ['changed', 'not the ones'],
    ['gone', 'no stored content'],
    ['shorter', 'not in Redis'],
  ])('an attachment whose stored bytes are %s is not sent', async (what, reply) => {
    const prefix = testPrefix();
    const { graph, transport } = await graphPair();
    const producer = testProducer(prefix);
    const redis = testConnection();
    const content = randomBytes(5 * megabyte);
    await producer.send({ ...letter, attachments: [{ filename: 'a.bin', content }] });
    const key = keysOf(prefix).content(hash(content));
    if (what === 'changed') await redis.setrange(key, 4 * megabyte + 7, 'forged');
    else if (what === 'gone') await redis.del(key);
    else await redis.set(key, content.subarray(1));
    await startWorker({ prefix, config: configOf({ graph: {} }), transports: { graph: transport } });
    expect(await settled(producer, ['m'])).toMatchObject([{ state: 'dead', reason: 'invalid-message' }]);
    const dead = await (await testOperator(prefix)).deadLetters.get('m');
    expect(dead?.reply).toContain(reply);
    expect(graph.requests).toEqual([]);
  });
});
