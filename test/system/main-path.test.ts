/** The path of a message through the whole product: producer, intake, router, lane, transport, ledger. */
import { describe, expect, test } from 'vitest';
import { testPrefix } from '../support/redis.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { until } from '../../testkit/until.ts';

const twoConnectors = configOf({
  relay: {},
  sales: { addresses: ['sales@example.com'] },
  archive: { direction: 'incoming', addresses: ['archive@example.com'] },
});

describe('a message', () => {
  test('a message goes out through the connector of its From and is then sent in the ledger', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const { recorded } = await startWorker({ prefix, config: twoConnectors });
    const { id, duplicate } = await producer.send({
      from: 'Sales <sales@example.com>',
      to: ['a@example.net', 'b@example.net'],
      bcc: 'hidden@example.net',
      subject: 'Hi',
      text: 'Hello',
    });
    expect(duplicate).toBe(false);
    const row = await until(
      async () => {
        const status = await producer.status(id);
        return status?.state === 'sent' ? status : null;
      },
      { what: 'the message to be sent' },
    );
    expect(row).toMatchObject({ connector: 'sales', attempts: 1, reason: null });
    expect(row.recipients.map(({ address, outcome }) => `${address} ${outcome}`)).toEqual([
      'a@example.net accepted',
      'b@example.net accepted',
      'hidden@example.net accepted',
    ]);
    expect(row.history.map(({ event }) => event)).toEqual(['routed', 'sent']);
    const [mail] = recorded('sales').mails;
    expect(mail?.envelope).toEqual({
      from: 'sales@example.com',
      to: ['a@example.net', 'b@example.net', 'hidden@example.net'],
    });
    const text = mail!.bytes.toString();
    expect(text).toMatch(new RegExp(`^Message-ID: <${id}\\.[0-9a-z]{10}@example\\.com>\r$`, 'm'));
    expect(text).toContain(`Message-ID: ${row.messageId}`);
    expect(text).not.toContain('hidden@example.net');
    expect(recorded('relay').mails).toHaveLength(0);
  });

  test('a message without From gets the unmonitored address, and one that no sending connector matches goes through the gateway', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const { recorded } = await startWorker({ prefix, config: twoConnectors });
    await producer.send({ id: 'system-1', to: 'a@example.net', text: 'reset' });
    await producer.send({ id: 'unmatched-1', from: 'x@other.example', to: 'a@example.net', text: 'hm' });
    await producer.send({ id: 'archive-1', from: 'archive@example.com', to: 'a@example.net', text: 'hm' });
    const relay = recorded('relay');
    await until(() => relay.mails.length === 3, { what: 'three mails through the gateway' });
    const froms = Object.fromEntries(relay.mails.map(({ id, envelope }) => [id, envelope.from]));
    expect(froms).toEqual({
      'system-1': 'system@example.com',
      'unmatched-1': 'x@other.example',
      'archive-1': 'archive@example.com',
    });
    const system = relay.mails.find(({ id }) => id === 'system-1')!;
    expect(system.bytes.toString()).toMatch(/^From: <?system@example\.com>?\r$/m);
  });

  test('a message that no connector may send is a dead letter no-route that says why', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const config = configOf(
      { sales: { addresses: ['sales@example.com'] } },
      { systemDefaultGateway: null, unmonitoredAddress: null },
    );
    await startWorker({ prefix, config });
    await producer.send({ id: 'm-1', from: 'x@other.example', to: 'a@example.net', text: 'hm' });
    await producer.send({ id: 'm-2', to: 'a@example.net', text: 'hm' });
    await until(async () => (await producer.status('m-2'))?.state === 'dead', { what: 'm-2 to be dead' });
    await until(async () => (await producer.status('m-1'))?.state === 'dead', { what: 'm-1 to be dead' });
    const operator = await testOperator(prefix);
    expect(await operator.deadLetters.get('m-1')).toMatchObject({
      reason: 'no-route',
      connector: null,
      reply: expect.stringContaining('x@other.example'),
    });
    expect((await operator.deadLetters.get('m-2'))?.reply).toContain('unmonitoredAddress');
  });

  test('a message sent again under its id is a duplicate, before and after it is settled, and is delivered once', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const message = { id: 'same', from: 'sales@example.com', to: 'a@example.net', text: 'once' };
    expect(await producer.send(message)).toEqual({ id: 'same', duplicate: false });
    expect(await producer.send(message)).toEqual({ id: 'same', duplicate: true });
    const { recorded, worker } = await startWorker({ prefix, config: twoConnectors });
    await until(async () => (await producer.status('same'))?.state === 'sent', { what: 'it to be sent' });
    expect(await producer.send({ ...message, text: 'twice' })).toEqual({ id: 'same', duplicate: true });
    await producer.send({ id: 'other', from: 'sales@example.com', to: 'a@example.net', text: 'x' });
    await until(async () => (await producer.status('other'))?.state === 'sent', { what: 'the next one to be sent' });
    await worker.stop();
    expect(recorded('sales').mails.map(({ id }) => id)).toEqual(['same', 'other']);
  });

  test('a message with a later sendAt is scheduled, goes out when its time has come, and can be cancelled before', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const { recorded } = await startWorker({ prefix, config: twoConnectors });
    const message = { from: 'sales@example.com', to: 'a@example.net', text: 'x' };
    await producer.send({ ...message, id: 'never', sendAt: new Date(Date.now() + 3_600_000) });
    expect((await producer.status('never'))?.state).toBe('scheduled');
    expect(await producer.cancel('never')).toBe(true);
    expect((await producer.status('never'))?.state).toBe('cancelled');
    const sendAt = new Date(Date.now() + 700);
    await producer.send({ ...message, id: 'later', sendAt });
    await until(() => recorded('sales').mails.length === 1, { what: 'the scheduled mail' });
    expect(Date.now()).toBeGreaterThanOrEqual(sendAt.getTime());
    expect(await producer.cancel('later')).toBe(false);
    expect(recorded('sales').mails.map(({ id }) => id)).toEqual(['later']);
  });

  test('a message of high priority overtakes a backlog in the intake and in its lane', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const many = Array.from({ length: 30 }, (_, i) => ({
      id: `bulk-${i}`,
      from: 'sales@example.com',
      to: 'a@example.net',
      text: 'news',
      priority: 'low' as const,
    }));
    await producer.sendMany(many);
    await producer.send({ id: 'reset', from: 'sales@example.com', to: 'a@example.net', text: 'pw', priority: 'high' });
    const config = configOf({
      sales: { addresses: ['sales@example.com'], limits: { concurrency: 1, messagesPerMinute: null } },
    });
    const operator = await testOperator(prefix);
    await operator.lanes.pause('sales');
    const { recorded } = await startWorker({ prefix, config });
    await until(async () => (await operator.lanes.status('sales')).waiting === 31, { what: 'all to be in the lane' });
    await operator.lanes.resume('sales');
    await until(() => recorded('sales').mails.length === 31, { what: 'all to be sent' });
    expect(recorded('sales').mails[0]?.id).toBe('reset');
  });
});

describe('sendMany', () => {
  test('sendMany gives one result per message, in order, and a bad message fails alone', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const results = await producer.sendMany([
      { id: 'a', to: 'a@example.net', text: 'x' },
      { id: 'b', to: 'not an address', text: 'x' },
      { id: 'c', to: 'c@example.net', text: 'x' },
    ]);
    expect(results.map((result) => result.ok)).toEqual([true, false, true]);
    expect(results[1]).toMatchObject({ error: { code: 'message-invalid', issues: [{ field: 'to' }] } });
    expect(await producer.status('b')).toBeNull();
    expect((await producer.status('c'))?.state).toBe('queued');
  });
});
