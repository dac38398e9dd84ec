/** A message that asks for reports: what the transport is told, and a report that names the envelope alone. */
import { expect, test } from 'vitest';
import { recordReport } from '../../src/bounces/record.ts';
import { readReport } from '../../src/bounces/report.ts';
import { until } from '../../testkit/until.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { report } from './reports/case.ts';

test.each([
  ['as it was given', (id: string) => id],
  ['as it was encoded, which some servers repeat', (id: string) => id.replace('@', '+40').replace('.', '+2E')],
])('a report that names only the id of the envelope is matched: %s', async (_how, repeated) => {
  const prefix = testPrefix();
  const { bounceNotes: notes } = await testOperator(prefix);
  const worker = await startWorker({ prefix, config: configOf({ relay: {} }) });
  const producer = testProducer(prefix);
  const dsn = { notify: ['failure', 'delay'], return: 'headers' } as const;
  await producer.send({ id: 'm', from: 'shop@example.com', to: 'anna@example.net', text: 'x', dsn });
  await until(async () => (await producer.status('m'))?.state === 'sent', { what: 'm to be sent' });
  const { messageId } = (await producer.status('m'))!;
  const envelopeId = messageId!.replace(/^<(.*)>$/, '$1');
  expect(worker.recorded('relay').mails[0]!.dsn).toEqual({ ...dsn, envelopeId });
  const status = `Original-Envelope-Id: ${repeated(envelopeId)}\n\nFinal-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\n`;
  const read = await readReport(Buffer.from(report(status, 'Subject: without an id\n')));
  const recorded = await recordReport(read, 'relay', { notes, bouncePaths: [], suppressForMs: null, now: Date.now() });
  expect(recorded).toMatchObject({ kind: 'matched', id: 'm', written: 1 });
});
