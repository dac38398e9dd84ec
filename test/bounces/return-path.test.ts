/** A return path of its own for each mail: what the server is told, and what a report to it is worth. */
import { expect, test } from 'vitest';
import { recordReport } from '../../src/bounces/record.ts';
import { readReport } from '../../src/bounces/report.ts';
import { idInReturnPath } from '../../src/message/return-path.ts';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import { openQueues } from '../../src/queue/open.ts';
import { until } from '../../testkit/until.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { shardCount, testConnection, testPrefix } from '../support/redis.ts';
import { report } from './reports/case.ts';

const anna = 'anna@example.net';
const bouncePath = 'bounces+{id}@example.com';
const status = (recipient = anna): string => `Final-Recipient: rfc822; ${recipient}\nAction: failed\nStatus: 5.1.1\n`;

async function sent(more: Partial<OutboundMessage> = {}) {
  const prefix = testPrefix();
  const operator = await testOperator(prefix);
  const worker = await startWorker({ prefix, config: configOf({ relay: { bouncePath } }) });
  const producer = testProducer(prefix);
  const { id } = await producer.send({ from: 'Shop <Shop@example.com>', to: anna, text: 'x', ...more });
  await until(async () => (await producer.status(id))?.state === 'sent', { what: 'it to be sent' });
  const { returnPathKey } = openQueues(testConnection(), { prefix, shards: shardCount() });
  const from = worker.recorded('relay').mails[0]!.envelope.from!;
  const record = async (to: string, recipient = anna, bouncePaths: readonly string[] = [bouncePath]) => {
    const mail = report(status(recipient), '').replace('To: shop@shop.test', `To: ${to}`);
    const tools = { notes: operator.bounceNotes, bouncePaths, suppressForMs: null, now: Date.now() };
    return recordReport(await readReport(Buffer.from(mail)), 'mailbox', tools);
  };
  return { id, from, key: await returnPathKey(), record, producer };
}

test('the server is told a return path with the id, and a report to it that names no mail is matched', async () => {
  const { id, from, key, record, producer } = await sent();
  expect(idInReturnPath(from, bouncePath, key)).toBe(id);
  expect(await record(from)).toMatchObject({ kind: 'matched', id, written: 1 });
  expect((await producer.status(id))!.recipients[0]?.bounce).toMatchObject({ action: 'failed', status: '5.1.1' });
});

test('attack: a return path that was made up, or a recipient to whom the mail never went, changes nothing', async () => {
  const { id, from, record, producer } = await sent();
  const before = await producer.status(id);
  expect(await record(`bounces+aaaaaaaaaaaa-${id}@example.com`)).toEqual({ kind: 'unmatched', why: 'no-clue' });
  expect(await record(from, 'boss@victim.test')).toEqual({ kind: 'unmatched', why: 'stranger' });
  expect(await producer.status(id)).toEqual(before);
});

test('a path of a connector that has none any more is not read', async () => {
  const { from, record } = await sent();
  expect(await record(from, anna, [])).toEqual({ kind: 'unmatched', why: 'no-clue' });
});

test.each([
  ['the null reverse-path, so that no report is answered by a report', { envelope: { from: '' } }, ''],
  ['another sender that the application names', { envelope: { from: 'returns@example.com' } }, 'returns@example.com'],
  ['the sender of a message whose id is too long', { id: 'x'.repeat(44) }, 'Shop@example.com'],
])('keeps %s', async (_what, more, expected) => {
  expect((await sent(more)).from).toBe(expected);
});

test('the From address as sender is replaced, however it is written', async () => {
  const { from, key, id } = await sent({ envelope: { from: 'Shop@EXAMPLE.com' } });
  expect(idInReturnPath(from, bouncePath, key)).toBe(id);
});
