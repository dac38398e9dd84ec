/** Holds the fake Graph's answers to the description of the API, and the check itself to what it must find. */
import { describe, expect, test } from 'vitest';
import { faults } from '../../../testkit/graph/faults.ts';
import { operations } from '../../support/graph-api.ts';
import { apiProblems } from '../../support/graph-api-check.ts';
import { callFakeGraph, type Caller } from '../../support/graph-caller.ts';

const sales = 'sales%40example.com';
const to = [{ emailAddress: { address: 'a@example.net', name: 'A' } }];
const attachment = { '@odata.type': '#microsoft.graph.fileAttachment', name: 'a.txt', contentBytes: 'aGVsbG8=' };
const mime = 'From: sales@example.com\r\nTo: a@example.net\r\nMessage-ID: <1@example.com>\r\n\r\nHello\r\n';

test('the fake Graph answers every call as the API description says', async () => {
  const caller = await callFakeGraph();
  const { mail, post, postMime } = caller;
  await postMime(`${sales}/sendMail`, mime);
  await post(`${sales}/sendMail`, { message: { toRecipients: to }, saveToSentItems: true });
  await postMime(`${sales}/messages`, mime);
  await post(`${sales}/mailFolders/drafts/messages`, { subject: 'Hi' });
  const headers = { prefer: 'IdType="ImmutableId"' };
  const made = await post(
    `${sales}/messages`,
    { toRecipients: to, body: { contentType: 'text', content: 'x' } },
    headers,
  );
  const draft = `${sales}/messages/${encodeURIComponent(String(made.json['id']))}`;
  await mail(draft, { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: '{"subject":"New"}' });
  const attached = await post(`${draft}/attachments`, attachment);
  await mail(`${draft}/attachments`);
  await mail(`${draft}/attachments/${encodeURIComponent(String(attached.json['id']))}`, { method: 'DELETE' });
  const size = 3_000_001;
  const item = { attachmentType: 'file', name: 'large.bin', size };
  const session = await post(`${draft}/attachments/createUploadSession`, { AttachmentItem: item });
  for (const [from, until] of [
    [0, 2_000_000],
    [2_000_000, size],
  ] as const) {
    const range = { 'content-range': `bytes ${from}-${until - 1}/${size}`, 'content-type': 'application/octet-stream' };
    await caller.ask(String(session.json['uploadUrl']), {
      method: 'PUT',
      headers: range,
      body: Buffer.alloc(until - from),
    });
  }
  await mail(`${draft}/send`, { method: 'POST' });
  await mail(`${draft}?$select=isDraft`, { headers });
  await mail(`${sales}/messages?$top=1&$filter=isDraft%20eq%20false`);
  await mail(`${sales}/mailFolders/sentitems/messages?$select=id`);
  caller.graph.mailbox('sales@example.com').receive('From: a@example.net\nSubject: Hi\n\nHello\n');
  const since = encodeURIComponent('receivedDateTime ge 2026-01-01T00:00:00Z');
  const inbox = `${sales}/mailFolders/inbox/messages?$filter=${since}&$orderby=receivedDateTime&$select=internetMessageHeaders`;
  const [came] = (await mail(inbox, { headers })).json['value'] as { id: string }[];
  await mail(`${sales}/messages/${encodeURIComponent(came!.id)}/$value`, { headers });
  await mail(draft, { method: 'DELETE' });

  const { requests } = caller.graph;
  expect(apiProblems(requests)).toEqual([]);
  const described = requests.filter(({ operation }) => operation !== 'token');
  expect(new Set(described.map(({ operation }) => operation))).toEqual(new Set(Object.keys(operations)));
  expect(described.filter(({ answer }) => (answer?.status ?? 0) >= 300)).toEqual([]);
});

test('the errors of the fake Graph have the form of the API description', async () => {
  const caller = await callFakeGraph();
  const fails = [
    faults.throttled(1),
    faults.throttledUntil(1_000),
    faults.throttledEmpty(),
    faults.badGateway(),
    faults.acceptThen(),
  ];
  caller.graph.script('sendMail', ...fails);
  for (const _ of fails) await caller.postMime(`${sales}/sendMail`, mime);
  await caller.mail('nobody%40example.com/messages');
  await caller.mail(`${sales}/messages/nothing`);
  expect(apiProblems(caller.graph.requests)).toEqual([]);
  expect(caller.graph.requests.slice(1).every(({ answer }) => (answer?.status ?? 0) >= 400)).toBe(true);
});

