/** Holds the fake Graph to what Graph does with mail: tests of the transport are worth no more than their far side. */
import { describe, expect, test } from 'vitest';
import { bccLeaks, brokenRetryAfters } from '../../../testkit/graph/evidence.ts';
import { faults } from '../../../testkit/graph/faults.ts';
import { callFakeGraph, errorOf, type Caller } from '../../support/graph-caller.ts';
import { until } from '../../../testkit/until.ts';

const sales = 'sales%40example.com';
const immutable = { prefer: 'IdType="ImmutableId"' };
const mime = (fields: readonly string[] = [], id = '<1@example.com>'): string =>
  [
    'From: Sales <sales@example.com>',
    'To: a@example.net',
    `Message-ID: ${id}`,
    'Subject: Hi',
    ...fields,
    '',
    'Hello',
    '',
  ].join('\r\n');
const draft = {
  subject: 'Hi',
  toRecipients: [{ emailAddress: { address: 'a@example.net' } }],
  internetMessageId: '<1@example.com>',
};
const recipients = ({ graph }: Caller): string[] => graph.deliveries.map(({ recipient }) => recipient);

async function newDraft(caller: Caller, message: object = draft, headers = {}): Promise<string> {
  const { status, json } = await caller.post(`${sales}/messages`, message, headers);
  expect(status).toBe(201);
  return encodeURIComponent(String(json['id']));
}

describe('sendMail', () => {
  test('sendMail takes a MIME message: recipients from its header alone, Message-ID kept, a copy in Sent Items', async () => {
    const caller = await callFakeGraph();
    const { status, text } = await caller.postMime(
      `${sales}/sendMail`,
      mime(['Cc: c@example.net', 'Bcc: b@example.net']),
    );
    expect([status, text]).toEqual([202, '']);
    expect(recipients(caller)).toEqual(['a@example.net', 'c@example.net', 'b@example.net']);
    expect(caller.graph.mailbox('sales@example.com').in('sentitems')).toMatchObject([
      { internetMessageId: '<1@example.com>', isDraft: false, bcc: [{ address: 'b@example.net' }] },
    ]);
  });

  test('sendMail removes Bcc from every copy, folded or repeated, and leaves the rest unchanged', async () => {
    const caller = await callFakeGraph();
    const fields = ['Bcc: b@example.net,', ' c@example.net', 'X-Kept: yes', 'BCC: d@example.net'];
    await caller.postMime(`${sales}/sendMail`, mime(fields));
    expect(caller.graph.deliveries.map((copy) => copy.mime?.toString())).toEqual(Array(4).fill(mime(['X-Kept: yes'])));
    expect(bccLeaks(caller.graph.deliveries)).toEqual([]);
  });

  test('the evidence finds a Bcc recipient that is named elsewhere in a copy', async () => {
    const caller = await callFakeGraph();
    await caller.postMime(`${sales}/sendMail`, mime(['Bcc: b@example.net', 'X-Envelope-To: B@example.net']));
    expect(bccLeaks(caller.graph.deliveries)).toHaveLength(2);
  });

  test('sendMail takes JSON and keeps no copy where saveToSentItems is false', async () => {
    const caller = await callFakeGraph();
    const reply = await caller.post(`${sales}/sendMail`, { message: draft, saveToSentItems: false });
    expect(reply.status).toBe(202);
    expect(recipients(caller)).toEqual(['a@example.net']);
    expect(caller.graph.mailbox('sales@example.com').in('sentitems')).toEqual([]);
  });

  test.each([
    ['ErrorMimeContentInvalidBase64String', 400, 'not base64!', 'text/plain'],
    ['RequestBodyRead', 400, 'YWJj', 'application/xml'],
    ['BadRequest', 400, '{', 'application/json'],
    ['RequestBodyRead', 400, '{"message":{"to":"a@example.net"}}', 'application/json'],
    ['ErrorInvalidRecipients', 400, '{"message":{"subject":"nobody"}}', 'application/json'],
    ['ErrorInvalidRecipients', 400, Buffer.from(mime([]).replace('To:', 'X-To:')).toString('base64'), 'text/plain'],
    ['ErrorSendAsDenied', 403, Buffer.from(mime().replace('sales@', 'boss@')).toString('base64'), 'text/plain'],
  ])('sendMail refuses with %s (%i) what Exchange refuses', async (code, status, body, type) => {
    const caller = await callFakeGraph();
    const reply = await caller.mail(`${sales}/sendMail`, { method: 'POST', headers: { 'content-type': type }, body });
    expect(errorOf(reply)).toBe(`${status} ${code}`);
    expect(caller.graph.deliveries).toEqual([]);
  });

  test('sendMail delivers one copy to a recipient named twice, and takes at most 500 recipients', async () => {
    const caller = await callFakeGraph();
    const to = (count: number) =>
      Array.from({ length: count }, (_, at) => ({ emailAddress: { address: `p${at}@example.net` } }));
    const sendTo = (count: number, rest: object) =>
      caller.post(`${sales}/sendMail`, { message: { ...draft, toRecipients: to(count), ...rest } });
    expect((await sendTo(499, { bccRecipients: [{ emailAddress: { address: 'P1@example.net' } }] })).status).toBe(202);
    expect(caller.graph.deliveries).toHaveLength(499);
    expect(errorOf(await sendTo(501, {}))).toBe('400 ErrorExceededMaxRecipientLimit');
  });

  test('sendMail sends as another address where the mailbox has Send As', async () => {
    const caller = await callFakeGraph({ mailboxes: [{ address: 'sales@example.com', sendAs: ['boss@example.com'] }] });
    const reply = await caller.postMime(`${sales}/sendMail`, mime().replace('sales@', 'boss@'));
    expect(reply.status).toBe(202);
  });

  test('sendMail refuses more than 4 MB, or answers 200 and sends nothing, as configured', async () => {
    const large = mime().replace('Hello', 'x'.repeat(76).concat('\r\n').repeat(45_000));
    const refusing = await callFakeGraph();
    expect(errorOf(await refusing.postMime(`${sales}/sendMail`, large))).toBe('413 RequestEntityTooLarge');
    const silent = await callFakeGraph({ oversize: 'silent' });
    expect((await silent.postMime(`${sales}/sendMail`, large)).status).toBe(200);
    expect([...refusing.graph.deliveries, ...silent.graph.deliveries]).toEqual([]);
  });
});

