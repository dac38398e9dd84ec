/** Mail that comes by SMTP begins a trace, in which it is enqueued; nothing of its client or of the mail is in it. */
import { beforeAll, expect, test } from 'vitest';
import { startSubmission, submissionKit, type SubmissionKit } from '../support/submission.ts';
import { keysOf } from '../../src/queue/redis/keys.ts';
import { testConnection } from '../support/redis.ts';
import { traces } from '../support/traces.ts';

let kit: SubmissionKit;
beforeAll(async () => {
  kit = await submissionKit();
});

test('a submission is a span, with the `send` of its message below it, whose context travels', async () => {
  const seen = traces();
  const submission = await startSubmission(kit);
  const session = await submission.open({ listener: 1 });
  const data = 'From: erp@example.com\r\nSubject: Secret\r\n\r\nx\r\n';
  const reply = await session.send({ from: 'erp@example.com', to: ['you@example.net'], data });
  const id = /queued as (\S+)/.exec(reply)?.[1] ?? '';
  const [span] = await seen.ended('smtp submit');
  expect(seen.tree(span!)).toEqual(['smtp submit', '  send outbound']);
  expect(span!.attributes).toEqual({ 'messaging.message.id': id, 'postlane.duplicate': false });
  const opts = await testConnection().hget(keysOf(submission.prefix).intakeJob(id), 'opts');
  const { tm } = JSON.parse(opts ?? '{}') as { tm: string };
  const { traceId, spanId } = seen.named('send outbound')[0]!.spanContext();
  expect(JSON.parse(tm)).toEqual({ traceparent: `00-${traceId}-${spanId}-01` });
  expect(JSON.stringify(seen.spans().map(({ attributes }) => attributes))).not.toMatch(/@|Secret|127\.0\.0\.1/);
});

test('a submission that is refused says why', async () => {
  const seen = traces();
  const submission = await startSubmission(kit);
  const session = await submission.open({ listener: 1 });
  const data = 'From: someone@other.example\r\n\r\nx\r\n';
  await session.send({ from: 'erp@example.com', to: ['you@example.net'], data });
  const [span] = await seen.ended('smtp submit');
  expect(span!.attributes['error.type']).toBe('header-sender');
  expect(seen.named('send outbound')).toEqual([]);
});
