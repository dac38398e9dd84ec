/** Messages through Graph: who receives them, what they contain, and which requests the server sees. */
import { readFileSync } from 'node:fs';
import { simpleParser } from 'mailparser';
import { describe, expect, onTestFinished, test } from 'vitest';
import { faults } from '../../../testkit/graph/faults.ts';
import { startTcpProxy } from '../../../testkit/tcp-proxy.ts';
import { createHttpClient, type HttpFailure } from '../../../src/transport/http.ts';
import { createGraphTransport } from '../../../src/transport/graph/graph.ts';
import { inlineBytes } from '../../../src/message/content.ts';
import type { Content, Message } from '../../../src/message/message.ts';
import type { OutgoingMail } from '../../../src/transport/transport.ts';
import { freely, graphPair, mailTo, settingsFor } from '../../support/graph-client.ts';
import { composedMail } from '../../support/compose.ts';

const contentOf = (content: Content): Buffer => inlineBytes(content) ?? Buffer.alloc(0);
const rangeOf = (content: Content, start: number, end: number): Buffer => contentOf(content).subarray(start, end);

const accepted = (...addresses: string[]) => ({
  kind: 'settled',
  recipients: addresses.map((address) => ({ address, outcome: 'accepted', reply: { code: '202' } })),
});

describe('a message', () => {
  test('arrives as the bytes that were composed', async () => {
    const { graph, transport } = await graphPair({ settings: { mailbox: 'sales@example.com' } });
    graph.script('sendMail', faults.answer(202));
    const bytes = readFileSync(new URL('../../message/fixtures/everything.eml', import.meta.url));
    const to = (await simpleParser(bytes)).to;
    const addresses = (Array.isArray(to) ? to : [to])
      .flatMap((each) => each?.value ?? [])
      .map(({ address = '' }) => address);
    const { cc } = await simpleParser(bytes);
    const copies = (Array.isArray(cc) ? cc : [cc])
      .flatMap((each) => each?.value ?? [])
      .map(({ address = '' }) => address);
    const mail = { id: 'x', envelope: { from: 'sales@example.com', to: [...addresses, ...copies] }, bytes };
    await transport.send(mail, freely);
    const request = graph.requests.find(({ operation }) => operation === 'sendMail');
    expect(Buffer.from(request?.body.toString() ?? '', 'base64').equals(bytes)).toBe(true);
  });

  test('reaches every recipient of the envelope, and no copy shows a Bcc', async () => {
    const { graph, transport } = await graphPair();
    const mail = mailTo(['to@example.net', 'hidden@example.net'], ['To: To <to@example.net>']);
    expect(await transport.send(mail, freely)).toMatchObject(accepted('to@example.net', 'hidden@example.net'));
    expect(graph.deliveries.map(({ recipient }) => recipient).toSorted()).toEqual([
      'hidden@example.net',
      'to@example.net',
    ]);
    for (const { mime } of graph.deliveries) expect(mime?.toString()).not.toMatch(/hidden|^bcc/im);
  });

  test('for its remaining recipients sends no second copy to the others', async () => {
    const { graph, transport } = await graphPair();
    const mail = mailTo(['b@example.net'], ['To: a@example.net, b@example.net', 'Cc: c@example.net']);
    expect(await transport.send(mail, freely)).toMatchObject(accepted('b@example.net'));
    expect(graph.deliveries.map(({ recipient }) => recipient)).toEqual(['b@example.net']);
  });

  test('goes through the mailbox of its From, whatever the reverse-path', async () => {
    const { graph, transport } = await graphPair({ domains: ['example.com'] });
    const mail = { ...mailTo(['a@example.net'], ['To: a@example.net']), envelope: { from: '', to: ['a@example.net'] } };
    await transport.send(mail, freely);
    expect(graph.requests.at(-1)?.mailbox).toBe('sales@example.com');
  });

  test('goes through the fixed mailbox with Send As, and a refusal names both', async () => {
    const settings = { mailbox: 'relay@example.com' };
    const { graph, transport } = await graphPair({
      settings,
      mailboxes: [{ address: 'relay@example.com', sendAs: ['sales@example.com'] }],
    });
    const mail = mailTo(['a@example.net'], ['To: a@example.net']);
    expect(await transport.send(mail, freely)).toMatchObject(accepted('a@example.net'));
    const other = { ...mail, bytes: Buffer.from('From: ceo@example.com\r\nTo: a@example.net\r\n\r\nx\r\n') };
    expect(await transport.send(other, freely)).toMatchObject({
      recipients: [{ outcome: 'rejected', scope: 'message', reply: { enhancedCode: 'ErrorSendAsDenied' } }],
    });
    expect(JSON.stringify(await transport.send(other, freely))).toContain(
      'the mailbox relay@example.com may not send as ceo@example.com',
    );
    expect(graph.deliveries).toHaveLength(1);
  });

  test('without a copy in Sent Items is sent as JSON, to the same recipients', async () => {
    const { graph, transport } = await graphPair({ settings: { saveToSentItems: false } });
    const message: Message = {
      from: { name: 'Sales, Inc. "x" @home', address: 'sales@example.com' },
      to: [{ name: 'Zoë 🦄', address: 'a@example.net' }],
      cc: [],
      bcc: [{ address: 'hidden@example.net' }],
      replyTo: [],
      subject: '🦄 ünï',
      html: '<p>hi</p>',
      attachments: [{ content: 'text', encoding: 'utf8', filename: 'a.txt', disposition: 'attachment' }],
      headers: { 'X-One': ['1'], 'List-Id': ['<x>'] },
      references: [],
      envelope: { to: ['a@example.net', 'hidden@example.net'] },
      priority: 'normal',
    };
    const bytes = await composedMail(message, {
      messageId: '<m@example.com>',
      date: new Date(0),
      boundarySeed: 'm',
      contentOf,
    });
    const mail: OutgoingMail = {
      id: 'm',
      envelope: message.envelope,
      bytes,
      structured: { message, contentOf, rangeOf },
    };
    expect(await transport.send(mail, freely)).toMatchObject(accepted('a@example.net', 'hidden@example.net'));
    expect(graph.mailbox('sales@example.com').in('sentitems')).toEqual([]);
    const request = graph.requests.find(({ operation }) => operation === 'sendMail');
    expect(JSON.parse(request?.body.toString() ?? '')).toMatchObject({
      saveToSentItems: false,
      message: {
        subject: '🦄 ünï',
        bccRecipients: [{ emailAddress: { address: 'hidden@example.net' } }],
        internetMessageHeaders: [{ name: 'X-One', value: '1' }],
        internetMessageId: '<m@example.com>',
        attachments: [{ name: 'a.txt', contentBytes: 'dGV4dA==' }],
      },
    });
  });

  test('to 500 recipients is one request', async () => {
    const { graph, transport } = await graphPair();
    const everybody = Array.from({ length: 500 }, (_, at) => `p${at}@example.net`);
    const outcome = await transport.send(mailTo(everybody), freely);
    expect(outcome).toMatchObject(accepted(...everybody));
    expect([graph.count('sendMail'), graph.deliveries.length]).toEqual([1, 500]);
  });

  test('without a From is refused before anything is on the wire', async () => {
    const { graph, transport } = await graphPair();
    const none = { id: 'x', envelope: { to: ['a@example.net'] }, bytes: Buffer.from('Subject: s\r\n\r\nx\r\n') };
    expect(await transport.send(none, freely)).toMatchObject({ recipients: [{ outcome: 'rejected' }] });
    expect(graph.requests).toEqual([]);
  });
});

