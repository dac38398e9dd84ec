/** Importance and unsubscribing: what is refused, and what a reader's program makes of the mail, through SMTP and Graph. */
import { simpleParser } from 'mailparser';
import { describe, expect, test } from 'vitest';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import { defaultMessageLimits, type Content, type Message } from '../../src/message/message.ts';
import { parseMessage } from '../../src/message/schema.ts';
import type { OutgoingMail } from '../../src/transport/transport.ts';
import { until } from '../../testkit/until.ts';
import { project } from '../support/cli.ts';
import { startTestServer } from '../support/cli-config.ts';
import { composedMail } from '../support/compose.ts';
import { freely, graphPair } from '../support/graph-client.ts';
import { testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';

const minimal = { from: 'Sales <sales@example.com>', to: 'a@example.net', subject: 'Hi', text: 'Hello' };
const list = { url: 'https://example.com/u/4711?a=1&b=2', mailto: 'leave@example.com' };

function normal(input: object): Message {
  const parsed = parseMessage({ ...minimal, ...input }, defaultMessageLimits);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues));
  return parsed.message;
}

function refusals(input: object): string[] {
  const parsed = parseMessage({ ...minimal, ...input }, defaultMessageLimits);
  return parsed.ok ? [] : parsed.issues.map(({ field, rule }) => `${field}: ${rule}`);
}

describe('listUnsubscribe', () => {
  test('has a normal form, which is a valid input of the same meaning', () => {
    const message = normal({ listUnsubscribe: list });
    const expected = { url: list.url, mailto: 'mailto:leave@example.com', oneClick: true };
    expect(message.listUnsubscribe).toEqual(expected);
    expect(normal({ listUnsubscribe: expected }).listUnsubscribe).toEqual(expected);
    expect(normal({ listUnsubscribe: { mailto: 'MAILTO:a@b.example?subject=stop%20it' } }).listUnsubscribe).toEqual({
      mailto: 'mailto:a@b.example?subject=stop%20it',
      oneClick: false,
    });
  });

  test.each<[string, object]>([
    ['a header hidden in the URL', { url: 'https://example.com/\r\nBcc: evil@x.y' }],
    ['a line break that a URL parser would pass over', { url: 'https://exam\nple.com/' }],
    ['a second URL hidden behind an angle bracket', { url: 'https://example.com/>,<http://evil.example/' }],
    ['a script', { url: 'javascript:alert(1)' }],
    ['an unencrypted URL', { url: 'http://example.com/u' }],
    ['a server hidden behind a user', { url: 'https://example.com@evil.example/' }],
    ['characters that are not ASCII', { url: 'https://example.com/\u202e' }],
    ['a URL that fits on no line', { url: `https://example.com/${'u'.repeat(900)}` }],
    ['a header hidden in the address', { mailto: 'a@b.example\r\nBcc: evil@x.y' }],
    ['an encoded line break', { mailto: 'mailto:a@b.example?subject=x%0D%0ABcc:evil@x.y' }],
    ['a recipient hidden in the fields of a mailto URL', { mailto: 'mailto:a@b.example?bcc=evil@x.y' }],
    ['a recipient hidden behind a subject', { mailto: 'mailto:a@b.example?subject=x&cc=evil@x.y' }],
    ['two addresses', { mailto: 'mailto:a@b.example,evil@x.y' }],
    ['a second way hidden in the address', { mailto: 'a@b.example>,<https://evil.example' }],
  ])('is refused with %s', (_, hostile) => {
    expect(refusals({ listUnsubscribe: hostile })).toEqual([
      expect.stringMatching(/^listUnsubscribe\.(?:url|mailto): list-unsubscribe$/),
    ]);
  });

  test('is refused without a way, with one click and no URL, and beside the header that it writes', () => {
    expect(refusals({ listUnsubscribe: {} })).toEqual(['listUnsubscribe: list-unsubscribe']);
    const clicked = { mailto: 'a@b.example', oneClick: true };
    expect(refusals({ listUnsubscribe: clicked })).toEqual(['listUnsubscribe: list-unsubscribe']);
    expect(refusals({ listUnsubscribe: { urls: 'x' } })).toContain('listUnsubscribe.urls: unknown-key');
    const headers = { 'list-unsubscribe': '<https://example.com>' };
    expect(refusals({ listUnsubscribe: list, headers })).toEqual(['headers.list-unsubscribe: header-owned']);
    expect(refusals({ headers })).toEqual([]);
    expect(refusals({ importance: 'high', headers: { 'X-Priority': '5' } })).toEqual([
      'headers.X-Priority: header-owned',
    ]);
    expect(refusals({ importance: 'urgent' })).toEqual(['importance: type']);
    const raw = { raw: 'From: a@b.example\r\nTo: a@b.example\r\n\r\nx', importance: 'low', listUnsubscribe: list };
    const parsed = parseMessage(raw, defaultMessageLimits);
    expect(parsed).toMatchObject({ ok: false, issues: [{ rule: 'raw-excludes' }, { rule: 'raw-excludes' }] });
  });
});