describe('the check finds', () => {
  const jsonType = { 'content-type': 'application/json' };
  test.each<[string, string, (caller: Caller) => Promise<unknown>]>([
    ['a call that does not exist', 'is no call of the API', ({ mail }) => mail(`${sales}/mailboxSettings`)],
    ['an address that is not encoded', 'the path is not encoded', ({ mail }) => mail("o'neil+x@example.com/messages")],
    ['a filter that is not encoded', 'the query is not encoded', ({ mail }) => mail(`${sales}/messages?$filter=a+b`)],
    ['a query option of another call', 'the query has $filter', ({ mail }) => mail(`${sales}/messages/x?$filter=a`)],
    [
      'a member that does not exist',
      '.message.to is unknown',
      ({ post }) => post(`${sales}/sendMail`, { message: { to } }),
    ],
    ['a member of another type', '.subject is no string', ({ post }) => post(`${sales}/messages`, { subject: 1 })],
    [
      'a choice that does not exist',
      '.importance is no low|normal|high',
      ({ post }) => post(`${sales}/messages`, { importance: 'urgent' }),
    ],
    [
      'a member that is missing',
      '.message is missing',
      ({ post }) => post(`${sales}/sendMail`, { saveToSentItems: true }),
    ],
    [
      'an attachment without a type',
      '@odata.type is missing',
      ({ post }) => post(`${sales}/messages/x/attachments`, { name: 'a' }),
    ],
    [
      'base64 without its padding',
      'no base64',
      ({ post }) => post(`${sales}/messages/x/attachments`, { ...attachment, contentBytes: 'aGVsbG8' }),
    ],
    [
      'a MIME message that is not base64',
      'not padded standard base64',
      ({ mail }) =>
        mail(`${sales}/sendMail`, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: mime }),
    ],
    [
      'another media type',
      'the media type is message/rfc822',
      ({ mail }) =>
        mail(`${sales}/sendMail`, { method: 'POST', headers: { 'content-type': 'message/rfc822' }, body: mime }),
    ],
    [
      'text where there should be JSON',
      'it is not JSON',
      ({ mail }) => mail(`${sales}/messages`, { method: 'POST', headers: jsonType, body: '{' }),
    ],
    ['a body that is not wanted', 'there is a body', ({ post }) => post(`${sales}/messages/x/send`, {})],
    ['a Prefer of another kind', 'Prefer is x', ({ mail }) => mail(`${sales}/messages`, { headers: { prefer: 'x' } })],
    ['a call without a token', 'no token is shown', ({ ask }) => ask(`/v1.0/users/${sales}/messages`)],
    [
      'a token that goes to an upload session',
      'a token is shown',
      ({ ask }) =>
        ask('/api/v2.0/attachmentSessions/x', {
          method: 'PUT',
          headers: {
            authorization: 'Bearer x',
            'content-range': 'bytes 0-0/1',
            'content-type': 'application/octet-stream',
          },
          body: 'x',
        }),
    ],
  ])('the check finds %s', async (_, problem, work) => {
    const caller = await callFakeGraph();
    await work(caller);
    expect(apiProblems(caller.graph.requests)).toEqual([expect.stringContaining(problem)]);
  });

  test('the check finds an answer that Graph does not give', async () => {
    const caller = await callFakeGraph();
    await caller.mail(`${sales}/messages`);
    const [, listed] = caller.graph.requests;
    const answers = [
      { status: 204, body: '' },
      { status: 200, body: '{"value":[{"isDraft":"no"}]}' },
      { status: 404, body: '{"error":"x"}' },
    ];
    const changed = answers.map((answer) => ({ ...listed!, answer: { ...listed!.answer!, ...answer } }));
    expect(apiProblems(changed)).toEqual([
      expect.stringContaining('the answer is 204'),
      expect.stringContaining('.value[0].isDraft is no boolean'),
      expect.stringContaining('.error is no object'),
    ]);
  });
});
