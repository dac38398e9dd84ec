/** What follows from an attempt: retries, partial acceptance, dead letters, replay, expiry, faults of connectors. */
import { describe, expect, test } from 'vitest';
import type { Outcome, OutgoingMail } from '../../src/transport/transport.ts';
import { testPrefix } from '../support/redis.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { until } from '../../testkit/until.ts';

const reply = (code: string, text: string) => ({ code, enhancedCode: null, text });

/** Per recipient by its local part: `ok…` is accepted, `later…` deferred, everything else rejected. */
function byName(mail: OutgoingMail): Outcome {
  return {
    kind: 'settled',
    recipients: mail.envelope.to.map((address) => {
      if (address.startsWith('ok')) {
        return { address, outcome: 'accepted', scope: 'recipient', reply: reply('250', 'ok') } as const;
      }
      if (address.startsWith('later')) {
        return { address, outcome: 'deferred', scope: 'recipient', reply: reply('450', 'greylisted') } as const;
      }
      return { address, outcome: 'rejected', scope: 'recipient', reply: reply('550', 'no such user') } as const;
    }),
  };
}

describe('recipients that fare differently', () => {
  test('only the deferred ones are tried again, the rejected one becomes a dead letter, the accepted ones get one copy', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const { recorded } = await startWorker({
      prefix,
      config: configOf({ relay: {} }),
      scripts: { relay: [byName, byName, byName] },
    });
    const to = ['ok1@example.net', 'later@example.net', 'gone@example.net', 'ok2@example.net'];
    await producer.send({ id: 'mixed', from: 'x@example.com', to, text: 'x' });
    const row = await until(
      async () => {
        const status = await producer.status('mixed');
        return status?.state === 'partial' ? status : null;
      },
      { what: 'the message to be partly sent' },
    );
    expect(recorded('relay').mails.map(({ envelope }) => envelope.to)).toEqual([
      to,
      ['later@example.net'],
      ['later@example.net'],
      ['later@example.net'],
    ]);
    expect(row).toMatchObject({ attempts: 4, reason: 'rejected' });
    expect(row.recipients.map(({ outcome }) => outcome)).toEqual(['accepted', 'accepted', 'rejected', 'accepted']);
    const operator = await testOperator(prefix);
    // Two transactions reached a recipient: the first, and the one that the deferred recipient took at last.
    expect((await operator.lanes.status('relay')).sent).toBe(2);
    const letter = await operator.deadLetters.get('mixed');
    expect(letter).toMatchObject({ reason: 'rejected', recipients: [{ address: 'gone@example.net', code: '550' }] });
  });
});

describe('a dead letter', () => {
  test('is replayed to its dead recipients only, with the same Message-ID and Date, and twice is once', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const { recorded } = await startWorker({
      prefix,
      config: configOf({ relay: {}, other: {} }),
      scripts: { relay: [byName] },
    });
    await producer.send({ id: 'm', from: 'x@example.com', to: ['ok@example.net', 'gone@example.net'], text: 'x' });
    await until(async () => (await producer.status('m'))?.state === 'partial', { what: 'the partial state' });
    const operator = await testOperator(prefix);
    const how = { via: 'other', now: Date.now(), lifetimeMs: 60_000 };
    expect(await Promise.all([operator.replay('m', how), operator.replay('m', how)])).toContain('replayed');
    const row = await until(
      async () => {
        const status = await producer.status('m');
        return status?.state === 'sent' ? status : null;
      },
      { what: 'the replayed message to be sent' },
    );
    expect(await operator.replay('m', how)).toBe('not-found');
    expect(row).toMatchObject({ connector: 'other', attempts: 2 });
    expect(row.history.map(({ event }) => event)).toEqual(['routed', 'partial', 'replayed', 'routed', 'sent']);
    expect(recorded('other').mails.map(({ envelope }) => envelope.to)).toEqual([['gone@example.net']]);
    const head = (mail: OutgoingMail | undefined): string[] =>
      mail!.bytes.toString().match(/^(Message-ID|Date):.*$/gm)!;
    expect(head(recorded('other').mails[0])).toEqual(head(recorded('relay').mails[0]));
    expect(await operator.deadLetters.count()).toBe(0);
  });

  test('is listed by reason, connector and time, and dropped on demand', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    await startWorker({ prefix, config: configOf({ relay: {} }), scripts: { relay: ['rejected', 'rejected'] } });
    await producer.send({ id: 'one', from: 'x@example.com', to: 'a@example.net', text: 'x' });
    await until(async () => (await producer.status('one'))?.state === 'dead', { what: 'one to be dead' });
    const between = Date.now();
    await producer.send({
      id: 'two',
      from: 'x@example.com',
      to: 'a@example.net',
      text: 'x',
      expiresAt: Date.now() + 60_000,
    });
    await until(async () => (await producer.status('two'))?.state === 'dead', { what: 'two to be dead' });
    const operator = await testOperator(prefix);
    const ids = async (filter: Parameters<typeof operator.deadLetters.list>[0]): Promise<string[]> => {
      const found: string[] = [];
      for await (const { id } of operator.deadLetters.list(filter)) found.push(id);
      return found;
    };
    expect(await ids({})).toEqual(['one', 'two']);
    expect(await ids({ reason: 'expired' })).toEqual([]);
    expect(await ids({ connector: 'relay', since: between + 1 })).toEqual(['two']);
    expect(await ids({ until: between })).toEqual(['one']);
    expect(await operator.drop('one')).toBe(true);
    expect(await operator.drop('one')).toBe(false);
    expect(await ids({})).toEqual(['two']);
  });

  test('is what an intake job becomes that cannot be read, kept as it was', async () => {
    const prefix = testPrefix();
    const operator = await testOperator(prefix);
    const { shareConnection } = await import('../../src/queue/bullmq/shared-queues.ts');
    const { testConnection } = await import('../support/redis.ts');
    const intake = shareConnection(testConnection(), prefix).queue('outbound');
    const data = { v: 1, message: { to: 'nobody', attachments: [{ path: '/etc/passwd' }] } };
    await intake.add('message', data, { jobId: 'bad' });
    await intake.add('message', 'garbage', { jobId: 'worse' });
    const { of } = await startWorker({ prefix, config: configOf({ relay: {} }) });
    await until(async () => (await operator.deadLetters.count()) === 2, { what: 'two dead letters' });
    expect(await operator.deadLetters.get('bad')).toMatchObject({ reason: 'invalid-message', data });
    expect((await operator.deadLetters.get('bad'))?.reply).toContain('attachments[0]');
    expect(await operator.deadLetters.get('worse')).toMatchObject({ reason: 'invalid-message', data: 'garbage' });
    expect(of('invalid')).toHaveLength(2);
  });
});