const shapes: Record<string, Partial<OutboundMessage>> = {
  'a text': {},
  'text and HTML': { html: '<p>Hello</p>' },
  'an attachment': { attachments: [{ filename: 'a.txt', content: 'x' }] },
};

describe.each(Object.entries(shapes))('a mail of %s', (_, shape) => {
  test('says by SMTP how important it is and how to unsubscribe, as a parser reads it', async () => {
    const server = await startTestServer();
    const prefix = testPrefix();
    await project(server.config(prefix)).worker();
    const producer = testProducer(prefix);
    await producer.send({ ...minimal, ...shape, importance: 'high', listUnsubscribe: list });
    const [received] = await until(
      () => (server.received.transactions[0]?.bytes ? server.received.transactions : null),
      {
        what: 'the mail',
      },
    );
    const parsed = await simpleParser(received!.bytes);
    expect(parsed.headers.get('priority')).toBe('high');
    expect(received!.bytes.toString()).toMatch(/^Importance: high\r$/m);
    expect(parsed.headers.get('list')).toMatchObject({
      unsubscribe: { url: list.url, mail: list.mailto },
      'unsubscribe-post': { name: 'List-Unsubscribe=One-Click' },
    });
  });
});

/** The body of the request by which Graph gets a mail with both. */
async function postedToGraph(settings: { readonly saveToSentItems: boolean }): Promise<string> {
  const { graph, transport } = await graphPair({ settings });
  const message = normal({ importance: 'low', listUnsubscribe: list });
  const contentOf = (content: Content): Buffer => Buffer.from('content' in content ? content.content : '');
  const options = { messageId: '<m@example.com>', date: new Date(0), boundarySeed: 'm', contentOf };
  const mail: OutgoingMail = {
    id: 'm',
    envelope: message.envelope,
    bytes: await composedMail(message, options),
    structured: { message, contentOf, rangeOf: contentOf },
  };
  expect(await transport.send(mail, freely)).toMatchObject({ kind: 'settled' });
  return graph.requests.find(({ operation }) => operation === 'sendMail')?.body.toString() ?? '';
}

test('through Graph as MIME, both arrive, as a parser reads it', async () => {
  const body = await postedToGraph({ saveToSentItems: true });
  const parsed = await simpleParser(Buffer.from(body, 'base64'));
  expect(parsed.headers.get('priority')).toBe('low');
  expect(parsed.headers.get('list')).toMatchObject({ unsubscribe: { url: list.url } });
});

test('through Graph as JSON, importance is a property, and unsubscribing has none', async () => {
  const body = await postedToGraph({ saveToSentItems: false });
  expect(JSON.parse(body)).toMatchObject({ message: { importance: 'low' } });
  expect(body).not.toContain('example.com/u/4711');
});