describe('attack: a sender that is a path', () => {
  test.each([
    ['a/../b?x#y@example.com', '/v1.0/users/a%2F..%2Fb%3Fx%23y%40example.com/sendMail'],
    ["o'brien+x&y=z@example.com", '/v1.0/users/o%27brien%2Bx%26y%3Dz%40example.com/sendMail'],
    ['%2e%2e%2f@example.com', '/v1.0/users/%252e%252e%252f%40example.com/sendMail'],
    ['"a b"@example.com', '/v1.0/users/%22a%20b%22%40example.com/sendMail'],
    ['zoë@example.com', '/v1.0/users/zo%C3%AB%40example.com/sendMail'],
  ])('a sender %s never changes the path', async (mailbox, path) => {
    const { graph, transport } = await graphPair({ domains: ['example.com'], settings: { mailbox } });
    await transport.send(mailTo(['a@example.net']), freely);
    const sent = graph.requests.filter(({ operation }) => operation !== 'token' && operation !== 'discovery');
    expect(sent.map((request) => request.path)).toEqual([path]);
  });

  test('a/../b?x#y@example.com is no address, and causes no request', async () => {
    const { graph, transport } = await graphPair({ domains: ['example.com'] });
    const bytes = Buffer.from('From: a/../b?x#y@example.com\r\nTo: a@example.net\r\n\r\nx\r\n');
    const outcome = await transport.send({ id: 'x', envelope: { to: ['a@example.net'] }, bytes }, freely);
    expect([outcome, graph.requests]).toMatchObject([{ recipients: [{ outcome: 'rejected' }] }, []]);
  });

  test('a Message-ID with quotes and operators stays one value of the filter', async () => {
    const { graph, transport } = await graphPair();
    const id = "<a'+or+1 eq 1&$top=1@example.com>".replaceAll(' ', '%20');
    const bytes = Buffer.from(`From: sales@example.com\r\nTo: a@example.net\r\nMessage-ID: ${id}\r\n\r\nx\r\n`);
    await transport.verify?.(
      { id: 'x', envelope: { to: ['a@example.net'] }, bytes },
      { signal: freely.signal, attemptedAt: 0 },
    );
    const { path = '' } = graph.requests.find(({ operation }) => operation === 'listMessages') ?? {};
    const query = new URLSearchParams(path.split('?')[1]);
    expect(query.get('$filter')).toBe(`internetMessageId eq '${id.replaceAll("'", "''")}'`);
    expect([...query.keys()]).toEqual(['$filter', '$select', '$top']);
  });
});

