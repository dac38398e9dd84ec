/** `suppressions.fromBounces`: which reports put an address on the suppression list, which do not, and what a crash leaves. */
import { expect, test } from 'vitest';
import { recordReport } from '../../src/bounces/record.ts';
import { readReport } from '../../src/bounces/report.ts';
import type { BounceNotes } from '../../src/admin/bounces.ts';
import { openQueues } from '../../src/queue/open.ts';
import { shardCount, testConnection } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';
import { head, report } from './reports/case.ts';
import { dayMs, sentMessages } from './reading.ts';

const anna = 'anna@example.net';
const forMs = 30 * dayMs;

async function sent() {
  const all = await sentMessages();
  const { bounceNotes } = all.operator;
  const { suppressions } = openQueues(testConnection(), { prefix: all.prefix, shards: shardCount() });
  const messageId = await all.send('m');
  const record = async (
    status: string,
    more: {
      recipient?: string;
      action?: string;
      reply?: string;
      suppressForMs?: number | null;
      notes?: BounceNotes;
    } = {},
  ) => {
    const {
      recipient = anna,
      action = 'failed',
      reply = `550 ${status} said so`,
      suppressForMs = forMs,
      notes = bounceNotes,
    } = more;
    const fields = `Final-Recipient: rfc822; ${recipient}\nAction: ${action}\nStatus: ${status}\nDiagnostic-Code: smtp; ${reply}`;
    const read = await readReport(Buffer.from(report(fields, `Message-ID: ${messageId}\n`)));
    return recordReport(read, 'mailbox', { notes, bouncePaths: [], suppressForMs, now: Date.now() });
  };
  return { ...all, suppressions, record };
}

test('a report of an address that fails for good adds it, with reason, origin, mailbox and end', async () => {
  const { record, suppressions, producer } = await sent();
  expect(await record('5.1.1')).toEqual({ kind: 'matched', id: 'm', written: 1, suppressed: { added: 1, refused: 0 } });
  const entry = (await suppressions.get(anna))!;
  expect(entry).toMatchObject({ address: anna, origin: 'bounce', by: 'mailbox', reason: '550 5.1.1 said so' });
  expect(Math.abs(entry.until! - Date.now() - forMs)).toBeLessThan(60_000);
  await producer.send({ id: 'next', from: 'shop@example.com', to: anna, text: 'x' });
  await until(async () => (await producer.status('next'))?.state === 'dead', { what: 'it to be dead' });
  expect((await producer.status('next'))!.recipients).toMatchObject([
    { outcome: 'suppressed', reply: expect.stringContaining('550 5.1.1 said so') },
  ]);
});

test.each([
  ['a server that gave up, though the address may be fine', '4.4.7', {}],
  ['a delay', '5.1.1', { action: 'delayed' }],
  ['a success', '2.0.0', { action: 'delivered' }],
  ['a refusal of the content', '5.6.0', {}],
  ['a refusal by policy', '5.7.1', {}],
  ['a mail that is too large for the mailbox', '5.2.3', {}],
  ['a mail that is too large for the system', '5.3.4', {}],
  ['a sender whose mail is not taken any more', '5.1.8', { reply: '550 5.1.8 Access denied, bad outbound sender' }],
  ['a host that was away until the mail expired', '5.4.7', { reply: '550 5.4.7 delivery expired' }],
  ['a loop', '5.4.6', { reply: '554 5.4.6 too many hops' }],
  ['a full mailbox', '5.2.2', { reply: '552 5.2.2 mailbox full' }],
  ['policy behind a status that says nothing (Exim)', '5.0.0', { reply: '550 5.7.1 blocked as spam' }],
  ['a reply that gives no reason', '5.0.0', { reply: '554 transaction failed' }],
  ['the setting that is off', '5.1.1', { suppressForMs: null }],
  ['attack: a recipient to whom the mail never went', '5.1.1', { recipient: 'boss@victim.test' }],
])('%s adds nothing', async (_what, status, more) => {
  const { record, suppressions } = await sent();
  await record(status, more);
  expect(await suppressions.count()).toBe(0);
});

test.each([
  ['an unknown user', '5.1.1', '550 5.1.1 said so'],
  ['a domain that takes no mail', '5.1.10', '556 5.1.10 null MX'],
  ['a mailbox that is disabled', '5.2.1', '550 5.2.1 account disabled'],
  ['an unknown user behind a status that says nothing', '5.0.0', '550 5.1.1 no such user here'],
  ['an unknown user in words alone', '5.0.0', '550 No such user here'],
  ['an unavailable mailbox', '5.5.0', '550 Requested action not taken: mailbox unavailable'],
  ['an unknown user at Exchange Online', '5.4.1', '550 5.4.1 Recipient address rejected: Access denied'],
])('%s adds the address', async (_what, status, reply) => {
  const { record, suppressions } = await sent();
  await record(status, { reply });
  expect(await suppressions.count()).toBe(1);
});

test('a process that is killed between the list and the row adds the address once, and the row is written by the next', async () => {
  const { record, suppressions, operator, bounced } = await sent();
  const reached = Promise.withResolvers<void>();
  const dying: BounceNotes = {
    ...operator.bounceNotes,
    write() {
      reached.resolve();
      return new Promise(() => undefined);
    },
  };
  void record('5.1.1', { notes: dying });
  await reached.promise;
  expect(await record('5.1.1')).toMatchObject({ written: 1 });
  expect(await suppressions.count()).toBe(1);
  expect(await bounced()).toEqual(['m']);
});

