/** The quick start's checks can fail: each way in which mail can go wrong is reported under its own name. */
import { beforeAll, describe, expect, test } from 'vitest';
import type { Evidence, Sent } from '../../../tools/quickstart/evidence.ts';
import { kinds } from '../../../tools/quickstart/kinds.ts';
import { exampleSet } from '../../../tools/quickstart/messages.ts';
import { systemName } from '../../../tools/quickstart/content.ts';
import { serverPlans, type Received } from '../../../tools/quickstart/servers.ts';
import { verify } from '../../../tools/quickstart/verify.ts';
import { acceptedAt, readyAt, messageIdHeader, newMessageId } from '../../../src/message/identity.ts';
import { defaultMessageLimits, type Content, type Message } from '../../../src/message/message.ts';
import { parseMessage } from '../../../src/message/schema.ts';
import type { MessageStatus } from '../../../src/producer/producer.ts';
import type { DeadLetterSummary } from '../../../src/queue/ledger/dead-letters.ts';
import { composedMail } from '../../support/compose.ts';

const startedAt = Date.UTC(2026, 2, 2, 9, 0, 0);
const plans = serverPlans(() => 'secret');
let good: Evidence;

beforeAll(async () => {
  good = await perfect();
});

describe('the checks of the quick start', () => {
  test('every check of the quick start holds if everything went well', async () => {
    const checks = await verify(good);
    expect(checks.flatMap(({ problems }) => problems)).toEqual([]);
    // None of them passes because it had nothing to look at.
    expect(checks.filter(({ looked }) => looked === 0)).toEqual([]);
  });

  test('the checks report a lost message', async () => {
    const [victim] = copiesOf('plain text');
    const broken = { ...good, received: good.received.filter((mail) => mail !== victim) };
    expect(await failures(broken)).toEqual(['every recipient got exactly one copy']);
  });

  test('the checks report a message that arrived twice', async () => {
    const [victim] = copiesOf('HTML and text');
    expect(await failures({ ...good, received: [...good.received, victim!] })).toEqual([
      'every recipient got exactly one copy',
    ]);
  });

  test('the checks report a recipient that got no copy', async () => {
    expect(await failures(altered('many recipients', (mail) => ({ to: mail.to.slice(1) })))).toEqual([
      'every recipient got exactly one copy',
    ]);
  });

  test('the checks report a copy for an address that no message names', async () => {
    expect(await failures(altered('Cc and Bcc', (mail) => ({ to: [...mail.to, 'eve@example.net'] })))).toEqual([
      'no other address got a copy',
    ]);
  });

  test('the checks report a message that was never sent', async () => {
    const [victim] = copiesOf('plain text');
    const stranger = { ...victim!, bytes: Buffer.from('Message-ID: <x@example.com>\r\n\r\nBuy!\r\n') };
    expect(await failures({ ...good, received: [...good.received, stranger] })).toEqual([
      'no other address got a copy',
    ]);
  });

  test('the checks report a message at the wrong server', async () => {
    expect(await failures(altered('low priority', () => ({ server: 'relay' })))).toEqual([
      'every message arrived at the server of its From',
    ]);
  });

  test('the checks report a wrong envelope sender', async () => {
    expect(
      await failures(altered('automatic answer without a sender', () => ({ from: 'finance@example.com' }))),
    ).toEqual(['every server got the right envelope sender']);
  });

  test.each([{ secure: false }, { user: null }, { user: 'other' }])(
    'the checks report a session without its protection: %o',
    async (change) => {
      expect(await failures(altered('small attachment', () => change))).toEqual([
        'every server got the TLS and the login that it requires',
      ]);
    },
  );

  test('the checks report a message that arrived before its sendAt', async () => {
    expect(await failures(altered('not before a given time', () => ({ at: startedAt })))).toEqual([
      'no scheduled message arrived early',
    ]);
  });

  test.each([
    ['plain text', /^Date: .*$/m, 'Date: Mon, 02 Mar 2026 09:00:07 +0000', 'Message-ID and Date follow from the id'],
    ['plain text', /^Subject: /m, 'Subject: Re: ', 'subjects, texts and HTML are unchanged'],
    ['plain text', 'thank you for', 'thank you fr', 'subjects, texts and HTML are unchanged'],
    ['HTML and text', '<h1>', '<h2>', 'subjects, texts and HTML are unchanged'],
    ['names beyond ASCII', '<name-21606@', '<name-1@', 'names and addresses are unchanged'],
    ['From that no connector matches', 'J. Doe', 'J. Dole', 'names and addresses are unchanged'],
    ['Reply-To and headers of its own', 'care@', 'scare@', 'names and addresses are unchanged'],
    ['Reply-To and headers of its own', /^X-Order-Number: /m, 'X-Order-Number: 9', 'headers and threads are unchanged'],
    ['answer in a thread', '<first-', '<last-', 'headers and threads are unchanged'],
    ['large attachment', /^JVBERi0/m, 'JVBERi1', 'attachments arrived byte for byte'],
    ['Cc and Bcc', /^Subject: /m, 'X-Oops: hidden-14000@example.net\r\nSubject: ', 'no copy shows a Bcc recipient'],
    ['finished RFC 5322 message', /^\.und/m, '..und', 'finished messages arrived byte for byte, except for Bcc'],
  ])('the checks report an altered message: %s, %s', async (kind, from, to, title) => {
    const broken = altered(kind, ({ bytes }) => ({ bytes: Buffer.from(bytes.toString().replace(from, to)) }));
    expect(broken.received).not.toEqual(good.received);
    expect(await failures(broken)).toEqual([title]);
  });

  test.each([
    [{ state: 'deferred' }, 'the ledger knows the route of every message'],
    [{ connector: 'shop' }, 'the ledger knows the route of every message'],
    [{ history: [] }, 'the ledger knows the route of every message'],
    [{ recipients: [] }, 'the ledger knows the outcome of every recipient'],
    [{ attempts: 2 }, 'no message took more attempts than it needed'],
  ] as const)('the checks report a wrong row of the ledger: %o', async (change, title) => {
    const { id } = caseOf('plain text');
    const statuses = new Map(good.statuses).set(id, { ...good.statuses.get(id)!, ...change });
    expect(await failures({ ...good, statuses })).toEqual([title]);
  });

  test('the checks report an unexpected dead letter and a missing one', async () => {
    const title = 'every rejected recipient is in a dead letter, and no other';
    expect(await failures({ ...good, dead: good.dead.slice(1) })).toEqual([title]);
    expect(await failures({ ...good, dead: [...good.dead, { ...good.dead[0]!, id: 'other' }] })).toEqual([title]);
  });

  test('the checks report a second message accepted under a used id', async () => {
    const sent = good.sent.map((one) => (one.example.again ? { ...one, duplicate: false } : one));
    expect(await failures({ ...good, sent })).toEqual(['an id that was enqueued twice was accepted once']);
  });
});

