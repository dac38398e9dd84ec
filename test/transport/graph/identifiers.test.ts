/** What Graph names in its answers, before any of it becomes part of a request. */
import { describe, expect, test } from 'vitest';
import { idOf, isUploadUrl } from '../../../src/transport/graph/identifiers.ts';
import { faults } from '../../../testkit/graph/faults.ts';
import { freely, graphPair, largeMail, mailTo } from '../../support/graph-client.ts';

const json = { 'content-type': 'application/json' };
const megabyte = 1024 * 1024;

test('ids as Graph gives them are ids', () => {
  for (const id of ['AAMkAGI2TG93AAA=', 'AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A_x', 'AAkALg/+x=='])
    expect(idOf(id)).toBe(id);
});

const evilIds = [
  '..',
  '.',
  '...',
  '',
  'a/../../x',
  'a.b',
  '../../users/ceo@example.com/sendMail',
  'a?b',
  'a#b',
  'a%2F..',
  'a\\b',
  'a b',
  'ä',
  'a\r\nX: y',
  'x'.repeat(1_025),
];

test.each([...evilIds, 7, null, {}, ['a']])('attack: the id %j is none', (id) => {
  expect(idOf(id)).toBeNull();
});

describe('attack: Graph names an id that leads elsewhere', () => {
  test.each(evilIds)('as the id of a draft, %j, and no request is made with it', async (id) => {
    const { graph, transport } = await graphPair();
    graph.script('createMessage', faults.answer(201, JSON.stringify({ id }), json));
    expect(await transport.send(largeMail([10]), freely)).toMatchObject({ recipients: [{ outcome: 'deferred' }, {}] });
    expect(new Set(graph.requests.map(({ operation }) => operation))).toEqual(
      new Set(['discovery', 'token', 'listMessages', 'createMessage']),
    );
  });

  test.each(evilIds)('as a draft that a verification finds, %j, and nothing is deleted', async (id) => {
    const { graph, transport } = await graphPair();
    const value = [{ id, isDraft: true, toRecipients: [], ccRecipients: [], bccRecipients: [] }];
    graph.script('listMessages', faults.answer(200, JSON.stringify({ value }), json));
    const signal = new AbortController().signal;
    const mail = mailTo(['a@example.net'], ['To: a@example.net']);
    expect(await transport.verify?.(mail, { signal, attemptedAt: 0 })).toBe('unknown');
    expect(graph.count('deleteMessage')).toBe(0);
    expect(graph.requests.filter(({ operation }) => operation === 'unknown')).toEqual([]);
  });

  test('as the next page of a list, and it is not followed', async () => {
    const { graph, transport } = await graphPair();
    const body = { value: [], '@odata.nextLink': 'https://evil.example/v1.0/me/messages' };
    graph.script('listMessages', faults.answer(200, JSON.stringify(body), json));
    const signal = new AbortController().signal;
    const mail = mailTo(['a@example.net'], ['To: a@example.net']);
    expect(await transport.verify?.(mail, { signal, attemptedAt: 0 })).toBe('not-sent');
    expect(graph.count('listMessages')).toBe(1);
  });
});

const graphBaseUrl = 'https://graph.microsoft.com';

test.each([
  'https://outlook.office.com/api/v2.0/Users/x/AttachmentSessions/y?authtoken=z',
  'https://outlook.office365.us/api',
  'https://partner.outlook.cn/api',
  'https://graph.microsoft.com/api',
])('attachments may go to %s', (url) => {
  expect(isUploadUrl(url, graphBaseUrl)).toBe(true);
});

test.each([
  'http://outlook.office.com/api',
  'https://outlook.office.com:8443/api',
  'https://graph.microsoft.com:444/api',
  'https://office.com.evil.example/x',
  'https://evil-office.com/x',
  'https://user@outlook.office.com/x',
  'https://outlook.office.com@evil.example/x',
  'https://127.0.0.1/x',
  'https://[::1]/x',
  'https://169.254.169.254/x',
  'file:///etc/passwd',
  '//outlook.office.com/x',
  'outlook.office.com',
  '',
  `https://outlook.office.com/${'x'.repeat(9_000)}`,
])('attack: attachments never go to %s', (url) => {
  expect(isUploadUrl(url, graphBaseUrl)).toBe(false);
});

test.each([
  ['another host', 'https://office.com.evil.example/x', 'office.com.evil.example'],
  ['another port of Graph’s host', 'https://127.0.0.1:1/x', '127.0.0.1:1'],
])('attack: an upload session at %s gets no attachment, and the fault names it', async (_, uploadUrl, named) => {
  const { graph, transport } = await graphPair();
  graph.script('createUploadSession', faults.answer(201, JSON.stringify({ uploadUrl }), json));
  const outcome = await transport.send(largeMail([4 * megabyte]), freely);
  expect(outcome).toMatchObject({ kind: 'connector-fault', fault: 'config' });
  expect(JSON.stringify(outcome)).toContain(named);
  expect(graph.mailbox('sales@example.com').in('drafts')).toEqual([]);
});