test('an address that was taken off the list does not come back when the same report is read again', async () => {
  const { record, suppressions } = await sent();
  await record('5.1.1');
  await suppressions.remove(anna);
  expect(await record('5.1.1')).toMatchObject({ written: 0, suppressed: { added: 0, refused: 0 } });
  expect(await suppressions.count()).toBe(0);
});

test('an entry that ends later stays as it is', async () => {
  const { record, suppressions } = await sent();
  await suppressions.add({ address: anna, reason: 'asked us', origin: 'operator', by: 'me', until: null });
  expect(await record('5.1.1')).toMatchObject({ written: 1, suppressed: { added: 0, refused: 0 } });
  expect(await suppressions.get(anna)).toMatchObject({ origin: 'operator', reason: 'asked us', until: null });
});

/** A complaint of the feedback loop of a provider (RFC 5965). */
function complaint(messageId: string, fields: string, to = anna): string {
  return `${head('abuse@isp.test', 'Complaint')}Content-Type: multipart/report; report-type=feedback-report; boundary=f

--f
Content-Type: message/feedback-report

${fields}

--f
Content-Type: message/rfc822

From: shop@example.com
To: ${to}
Message-ID: ${messageId}

x
--f--
`;
}

const abuse = `Feedback-Type: abuse\nOriginal-Rcpt-To: ${anna}`;

async function complained() {
  const { operator, producer, suppressions, ...all } = await sent();
  await producer.send({ id: 'both', from: 'shop@example.com', to: [anna, 'ben@example.net'], text: 'x' });
  await until(async () => (await producer.status('both'))?.state === 'sent', { what: 'both to be sent' });
  const complain = async (fields: string, id = 'm', suppressForMs: number | null = forMs) => {
    const { messageId } = (await producer.status(id))!;
    const read = await readReport(Buffer.from(complaint(messageId!, fields)));
    return recordReport(read, 'mailbox', {
      notes: operator.bounceNotes,
      bouncePaths: [],
      suppressForMs,
      now: Date.now(),
    });
  };
  return { ...all, producer, suppressions, complain };
}

test('a recipient who complains is added, with its own origin and an end, and the message stays as it was', async () => {
  const { complain, suppressions, producer, bounced } = await complained();
  const before = await producer.status('m');
  expect(await complain(abuse)).toEqual({ kind: 'matched', id: 'm', written: 0, suppressed: { added: 1, refused: 0 } });
  const entry = (await suppressions.get(anna))!;
  expect(entry).toMatchObject({ origin: 'complaint', by: 'mailbox', reason: 'complained about a message' });
  expect(Math.abs(entry.until! - Date.now() - forMs)).toBeLessThan(60_000);
  expect(await producer.status('m')).toEqual(before);
  expect(await bounced()).toEqual([]);
  await producer.send({ id: 'next', from: 'shop@example.com', to: anna, text: 'x' });
  await until(async () => (await producer.status('next'))?.state === 'dead', { what: 'it to be dead' });
  expect((await producer.status('next'))!.recipients).toMatchObject([{ outcome: 'suppressed' }]);
});

test('of a message to several, the one who is named is added, in whatever letter case', async () => {
  const { complain, suppressions } = await complained();
  await complain('Feedback-Type: opt-out\nOriginal-Rcpt-To: <Ben@Example.NET>', 'both');
  expect(await suppressions.get('ben@example.net')).toMatchObject({ origin: 'complaint' });
  expect(await suppressions.count()).toBe(1);
});

test('a complaint without a name counts for the only recipient', async () => {
  const { complain, suppressions } = await complained();
  await complain('Feedback-Type: abuse');
  expect(await suppressions.get(anna)).toMatchObject({ origin: 'complaint' });
});

test.each([
  ['a complaint that names nobody, of a message to several', 'Feedback-Type: abuse', 'both', forMs],
  ['the setting that is off', abuse, 'm', null],
  ['a reader who says that it is no spam', `Feedback-Type: not-spam\nOriginal-Rcpt-To: ${anna}`, 'm', forMs],
  ['a report about DMARC', `Feedback-Type: auth-failure\nOriginal-Rcpt-To: ${anna}`, 'm', forMs],
  [
    'attack: a complaint in the name of one to whom the mail never went',
    'Feedback-Type: abuse\nOriginal-Rcpt-To: boss@victim.test',
    'm',
    forMs,
  ],
] as const)('%s adds nobody', async (_what, fields, id, suppressForMs) => {
  const { complain, suppressions } = await complained();
  await complain(fields, id, suppressForMs);
  expect(await suppressions.count()).toBe(0);
});

test('a complaint leaves an entry that ends later as it is', async () => {
  const { complain, suppressions } = await complained();
  await suppressions.add({ address: anna, reason: 'asked us', origin: 'operator', by: 'me', until: null });
  expect(await complain(abuse)).toMatchObject({ suppressed: { added: 0, refused: 0 } });
  expect(await suppressions.get(anna)).toMatchObject({ origin: 'operator', until: null });
});
