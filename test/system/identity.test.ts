/** What identifies a mail to its reader: no two mails share a Message-ID, each attempt has the same, and the Date is that of its release. */
import { describe, expect, test } from 'vitest';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';
import { readRawHeader } from '../../src/message/raw.ts';

const config = configOf({ relay: {} });
const mail = { from: 'sales@example.com', to: 'a@example.net', text: 'x' };
const raw = 'From: sales@example.com\r\nTo: a@example.net\r\nSubject: x\r\n\r\nhi\r\n';

function messageIdOf(bytes: Buffer | undefined): string | null {
  const header = readRawHeader(bytes ?? Buffer.alloc(0));
  return header.ok ? header.value.messageId : null;
}

describe('the Message-ID', () => {
  test('differs between two installations that use the same id', async () => {
    const ids: (string | null)[] = [];
    for (const prefix of [testPrefix(), testPrefix()]) {
      const { recorded } = await startWorker({ prefix, config });
      await testProducer(prefix).send({ ...mail, id: 'order-1' });
      await until(() => recorded('relay').mails.length === 1, { what: 'the mail' });
      ids.push(messageIdOf(recorded('relay').mails[0]?.bytes));
    }
    expect(ids.every((id) => /^<order-1\.[0-9a-z]{10}@example\.com>$/.test(id ?? ''))).toBe(true);
    expect(new Set(ids).size).toBe(2);
  });

  test('differs for an id that comes again after its row has expired', async () => {
    const prefix = testPrefix();
    const brief = configOf({ relay: {} }, { retention: { ledgerMs: 50, deadLetterMs: 50, deadLetterCount: 1 } });
    const { recorded } = await startWorker({ prefix, config: brief });
    const producer = testProducer(prefix);
    await producer.send({ ...mail, id: 'weekly-report' });
    await until(() => recorded('relay').mails.length === 1, { what: 'the first mail' });
    await until(async () => (await producer.status('weekly-report')) === null, { what: 'its row to expire' });
    await producer.send({ ...mail, id: 'weekly-report' });
    await until(() => recorded('relay').mails.length === 2, { what: 'the second mail' });
    expect(new Set(recorded('relay').mails.map(({ bytes }) => messageIdOf(bytes))).size).toBe(2);
  });

  test.each([
    ['composed', mail],
    ['raw without one', { raw }],
    ['raw with its own', { raw: `Message-ID: <own@example.com>\r\n${raw}` }],
  ])('is the same in every attempt and after a replay: %s', async (_, message) => {
    const prefix = testPrefix();
    const { recorded } = await startWorker({ prefix, config, scripts: { relay: ['deferred', 'rejected'] } });
    const producer = testProducer(prefix);
    const { id } = await producer.send(message);
    await until(async () => (await producer.status(id))?.state === 'dead', { what: 'it to be dead' });
    const operator = await testOperator(prefix);
    await operator.replay(id, { via: null, now: Date.now(), lifetimeMs: 60_000 });
    const row = await producer.waitFor(id);
    expect(row.state).toBe('sent');
    const { mails } = recorded('relay');
    expect(mails).toHaveLength(3);
    expect(new Set(mails.map(({ bytes }) => bytes.toString())).size).toBe(1);
    expect(row.messageId).toBe(messageIdOf(mails[0]?.bytes));
    expect(row.messageId).toMatch(/^<[^<>]+@example\.com>$/);
  });
});

describe('the Date', () => {
  test('of a scheduled mail is the time it was scheduled for', async () => {
    const prefix = testPrefix();
    const { recorded } = await startWorker({ prefix, config });
    const sendAt = new Date(Date.now() + 2_000);
    await testProducer(prefix).send({ ...mail, sendAt });
    await testProducer(prefix).send({ raw, sendAt });
    await until(() => recorded('relay').mails.length === 2, { what: 'the scheduled mails' });
    const date = sendAt.toUTCString().replace('GMT', '+0000');
    for (const { bytes } of recorded('relay').mails) expect(bytes.toString()).toContain(`Date: ${date}\r\n`);
  });
});