async function failures(evidence: Evidence): Promise<string[]> {
  const checks = await verify(evidence);
  return checks.filter(({ problems }) => problems.length > 0).map(({ title }) => title);
}

function caseOf(kind: string): Sent {
  return good.sent.find(({ example }) => example.kind === kind)!;
}

function copiesOf(kind: string): Received[] {
  const { example } = caseOf(kind);
  return good.received.filter(({ to }) => to.some((address) => example.recipients.includes(address)));
}

/** The evidence with one kind's mails changed. */
function altered(kind: string, change: (mail: Received) => Partial<Received>): Evidence {
  const victims = new Set(copiesOf(kind));
  expect(victims.size).toBe(1);
  return { ...good, received: good.received.map((mail) => (victims.has(mail) ? { ...mail, ...change(mail) } : mail)) };
}

/** What it looks like if nothing goes wrong: one of each kind, composed as a worker would. */
async function perfect(): Promise<Evidence> {
  const sent: Sent[] = [];
  const received: Received[] = [];
  const statuses = new Map<string, MessageStatus>();
  const dead: DeadLetterSummary[] = [];
  const set = exampleSet(kinds.length, new Date(startedAt + 2_000));
  for (const [index, example] of set.entries()) {
    const id =
      example.mail.id ?? newMessageId(startedAt + index, `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`);
    const parsed = parseMessage({ ...example.mail, id }, defaultMessageLimits);
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues));
    const { connector, address, rule } = example.sender;
    const message: Message = { from: { name: systemName, address }, ...parsed.message };
    const refused = new Set(example.refused);
    const accepted = message.envelope.to.filter((each) => !refused.has(each));
    const messageId = messageIdHeader({ id, prefix: '{postlane}', acceptedAt: startedAt, fromAddress: address });
    const bytes = await composedMail(message, {
      messageId,
      date: new Date(readyAt(message, acceptedAt(id, startedAt))),
      boundarySeed: id,
      contentOf: bytesOf,
    });
    const plan = plans.find((each) => each.connector === connector)!;
    const session = { secure: plan.security !== 'none', user: plan.login?.user ?? null };
    const envelope = { from: example.envelopeFrom, to: accepted };
    if (accepted.length > 0)
      received.push({ server: connector, ...envelope, bytes, ...session, at: startedAt + 2_500 });
    sent.push({ example, id, before: startedAt, after: startedAt + 100, duplicate: example.again ? true : null });
    const state = refused.size === 0 ? 'sent' : accepted.length === 0 ? 'dead' : 'partial';
    statuses.set(id, {
      id,
      state,
      connector,
      attempts: example.deferredOnce ? 2 : 1,
      recipients: message.envelope.to.map((each) => ({
        address: each,
        outcome: refused.has(each) ? 'rejected' : 'accepted',
        code: null,
        reply: null,
      })),
      history: [{ at: startedAt, event: 'routed', connector, detail: rule }],
      messageId,
      reason: null,
      retryAt: null,
      from: example.envelopeFrom,
      rule,
      acceptedAt: startedAt,
      deadline: null,
      submittedBy: null,
      attemptLog: [],
      size: null,
    });
    if (refused.size === 0) continue;
    const recipients = [...refused].map((each) => ({ address: each, code: '550', reply: null }));
    const times = { at: startedAt, acceptedAt: startedAt };
    dead.push({ id, reason: 'rejected', connector, recipients, reply: null, attempts: 1, ...times });
  }
  return { plans, sent, received, statuses, dead };
}

function bytesOf(content: Content): Buffer {
  if ('ref' in content) throw new Error('nothing is stored here');
  return Buffer.from(content.content, content.encoding);
}
