/** Who receives what through Graph, which has no envelope: the hard cases of addressing, in each of the three ways to send. */
import { domainToASCII } from 'node:url';
import { simpleParser } from 'mailparser';
import { describe, expect, test } from 'vitest';
import { bccLeaks } from '../../../testkit/graph/evidence.ts';
import type { Delivery } from '../../../testkit/graph/outbox.ts';
import type { OutboundMessage } from '../../../src/message/outbound.ts';
import { settled } from '../../support/accounting.ts';
import { graphPair } from '../../support/graph-client.ts';
import { configOf, startWorker, testProducer } from '../../support/postlane.ts';
import { testPrefix } from '../../support/redis.ts';

const from = { name: '🦄 Sales, "Inc." @home', address: 'sales@example.com' };
const many = (count: number, name: string): string[] =>
  Array.from({ length: count }, (_, at) => `${name}${at}@example.net`);

interface Case {
  readonly name: string;
  readonly mail: OutboundMessage;
  readonly to?: readonly string[];
  readonly cc?: readonly string[];
  readonly bcc?: readonly string[];
}

const cases: readonly Case[] = [
  { name: 'Bcc alone', mail: { from, bcc: many(3, 'hidden'), subject: 's', text: 'x' }, bcc: many(3, 'hidden') },
  {
    name: 'names with @, quotes, commas and brackets',
    mail: {
      from,
      to: [
        { name: 'ceo@example.com', address: 'a@example.net' },
        { name: 'Kofi "Kay" <k@evil.example> Mensah', address: 'b@example.net' },
        { name: 'Doe, Jane; (x)', address: 'c@example.net' },
      ],
      cc: [{ name: '\\"; b@evil.example', address: 'd@example.net' }],
      bcc: [{ name: 'e@evil.example, f@evil.example', address: 'hidden@example.net' }],
      subject: 's',
      text: 'x',
    },
    to: ['a@example.net', 'b@example.net', 'c@example.net'],
    cc: ['d@example.net'],
    bcc: ['hidden@example.net'],
  },
  {
    name: '500 recipients',
    mail: { from, to: many(200, 'to'), cc: many(200, 'cc'), bcc: many(100, 'hidden'), subject: 's', text: 'x' },
    to: many(200, 'to'),
    cc: many(200, 'cc'),
    bcc: many(100, 'hidden'),
  },
  {
    name: 'emoji everywhere',
    mail: {
      from,
      to: [{ name: '👩‍🚀 Zoë', address: 'a@example.net' }],
      cc: [{ name: '🎉', address: 'info@grüße.example.net' }],
      bcc: [{ name: '🙈🙉🙊', address: 'hidden@example.net' }],
      replyTo: [{ name: '💌', address: 'reply@example.com' }],
      subject: `🦄${' 🎈 ünï'.repeat(30)}`,
      text: '🧨 text',
      html: '<p>🧨 HTML</p>',
      headers: { 'X-Emoji': '🧪' },
      attachments: [{ filename: '📎 größe.txt', content: '📄' }],
    },
    to: ['a@example.net'],
    cc: [`info@${domainToASCII('grüße.example.net')}`],
    bcc: ['hidden@example.net'],
  },
  {
    name: 'the same person in To and Bcc, in another spelling',
    mail: { from, to: ['A@Example.NET'], bcc: ['A@example.net', 'hidden@example.net'], subject: 's', text: 'x' },
    to: ['A@example.net'],
    bcc: ['hidden@example.net'],
  },
];

const raw = (lines: readonly string[]): Buffer =>
  Buffer.from(`From: sales@example.com\r\n${lines.join('\r\n')}\r\nSubject: s\r\n\r\nx\r\n`);

const finished: readonly Case[] = [
  {
    name: 'a finished message to "Undisclosed recipients:;" with Bcc fields',
    mail: {
      raw: raw([
        'To: Undisclosed recipients:;',
        'Bcc: hidden0@example.net',
        'bcc: hidden1@example.net,',
        '\thidden2@example.net',
      ]),
    },
    bcc: many(3, 'hidden'),
  },
  {
    name: 'a finished message to "undisclosed-recipients: ;", with an envelope',
    mail: {
      raw: raw(['To: undisclosed-recipients: ;', 'Cc: "b@evil.example" <c@example.net>']),
      envelope: { from: 'sales@example.com', to: ['c@example.net', 'hidden@example.net'] },
    },
    cc: ['c@example.net'],
    bcc: ['hidden@example.net'],
  },
];

const ways = [
  ['as MIME', {}, {}],
  ['as JSON', { saveToSentItems: false }, {}],
  ['as a draft', {}, { attachments: [{ filename: '📎 large.bin', content: Buffer.alloc(3_200_000, 'large ') }] }],
] as const;

async function deliver(mail: OutboundMessage, settings: object): Promise<readonly Delivery[]> {
  const prefix = testPrefix();
  const { graph, transport } = await graphPair({ settings });
  const producer = testProducer(prefix);
  await startWorker({ prefix, config: configOf({ graph: {} }), transports: { graph: transport } });
  await producer.send({ id: 'm', ...mail });
  const [row] = await settled(producer, ['m']);
  expect(row).toMatchObject({ state: 'sent', attempts: 1 });
  return graph.deliveries;
}

function gotIt(deliveries: readonly Delivery[], field: Delivery['as']): string[] {
  return (
    deliveries
      .filter(({ as }) => as === field)
      // The parser of the fake shows A-labels as what they stand for.
      .map(({ recipient }) => recipient.replace(/[^@]+$/, domainToASCII))
  );
}

function expectRight(deliveries: readonly Delivery[], { to = [], cc = [], bcc = [] }: Case): void {
  expect(gotIt(deliveries, 'to')).toEqual(to);
  expect(gotIt(deliveries, 'cc')).toEqual(cc);
  expect(gotIt(deliveries, 'bcc').toSorted()).toEqual([...bcc].toSorted());
  expect(bccLeaks(deliveries)).toEqual([]);
  for (const { mime } of deliveries) expect(mime?.toString() ?? '').not.toMatch(/^(resent-)?bcc/im);
}

describe.each(ways)('%s', (_way, settings, more) => {
  test.each(cases.map((one) => [one.name, one] as const))('%s', async (_name, one) => {
    const deliveries = await deliver({ ...one.mail, ...more }, settings);
    expectRight(deliveries, one);
    const { message, mime } = deliveries[0]!;
    // What the recipient's program shows: names as they were, and the sender's own.
    const parsed = mime === null ? null : await simpleParser(mime);
    expect(parsed?.from?.value ?? [message.from]).toEqual([expect.objectContaining(from)]);
    expect(message.subject).toBe(one.mail.subject);
    for (const field of ['to', 'cc'] as const) {
      const names = [one.mail[field] ?? []].flat().map((each) => (typeof each === 'string' ? '' : (each.name ?? '')));
      expect(message[field].map(({ name }) => name ?? '')).toEqual(names);
    }
  });
});

describe('finished', () => {
  test.each(finished.map((one) => [one.name, one] as const))('%s', async (_name, one) => {
    const deliveries = await deliver(one.mail, {});
    expect(deliveries.length).toBeGreaterThan(0);
    expectRight(deliveries, one);
  });
});