describe('drafts', () => {
  test('drafts are created, changed, given attachments, found, and sent', async () => {
    const caller = await callFakeGraph();
    const id = await newDraft(caller);
    const attachment = { '@odata.type': '#microsoft.graph.fileAttachment', name: 'a.txt', contentBytes: 'aGVsbG8=' };
    expect((await caller.post(`${sales}/messages/${id}/attachments`, attachment)).status).toBe(201);
    const headers = { 'content-type': 'application/json' };
    const changed = await caller.mail(`${sales}/messages/${id}`, {
      method: 'PATCH',
      headers,
      body: '{"subject":"New"}',
    });
    expect(changed.json).toMatchObject({ subject: 'New', isDraft: true });
    expect((await caller.mail(`${sales}/messages/${id}/send`, { method: 'POST' })).status).toBe(202);
    const [copy] = caller.graph.deliveries;
    expect(copy).toMatchObject({ recipient: 'a@example.net', internetMessageId: '<1@example.com>' });
    expect(copy?.message.attachments[0]?.chunks).toEqual([Buffer.from('hello')]);
  });

  test('drafts are sent by a request without a body only, and cannot be changed afterwards', async () => {
    const caller = await callFakeGraph();
    const path = `${sales}/messages/${await newDraft(caller, draft, immutable)}`;
    expect(errorOf(await caller.post(`${path}/send`, {}))).toBe('411 LengthRequired');
    await caller.mail(`${path}/send`, { method: 'POST' });
    const headers = { 'content-type': 'application/json' };
    const changed = await caller.mail(path, { method: 'PATCH', headers, body: '{"subject":"New"}' });
    expect(errorOf(changed)).toBe('400 ErrorInvalidRequest');
  });

  test('drafts are listed page by page', async () => {
    const caller = await callFakeGraph();
    for (let count = 0; count < 3; count += 1) await newDraft(caller);
    const first = await caller.mail(`${sales}/mailFolders/drafts/messages?$top=2&$select=subject`);
    const next = String(first.json['@odata.nextLink']).replace(/^.*\/users\//, '');
    const second = await caller.mail(next);
    expect([first, second].map(({ json }) => (json['value'] as unknown[]).length)).toEqual([2, 1]);
    expect(second.json).not.toHaveProperty('@odata.nextLink');
    expect(second.json['value']).toEqual([{ id: expect.any(String) as string, subject: 'Hi' }]);
  });

  test('a deleted draft cannot be read any more', async () => {
    const caller = await callFakeGraph();
    const id = await newDraft(caller);
    expect((await caller.mail(`${sales}/messages/${id}`, { method: 'DELETE' })).status).toBe(204);
    expect(errorOf(await caller.mail(`${sales}/messages/${id}`))).toBe('404 ErrorItemNotFound');
  });

  test('a draft gets a new id when it is sent, and keeps its immutable id', async () => {
    const caller = await callFakeGraph();
    const [plain, lasting] = [await newDraft(caller), await newDraft(caller, draft, immutable)];
    for (const id of [plain, lasting]) await caller.mail(`${sales}/messages/${id}/send`, { method: 'POST' });
    expect(errorOf(await caller.mail(`${sales}/messages/${plain}`))).toBe('404 ErrorItemNotFound');
    const found = await caller.mail(`${sales}/messages/${lasting}?$select=isDraft`, { headers: immutable });
    expect(found.json).toEqual({ id: decodeURIComponent(lasting), isDraft: false });
  });

  test('a draft takes at most five headers, and only with X- names', async () => {
    const caller = await callFakeGraph();
    const header = (name: string) => ({ ...draft, internetMessageHeaders: [{ name, value: 'x' }] });
    expect((await caller.post(`${sales}/messages`, header('X-Mine'))).status).toBe(201);
    expect(errorOf(await caller.post(`${sales}/messages`, header('List-Id')))).toBe('400 InvalidInternetMessageHeader');
    const six = {
      ...draft,
      internetMessageHeaders: Array.from({ length: 6 }, (_, at) => ({ name: `X-${at}`, value: '' })),
    };
    expect(errorOf(await caller.post(`${sales}/messages`, six))).toBe('400 InvalidInternetMessageHeaderCollection');
  });

  test('a draft is found by Message-ID only if the filter is encoded', async () => {
    const caller = await callFakeGraph();
    const internetMessageId = "<o'neil+1@example.com>";
    await newDraft(caller, { ...draft, internetMessageId });
    const find = async (filter: string) =>
      (await caller.mail(`${sales}/messages?$filter=${filter}&$select=internetMessageId`)).json['value'];
    const filter = `internetMessageId eq '${internetMessageId.replaceAll("'", "''")}'`;
    expect(await find(encodeURIComponent(filter))).toMatchObject([{ internetMessageId }]);
    expect(await find(encodeURIComponent(filter).replaceAll('%2B', '+'))).toEqual([]);
  });
});

describe('Sent Items', () => {
  const inFolder = async (caller: Caller, folder: string): Promise<unknown> =>
    (await caller.mail(`${sales}/mailFolders/${folder}/messages?$select=isDraft`)).json['value'];

  test('Sent Items show an accepted message only when the test releases it', async () => {
    const caller = await callFakeGraph({ sentItems: 'hidden' });
    await caller.postMime(`${sales}/sendMail`, mime());
    expect([await inFolder(caller, 'sentitems'), await inFolder(caller, 'drafts')]).toEqual([[], []]);
    expect(recipients(caller)).toEqual(['a@example.net']);
    caller.graph.releaseSentItems();
    expect(await inFolder(caller, 'sentitems')).toMatchObject([{ isDraft: false }]);
  });

  test('Sent Items can leave a message among the drafts until the test releases it', async () => {
    const caller = await callFakeGraph({ sentItems: 'in drafts' });
    await caller.postMime(`${sales}/sendMail`, mime());
    expect(await inFolder(caller, 'drafts')).toMatchObject([{ isDraft: true }]);
    caller.graph.releaseSentItems();
    expect([await inFolder(caller, 'drafts'), await inFolder(caller, 'SentItems')]).toMatchObject([
      [],
      [{ isDraft: false }],
    ]);
  });
});

describe('the Inbox', () => {
  const came = 'From: Ann <ann@example.net>\nX-Odd: a\n b\nSubject: Hi\n\n\u00e4\n';
  const listed = async (caller: Caller, query: string): Promise<string[]> => {
    const { json, status } = await caller.mail(`${sales}/mailFolders/inbox/messages?${query}`);
    return status === 200
      ? (json['value'] as { receivedDateTime: string }[]).map(({ receivedDateTime }) => receivedDateTime.slice(17, 19))
      : [errorOf({ status, json, headers: {}, text: '' })];
  };

  test('the Inbox is filtered and sorted by arrival, in whole seconds; what is sorted by must stand first in the filter', async () => {
    const caller = await callFakeGraph();
    for (const second of [30, 10, 20])
      caller.graph.mailbox('sales@example.com').receive(came, Date.UTC(2026, 0, 1, 0, 0, second, 900));
    const filter = (text: string): string => `$filter=${encodeURIComponent(text)}`;
    const order = '$orderby=receivedDateTime%20asc';
    expect(await listed(caller, order)).toEqual(['10', '20', '30']);
    expect(await listed(caller, `${filter('receivedDateTime ge 2026-01-01T00:00:20Z')}&${order}`)).toEqual([
      '20',
      '30',
    ]);
    expect(
      await listed(caller, `${filter('receivedDateTime ge 2026-01-01T00:00:10Z')}&${order}&$top=1&$skip=1`),
    ).toEqual(['20']);
    expect(await listed(caller, `${filter('isDraft eq false')}&${order}`)).toEqual(['400 InefficientFilter']);
    expect(await listed(caller, filter('receivedDateTime ge yesterday'))).toEqual(['400 BadRequest']);
  });

  test('the header of a mail comes where it is asked for, and its octets as they came', async () => {
    const caller = await callFakeGraph();
    const octets = Buffer.concat([Buffer.from(came.replaceAll('\n', '\r\n')), Buffer.from([0xff, 0])]);
    const { id, immutableId } = caller.graph.mailbox('sales@example.com').receive(octets);
    const at = `${sales}/messages/${encodeURIComponent(id)}`;
    expect((await caller.mail(at)).json).not.toHaveProperty('internetMessageHeaders');
    expect((await caller.mail(`${at}?$select=internetMessageHeaders,isRead`)).json).toMatchObject({
      isRead: false,
      internetMessageHeaders: [
        { name: 'From', value: 'Ann <ann@example.net>' },
        { name: 'X-Odd', value: 'a b' },
        { name: 'Subject', value: 'Hi' },
      ],
    });
    const value = await caller.mail(`${sales}/messages/${encodeURIComponent(immutableId)}/$value`);
    expect([value.status, Number(value.headers['content-length'])]).toEqual([200, octets.length]);
  });

  test('an app that may read no bodies lists mails, and gets none', async () => {
    const caller = await callFakeGraph();
    const mailbox = caller.graph.mailbox('sales@example.com');
    const { id } = mailbox.receive(came);
    Object.assign(mailbox.permissions, { read: false, list: true });
    expect((await caller.mail(`${sales}/mailFolders/inbox/messages`)).status).toBe(200);
    const asked = await caller.mail(`${sales}/messages/${encodeURIComponent(id)}/$value`);
    expect(errorOf(asked)).toBe('403 ErrorAccessDenied');
  });
});

describe('mailboxes', () => {
  test.each(['send', 'read', 'write'] as const)(
    'a mailbox refuses an app without the permission to %s',
    async (right) => {
      const caller = await callFakeGraph();
      caller.graph.mailbox('sales@example.com').permissions[right] = false;
      const tried = {
        send: errorOf(await caller.postMime(`${sales}/sendMail`, mime())),
        read: errorOf(await caller.mail(`${sales}/messages`)),
        write: errorOf(await caller.post(`${sales}/messages`, draft)),
      };
      expect(tried).toEqual({ send: '202', read: '200', write: '201', [right]: '403 ErrorAccessDenied' });
    },
  );

  test('a mailbox is found by address, whatever its case, and by object id; others are 404', async () => {
    const caller = await callFakeGraph({ mailboxes: ['sales@example.com', 'a%2Fb@example.com'] });
    const { id } = caller.graph.mailbox('sales@example.com');
    const statuses = async (...users: string[]) =>
      Promise.all(users.map(async (user) => (await caller.mail(`${user}/messages`)).status));
    expect(await statuses(sales, 'SALES@Example.com', id)).toEqual([200, 200, 200]);
    // Decoded once: the second is `a/b@example.com`, the third names the folder `b@example.com` of nobody.
    expect(await statuses('a%252Fb%40example.com', 'a%2Fb%40example.com', 'a/b%40example.com')).toEqual([
      200, 404, 400,
    ]);
    expect(caller.graph.requests.map(({ mailbox }) => mailbox).slice(-3, -1)).toEqual([
      'a%2Fb@example.com',
      'a/b@example.com',
    ]);
  });

  test('every address of the fake’s domains has a mailbox', async () => {
    const caller = await callFakeGraph({ domains: ['example.org'] });
    expect((await caller.mail('new%40example.org/messages')).status).toBe(200);
    expect((await caller.mail('new%40example.com/messages')).status).toBe(404);
  });

  test('a mailbox takes four requests at once and refuses the fifth', async () => {
    const gate = Promise.withResolvers<void>();
    const caller = await callFakeGraph({
      mailboxes: ['sales@example.com', 'other@example.com'],
      delay: ({ operation }) => (operation === 'sendMail' ? gate.promise : Promise.resolve()),
    });
    const sending = Array.from({ length: 5 }, () => caller.postMime(`${sales}/sendMail`, mime()));
    const elsewhere = caller.postMime('other%40example.com/sendMail', mime().replace('sales@', 'other@'));
    await until(() => caller.graph.count('sendMail') === 6, { what: 'all six requests' });
    // It is not the fifth's turn to wait.
    expect(errorOf(await Promise.race(sending))).toBe('429 ApplicationThrottled');
    gate.resolve();
    const statuses = (await Promise.all(sending)).map(errorOf).sort();
    expect(statuses).toEqual(['202', '202', '202', '202', '429 ApplicationThrottled']);
    expect((await elsewhere).status).toBe(202);
    expect([caller.graph.highWater('sales@example.com'), caller.graph.highWater('other@example.com')]).toEqual([5, 1]);
    expect((await caller.postMime(`${sales}/sendMail`, mime())).status).toBe(202);
  });
});

describe('Retry-After', () => {
  test('the evidence finds a Retry-After that was not obeyed', async () => {
    let now = 1_800_000_000_000;
    const caller = await callFakeGraph({ now: () => now, tokenLifetimeSeconds: 86_400 });
    caller.graph.script('sendMail', faults.throttled(10), null, faults.throttledUntil(5_000));
    const sendAfter = async (ms: number) => {
      now += ms;
      await caller.postMime(`${sales}/sendMail`, mime());
    };
    await sendAfter(0);
    await sendAfter(10_000);
    await sendAfter(1);
    await sendAfter(6_000);
    expect(brokenRetryAfters(caller.graph.requests)).toEqual([]);
    caller.graph.script('sendMail', faults.throttledEmpty(10));
    await sendAfter(1);
    await sendAfter(9_999);
    expect(brokenRetryAfters(caller.graph.requests)).toHaveLength(1);
    expect(brokenRetryAfters(caller.graph.requests, 1)).toEqual([]);
  });
});