describe('the server', () => {
  test('gets one request per attempt, without retries of the SDK', async () => {
    const { graph, transport } = await graphPair();
    for (const fault of [faults.throttled(1), faults.unavailable(1), faults.gatewayTimeout(), faults.badGateway()]) {
      const before = graph.count('sendMail');
      graph.script('sendMail', fault);
      await transport.send(mailTo(['a@example.net']), freely);
      expect(graph.count('sendMail') - before).toBe(1);
    }
    expect(graph.deliveries).toEqual([]);
  });

  test.each([
    ['throttled with seconds', faults.throttled(7), { kind: 'connector-fault', fault: 'throttled', pauseMs: 7_000 }],
    [
      'throttled without a body',
      faults.throttledEmpty(7),
      { kind: 'connector-fault', fault: 'throttled', pauseMs: 7_000 },
    ],
    ['a reset before the body', faults.reset('mid-body'), { recipients: [{ outcome: 'uncertain' }] }],
    ['a reset after the body', faults.reset('after-body'), { recipients: [{ outcome: 'uncertain' }] }],
    ['accepted, then 504', faults.acceptThen(), { recipients: [{ outcome: 'uncertain' }] }],
    ['a reset within the answer of acceptance', faults.reset('mid-response'), { kind: 'settled' }],
    ['200 with nothing sent', faults.silent(), { recipients: [{ outcome: 'uncertain' }] }],
    [
      'a page of a gateway',
      faults.badGateway(),
      {
        recipients: [
          { outcome: 'uncertain', reply: { text: expect.stringContaining('502 502 Bad Gateway') as string } },
        ],
      },
    ],
    ['a mailbox that is not there', faults.mailboxMissing(), { kind: 'connector-fault', fault: 'config' }],
    [
      'accepted, with a pause',
      faults.acceptAndSlowDown(9),
      { recipients: [{ outcome: 'accepted' }], slowDownMs: 9_000 },
    ],
  ])('gives the outcome of its answer: %s', async (_name, fault, expected) => {
    const { graph, transport } = await graphPair();
    graph.script('sendMail', fault);
    expect(await transport.send(mailTo(['a@example.net']), freely)).toMatchObject(expected);
  });

  test('that resets before the body has left is told apart from one that resets after it', async () => {
    const { graph } = await graphPair();
    const http = createHttpClient(graph.ca, 1);
    const url = `${graph.graphBaseUrl}/v1.0/users/sales%40example.com/sendMail`;
    // More than the buffers of two operating systems between here and there.
    const stages: string[] = [];
    for (const size of [64 * 1024 * 1024, 10]) {
      graph.script('sendMail', faults.reset(size === 10 ? 'after-body' : 'before-body'));
      const { signal } = freely;
      const body = Buffer.alloc(size);
      await http
        .request({ url, method: 'POST', headers: {}, body, signal, timeoutMs: 60_000 })
        .catch((error: HttpFailure) => stages.push(error.stage));
    }
    expect(stages).toEqual(['partial', 'complete']);
    http.close();
  });

  test('is asked for leave once the connection is there: neither TCP nor TLS delays the first byte after it', async () => {
    const { graph } = await graphPair();
    const { hostname, port } = new URL(graph.graphBaseUrl);
    const proxy = await startTcpProxy({ port: Number(port) });
    const http = createHttpClient(graph.ca, 1);
    onTestFinished(async () => {
      http.close();
      await proxy.stop();
    });
    const seen: unknown[] = [];
    const request = (leave: boolean) =>
      http.request({
        url: `https://${hostname}:${proxy.port}/v1.0/me`,
        method: 'POST',
        headers: {},
        body: 'x',
        signal: freely.signal,
        timeoutMs: 5_000,
        mayBegin: async () => seen.push([proxy.connections, graph.requests.length]) > 0 && leave,
      });
    expect(await request(true)).toMatchObject({ status: 401 });
    // A connection that was kept asks, too.
    await expect(request(false)).rejects.toMatchObject({ message: 'stopped before the request' });
    expect(seen).toEqual([
      [1, 0],
      [1, 1],
    ]);
    expect(graph.requests).toHaveLength(1);
  });

  test('that cannot be reached is the fault of the connector, and no attempt begins', async () => {
    const { graph } = await graphPair();
    const settings = settingsFor(graph);
    const cloud = { ...settings.cloud, graphBaseUrl: 'https://127.0.0.1:9' };
    const transport = createGraphTransport({ settings: { ...settings, cloud }, maxConnections: 1 });
    onTestFinished(() => transport.close());
    let asked = 0;
    const fence = async (): Promise<boolean> => ++asked > 0;
    const outcome = await transport.send(mailTo(['a@example.net']), { ...freely, fence });
    expect(outcome).toMatchObject({ kind: 'connector-fault', fault: 'unreachable' });
    expect(asked).toBe(0);
  });

  test('never gets more than four requests at once for a mailbox from one process', async () => {
    const { graph, transport } = await graphPair({ maxConnections: 16 });
    const mails = Array.from({ length: 40 }, () => transport.send(mailTo(['a@example.net']), freely));
    for (const outcome of await Promise.all(mails)) expect(outcome).toMatchObject(accepted('a@example.net'));
    expect(graph.highWater('sales@example.com')).toBeLessThanOrEqual(4);
  });

  test('with an untrusted certificate is a TLS fault, and gets no token', async () => {
    const { graph } = await graphPair();
    const settings = { ...settingsFor(graph), tls: { ca: null } };
    const stranger = createGraphTransport({ settings, maxConnections: 1 });
    const outcome = await stranger.send(mailTo(['a@example.net']), freely);
    expect(outcome).toMatchObject({ kind: 'connector-fault' });
    expect(graph.requests).toEqual([]);
    await stranger.close();
  });
});
