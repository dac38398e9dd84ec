/** The event of an attempt: what it came to, its recipients, its times; and the latency of a message, counted once. */
import { expect, test } from 'vitest';
import type { LaneJob } from '../../../src/queue/jobs.ts';
import type { Outcome, OutgoingMail } from '../../../src/transport/transport.ts';
import { attemptEvent } from '../../../src/worker/attempt/attempt-event.ts';
import { until } from '../../../testkit/until.ts';
import { configOf, startWorker, testProducer, testRetry } from '../../support/postlane.ts';
import { testPrefix } from '../../support/redis.ts';

type Answer = 'accepted' | 'deferred' | 'rejected' | 'uncertain';

/** One answer for each recipient, in order. */
const answers =
  (...given: readonly Answer[]) =>
  (mail: OutgoingMail): Outcome => ({
    kind: 'settled',
    recipients: mail.envelope.to.map((address, i) => ({
      address,
      outcome: given[i] ?? 'accepted',
      scope: 'recipient',
      reply: { code: null, enhancedCode: null, text: null },
    })),
  });
const down: Outcome = {
  kind: 'connector-fault',
  fault: 'unreachable',
  reply: { code: 'ECONNREFUSED', enhancedCode: null, text: null },
};
const open = (mail: OutgoingMail): Outcome => ({
  kind: 'settled',
  recipients: mail.envelope.to.map((address) => ({
    address,
    outcome: 'rejected',
    scope: 'message',
    reply: { code: '550', enhancedCode: null, text: 'policy' },
    open: { suspect: null, atSender: false },
  })),
});

async function setUp(script: readonly ((mail: OutgoingMail) => Outcome)[], retry: object = {}) {
  const prefix = testPrefix();
  const config = configOf({ relay: { retry: { ...testRetry, ...retry } } });
  const timing = { pauseScale: 0.001 };
  const worker = await startWorker({ prefix, config, scripts: { relay: script }, timing });
  return { producer: testProducer(prefix), ...worker };
}

const mail = { from: 'a@example.com', to: ['1@example.net', '2@example.net'], text: 'x' };

test.each([
  [['accepted', 'accepted'], 'accepted', [2, 0, 0, 0]],
  [['accepted', 'rejected'], 'partial', [1, 0, 1, 0]],
  [['rejected', 'rejected'], 'rejected', [0, 0, 2, 0]],
  [['deferred', 'rejected'], 'deferred', [0, 1, 1, 0]],
  [['uncertain', 'uncertain'], 'uncertain', [0, 0, 0, 2]],
] as const)('recipients that are %j make an attempt %s', async (given, outcome, counts) => {
  const { producer, of } = await setUp([answers(...given)]);
  await producer.send(mail);
  await until(() => of('attempt').length > 0, { what: 'the attempt' });
  const [event] = of('attempt');
  expect(event).toMatchObject({ outcome, connector: 'relay', priority: 'normal' });
  expect([event?.accepted, event?.deferred, event?.rejected, event?.uncertain]).toEqual(counts);
  expect(event?.bytes).toBeGreaterThan(100);
  expect(event?.waitMs).toBeGreaterThanOrEqual(0);
  expect(event?.durationMs).toBeGreaterThanOrEqual(0);
});

test('a fault of the connector counts as one; how long the message was due when it came back is not known', async () => {
  const { producer, of } = await setUp([() => down]);
  await producer.send(mail);
  await until(() => of('sent').length === 1, { what: 'the message after the fault' });
  const [fault, then] = of('attempt');
  expect(fault).toMatchObject({ outcome: 'fault', accepted: 0, deferred: 0, rejected: 0, uncertain: 0 });
  expect(then).toMatchObject({ outcome: 'accepted', accepted: 2, waitMs: null });
  expect(then?.durationMs).not.toBeNull();
});

test('an attempt names the server that it was made at, where the transport tells', async () => {
  const { producer, of } = await setUp([() => down, () => ({ ...down, server: 'b.example.com:587' })]);
  await producer.send(mail);
  await until(() => of('attempt').length === 3, { what: 'all attempts' });
  expect(of('attempt').map(({ server }) => server)).toEqual([null, 'b.example.com:587', null]);
});

test('an attempt that the fence did not open has no times', () => {
  const lists = { to: [], cc: [], bcc: [], replyTo: [], attachments: [], references: [] };
  const message = { ...lists, headers: {}, envelope: { to: ['a@example.net'] }, priority: 'high' } as const;
  const job: LaneJob = {
    v: 1,
    id: 'm',
    connector: 'relay',
    rule: 'exact',
    acceptedAt: 5,
    messageId: '<m@x>',
    known: false,
    message,
  };
  const stopped = { kind: 'stopped', why: 'no-session' } as const;
  const tried = { job, before: null, outcome: stopped, decision: stopped, begunAt: null, endedAt: 9, bytes: 10 };
  expect(attemptEvent(tried)).toMatchObject({ outcome: 'stopped', waitMs: null, durationMs: null, priority: 'high' });
});

test('a refusal whose cause is open is set aside', async () => {
  const { producer, of } = await setUp([open], { attributeWithinMs: 3_600_000 });
  await producer.send(mail);
  await until(() => of('set-aside').length === 1, { what: 'it to be set aside' });
  expect(of('attempt').map(({ outcome }) => outcome)).toEqual(['set-aside']);
});

test('latency counts once, at the first recipient, and the state is that of the message', async () => {
  const { producer, of } = await setUp([answers('accepted', 'deferred')]);
  await producer.send(mail);
  await until(() => of('sent').length === 2, { what: 'both recipients' });
  const [first, second] = of('sent');
  expect([first?.state, second?.state]).toEqual(['deferred', 'sent']);
  expect(first?.latencyMs).toBeGreaterThanOrEqual(0);
  expect(second?.latencyMs).toBeNull();
  // A retry waits from its time on, and not from acceptance.
  expect(of('attempt')[1]?.waitMs).toBeLessThan(30_000);
});

test('the latency of a message that is to be sent later begins at its time', async () => {
  const { producer, of } = await setUp([]);
  const sendAt = new Date(Date.now() + 1_000).toISOString();
  const acceptedAt = Date.now();
  await producer.send({ ...mail, sendAt });
  await until(() => of('sent').length === 1, { what: 'it to be sent' });
  const sinceAcceptedMs = Date.now() - acceptedAt;
  expect(sinceAcceptedMs).toBeGreaterThanOrEqual(1_000);
  expect(of('sent')[0]?.latencyMs).toBeLessThanOrEqual(sinceAcceptedMs - 900);
  expect(of('attempt')[0]?.waitMs).toBeLessThanOrEqual(sinceAcceptedMs - 900);
});

test('a dead letter says whether others have the message', async () => {
  const { producer, of } = await setUp([answers('accepted', 'rejected'), answers('rejected', 'rejected')]);
  await producer.send(mail);
  await until(() => of('dead').length === 1, { what: 'the first' });
  await producer.send(mail);
  await until(() => of('dead').length === 2, { what: 'the second' });
  expect(of('dead').map(({ state }) => state)).toEqual(['partial', 'dead']);
});