describe('a deadline', () => {
  test('that has passed makes a dead letter `expired` without an attempt', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const config = configOf({ relay: {} });
    const expiresAt = Date.now() + 300;
    await producer.send({ id: 'short', from: 'x@example.com', to: 'a@example.net', text: 'x', expiresAt });
    await until(() => Date.now() > expiresAt, { what: 'the deadline' });
    const { recorded } = await startWorker({ prefix, config });
    await until(async () => (await producer.status('short'))?.state === 'dead', { what: 'it to expire' });
    expect(await operator.deadLetters.get('short')).toMatchObject({ reason: 'expired', attempts: 0 });
    expect(recorded('relay').mails).toHaveLength(0);
  });
});

describe('a fault of a connector', () => {
  const fault: Outcome = {
    kind: 'connector-fault',
    fault: 'throttled',
    reply: reply('421', 'slow down'),
    pauseMs: 400,
  };

  test('counts no attempt, kills no message, keeps the order, and holds the lane for as long as the server asks', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const config = configOf({ relay: { limits: { concurrency: 1, messagesPerMinute: null } } });
    const { recorded, of } = await startWorker({ prefix, config, scripts: { relay: [fault, fault] } });
    for (const id of ['m1', 'm2', 'm3'])
      await producer.send({ id, from: 'x@example.com', to: 'a@example.net', text: id });
    await until(async () => (await producer.status('m3'))?.state === 'sent', { what: 'the last one to be sent' });
    expect(recorded('relay').mails.map(({ id }) => id)).toEqual(['m1', 'm1', 'm1', 'm2', 'm3']);
    expect((await producer.status('m1'))?.attempts).toBe(1);
    expect(of('connector-fault').map(({ pauseMs }) => pauseMs)).toEqual([400, 400]);
    expect((await testOperator(prefix).then((operator) => operator.lanes.status('relay'))).faults).toBeNull();
  });

  test('holds up no other connector', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const never: Outcome = { kind: 'connector-fault', fault: 'auth', reply: reply('535', 'no'), pauseMs: 3_600_000 };
    const config = configOf({ broken: { addresses: ['b@example.com'] }, fine: { addresses: ['f@example.com'] } });
    const { recorded } = await startWorker({
      prefix,
      config,
      scripts: { broken: Array.from({ length: 100 }, () => never) },
    });
    await producer.sendMany(
      Array.from({ length: 100 }, (_, i) => ({
        from: i % 2 === 0 ? 'b@example.com' : 'f@example.com',
        to: 'a@example.net',
        text: 'x',
      })),
    );
    await until(() => recorded('fine').mails.length === 50, {
      what: 'all mail of the healthy connector',
      timeoutMs: 3_000,
    });
    const operator = await testOperator(prefix);
    const { waiting, active, faults } = await operator.lanes.status('broken');
    expect(waiting + active).toBe(50);
    expect(faults).toMatchObject({ fault: 'auth' });
    expect(recorded('broken').mails.length).toBeLessThanOrEqual(5);
  });
});
