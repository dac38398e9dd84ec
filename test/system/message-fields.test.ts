/** The fields of a message that a reader's program acts on, through whole workers by SMTP and by Graph, as a parser that is not ours reads them. */
import { simpleParser, type ParsedMail } from 'mailparser';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startSmtpServer, type SmtpServer } from '../../testkit/smtp/server.ts';
import { smtpSettings } from '../../testkit/smtp/settings.ts';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import type { MessageStatus, Producer } from '../../src/producer/producer.ts';
import type { GraphSettings } from '../../src/transport/graph/settings.ts';
import { createSmtpTransport } from '../../src/transport/smtp/smtp.ts';
import { settled } from '../support/accounting.ts';
import { meeting, withCrlf } from '../support/calendar.ts';
import { graphPair } from '../support/graph-client.ts';
import { configOf, startWorker, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';

const minimal = { id: 'm', from: 'Sales <sales@example.com>', to: 'zoe@example.net', subject: 'Grüße', text: 'Hello' };

interface Arrival {
  readonly mail: ParsedMail;
  readonly status: MessageStatus;
  /** The commands of the SMTP session; none of Graph. */
  readonly commands: readonly string[];
}

type Way = (message: Partial<OutboundMessage>) => Promise<Arrival>;

async function sent(producer: Producer, message: Partial<OutboundMessage>): Promise<MessageStatus> {
  await producer.send({ ...minimal, ...message });
  const [status] = await settled(producer, ['m']);
  expect(status).toMatchObject({ state: 'sent' });
  return status!;
}

const bySmtp: Way = async (message) => {
  const server: SmtpServer = await startSmtpServer({ extensions: ['PIPELINING', '8BITMIME', 'SIZE', 'DSN'] });
  const transport = createSmtpTransport({
    settings: smtpSettings(server.port),
    hostname: 'test.example',
    maxConnections: 2,
  });
  onTestFinished(async () => {
    await transport.close();
    await server.stop();
  });
  const prefix = testPrefix();
  await startWorker({ prefix, config: configOf({ relay: {} }), transports: { relay: transport } });
  const status = await sent(testProducer(prefix), message);
  const [received] = server.received.transactions;
  return { mail: await simpleParser(received!.bytes), status, commands: server.received.commands };
};

async function graphScene(settings: Partial<GraphSettings> = {}, sendAs: readonly string[] = []) {
  const { graph, transport } = await graphPair({ settings, mailboxes: [{ address: 'sales@example.com', sendAs }] });
  const prefix = testPrefix();
  await startWorker({ prefix, config: configOf({ graph: {} }), transports: { graph: transport } });
  return { graph, producer: testProducer(prefix) };
}

const byGraph: Way = async (message) => {
  const { graph, producer } = await graphScene({}, ['assistant@example.com']);
  const status = await sent(producer, message);
  return { mail: await simpleParser(graph.deliveries[0]!.mime!), status, commands: [] };
};

/** Type and parameters of the parts that are neither text nor HTML, by their number in the tree. */
function partsOf({ attachments }: ParsedMail): [string, string, Record<string, string>][] {
  return attachments.map((each) => {
    const { partId } = each as unknown as { partId: string };
    const type = each.headers.get('content-type') as unknown as { value: string; params: Record<string, string> };
    return [partId, type.value, type.params];
  });
}

describe.each([
  ['SMTP', bySmtp],
  ['Graph', byGraph],
] as const)('through %s', (name, through) => {
  test('an invitation is the last alternative, with the method in its type, and a file of the same content', async () => {
    const calendarEvent = { content: meeting(), method: 'REQUEST' };
    const { mail } = await through({ html: '<p>Hello</p>', calendarEvent });
    expect(partsOf(mail)).toMatchObject([
      ['1.3', 'text/calendar', { charset: 'utf-8', method: 'REQUEST' }],
      ['2', 'application/ics', { name: 'invite.ics' }],
    ]);
    expect(mail.attachments.map(({ content }) => content.toString())).toEqual(Array(2).fill(withCrlf(meeting())));
    expect([mail.text, mail.html]).toEqual(['Hello', '<p>Hello</p>']);
  });

  test('alternatives arrive behind text and HTML', async () => {
    const amp = '<!doctype html><html ⚡4email></html>';
    const alternatives = [{ contentType: 'text/x-amp-html', content: amp }];
    const { mail } = await through({ html: '<p>Hello</p>', alternatives });
    expect(partsOf(mail)).toMatchObject([['3', 'text/x-amp-html', { charset: 'utf-8' }]]);
    expect(mail.attachments[0]?.content.toString()).toBe(amp);
  });

  test('the sender is named beside the author, to whom the mail is attributed all the same', async () => {
    const { mail, commands } = await through({ sender: 'Zoë <assistant@example.com>' });
    expect(mail.headers.get('sender')).toMatchObject({ value: [{ name: 'Zoë', address: 'assistant@example.com' }] });
    expect(mail.from?.value).toMatchObject([{ name: 'Sales', address: 'sales@example.com' }]);
    expect(name === 'SMTP' ? commands : ['MAIL FROM:<sales@example.com>']).toContainEqual(
      expect.stringMatching(/^MAIL FROM:<sales@example\.com>/),
    );
  });

  test('importance and unsubscribing are what the reader sees', async () => {
    const url = 'https://example.com/u/4711';
    const { mail } = await through({ importance: 'high', listUnsubscribe: { url } });
    expect(mail.headers.get('priority')).toBe('high');
    expect(mail.headers.get('list')).toMatchObject({
      unsubscribe: { url },
      'unsubscribe-post': { name: 'List-Unsubscribe=One-Click' },
    });
  });

  test('delivery reports are asked for, or the status says that they cannot be', async () => {
    const { commands, status } = await through({ dsn: { notify: ['failure', 'delay'], return: 'headers' } });
    const inSession = [
      expect.stringMatching(/^MAIL .* RET=HDRS ENVID=\S+@example\.com$/),
      'RCPT TO:<zoe@example.net> NOTIFY=FAILURE,DELAY ORCPT=rfc822;zoe@example.net',
    ];
    const inStatus = [expect.stringContaining('dsn has no effect')];
    const told = name === 'SMTP' ? commands : status.recipients.map(({ reply }) => reply);
    expect(told).toEqual(expect.arrayContaining(name === 'SMTP' ? inSession : inStatus));
  });
});

describe('through Graph without a copy in Sent Items', () => {
  test('sender and importance are properties of the message', async () => {
    const { graph, producer } = await graphScene({ saveToSentItems: false }, ['assistant@example.com']);
    await sent(producer, { sender: 'Zoë <assistant@example.com>', importance: 'low' });
    expect(graph.deliveries[0]?.message).toMatchObject({
      mime: null,
      importance: 'low',
      from: { address: 'sales@example.com' },
      sender: { name: 'Zoë', address: 'assistant@example.com' },
    });
  });

  test('an invitation and alternatives go as MIME all the same, as JSON has nothing for them', async () => {
    const { graph, producer } = await graphScene({ saveToSentItems: false });
    await sent(producer, { calendarEvent: { content: meeting('CANCEL') } });
    const mail = await simpleParser(graph.deliveries[0]!.mime!);
    expect(partsOf(mail)[0]).toMatchObject(['1.2', 'text/calendar', { method: 'CANCEL' }]);
  });
});

test.each(['calendarEvent', 'alternatives'] as const)(
  'with %s, a mail that is larger than one request of Graph is a dead letter too-large that names the field and the limit',
  async (field) => {
    const { graph, producer } = await graphScene();
    const form = { calendarEvent: { content: meeting() }, alternatives: [{ contentType: 'text/x-a', content: 'x' }] };
    const attachments = [{ filename: 'a.bin', content: Buffer.alloc(2_400_000, 'a') }];
    await producer.send({ ...minimal, attachments, [field]: form[field] });
    const [status] = await settled(producer, ['m']);
    expect(status).toMatchObject({ state: 'dead', reason: 'too-large' });
    expect(status?.recipients[0]?.reply).toMatch(new RegExp(`${field}.*3000000 bytes`));
    expect([graph.deliveries, graph.count('sendMail')]).toEqual([[], 0]);
  },
);

test('with an invitation, a mail above 2,240 KB and below 3 MB goes to Graph whole', async () => {
  const { graph, producer } = await graphScene();
  const attachments = [{ filename: 'a.bin', content: Buffer.alloc(1_900_000, 'a') }];
  await sent(producer, { attachments, calendarEvent: { content: meeting() } });
  const mail = await simpleParser(graph.deliveries[0]!.mime!);
  expect(mail.attachments.map(({ contentType }) => contentType)).toContain('text/calendar');
});

test('a mail in parts through Graph keeps its sender, and so does a finished one that is taken apart', async () => {
  const content = Buffer.alloc(2_400_000, 'a');
  const head = ['From: sales@example.com', 'Sender: "Zoë" <assistant@example.com>', 'To: zoe@example.net'];
  const type = 'Content-Type: multipart/mixed; boundary=b';
  const parts = ['--b', '', 'Hello', '--b', 'Content-Disposition: attachment; filename=a.txt', ''];
  const raw = [...head, type, '', ...parts, ...Array<string>(45_000).fill('x'.repeat(70)), '--b--', ''].join('\r\n');
  for (const message of [
    { attachments: [{ content }], sender: 'assistant@example.com' },
    { id: 'm', raw },
  ]) {
    const { graph, producer } = await graphScene({}, ['assistant@example.com']);
    await producer.send('raw' in message ? message : { ...minimal, ...message });
    await settled(producer, ['m']);
    expect(graph.deliveries[0]?.message).toMatchObject({ mime: null, sender: { address: 'assistant@example.com' } });
  }
});

test('a sender does not choose the mailbox that Graph sends through, and may not be one that Exchange forbids it', async () => {
  const { graph, producer } = await graphScene();
  await producer.send({ ...minimal, sender: 'ceo@example.com' });
  expect(await settled(producer, ['m'])).toMatchObject([{ state: 'dead', reason: 'rejected' }]);
  const [request] = graph.requests.filter(({ operation }) => operation === 'sendMail');
  expect(decodeURIComponent(request?.path ?? '')).toContain('/users/sales@example.com/');
  expect(graph.deliveries).toEqual([]);
});

describe('of an installation that redirects', () => {
  const delivery = { redirectTo: 'tester@example.com', allowRecipients: null };

  test('an invitation goes to the tester once and whole, and to none of the guests that it names', async () => {
    const server = await startSmtpServer();
    const settings = smtpSettings(server.port);
    const transport = createSmtpTransport({ settings, hostname: 'test.example', maxConnections: 2 });
    onTestFinished(async () => {
      await transport.close();
      await server.stop();
    });
    const prefix = testPrefix();
    await startWorker({ prefix, config: configOf({ relay: {} }, { delivery }), transports: { relay: transport } });
    const producer = testProducer(prefix);
    await producer.send({ ...minimal, cc: 'bob@example.net', calendarEvent: { content: meeting() } });
    await settled(producer, ['m']);
    expect(server.received.transactions.map(({ to }) => to)).toEqual([['tester@example.com']]);
    const mail = await simpleParser(server.received.transactions[0]!.bytes);
    expect(mail.headers.get('x-postlane-original-to')).toBe('zoe@example.net, bob@example.net');
    expect(mail.attachments.map(({ content }) => content.toString())).toEqual(Array(2).fill(withCrlf(meeting())));
  });

  test('Graph, which sends to whom the header names, sends an invitation to the tester alone', async () => {
    const { graph, transport } = await graphPair();
    const prefix = testPrefix();
    await startWorker({ prefix, config: configOf({ graph: {} }, { delivery }), transports: { graph: transport } });
    const producer = testProducer(prefix);
    await producer.send({ ...minimal, cc: 'bob@example.net', calendarEvent: { content: meeting() } });
    await settled(producer, ['m']);
    expect(graph.deliveries.map(({ recipient }) => recipient)).toEqual(['tester@example.com']);
    const mail = await simpleParser(graph.deliveries[0]!.mime!);
    expect(partsOf(mail)[0]).toMatchObject(['1.2', 'text/calendar', { method: 'REQUEST' }]);
  });
});
