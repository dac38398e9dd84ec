/** What an operator decides about held messages, where some recipients are uncertain and others refused. */
import { expect, test } from 'vitest';
import type { Outcome, OutgoingMail } from '../../src/transport/transport.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';

const retry = { firstDelayMs: 40, maxDelayMs: 200, lifetimeMs: 3_600_000, onUncertain: 'hold' } as const;
const to = ['a@example.net', 'refused@example.net', 'maybe@example.net'];

/** Takes a, refuses refused, and says nothing about maybe. */
function mixed(mail: OutgoingMail): Outcome {
  const outcomes = { a: 'accepted', refused: 'rejected', maybe: 'uncertain' } as const;
  return {
    kind: 'settled',
    recipients: mail.envelope.to.map((address) => ({
      address,
      outcome: outcomes[address.split('@')[0] as keyof typeof outcomes],
      scope: 'recipient',
      reply: { code: '550', enhancedCode: null, text: 'what it said' },
    })),
  };
}

async function held() {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const worker = await startWorker({ prefix, config: configOf({ relay: { retry } }), scripts: { relay: [mixed] } });
  await producer.send({ id: 'm', from: 'x@example.com', to, text: 'x' });
  await until(async () => (await producer.status('m'))?.state === 'held', { what: 'it to be held' });
  const resolve = (as: 'sent' | 'retry' | 'drop'): Promise<boolean> =>
    operator.resolve('m', as, { now: Date.now(), lifetimeMs: 60_000, retentionMs: 60_000 });
  return { ...worker, producer, operator, resolve };
}

test('resolved as sent, a message keeps the dead letter of its rejected recipients, which can be replayed to them alone', async () => {
  const { producer, operator, resolve, recorded } = await held();
  expect(await resolve('sent')).toBe(true);
  expect(await producer.status('m')).toMatchObject({ state: 'partial', reason: 'rejected' });
  expect(await operator.deadLetters.get('m')).toMatchObject({
    reason: 'rejected',
    recipients: [{ address: 'refused@example.net', reply: 'what it said' }],
  });
  expect(await operator.replay('m', { via: null, now: Date.now(), lifetimeMs: 60_000 })).toBe('replayed');
  await until(async () => (await producer.status('m'))?.state === 'sent', { what: 'it to be sent' });
  expect(recorded('relay').mails.map(({ envelope }) => envelope.to)).toEqual([to, ['refused@example.net']]);
});

test('resolved as drop, a message is given up for all recipients without a copy', async () => {
  const { producer, operator, resolve } = await held();
  expect(await resolve('drop')).toBe(true);
  expect(await producer.status('m')).toMatchObject({ state: 'partial', reason: 'uncertain' });
  expect(await operator.deadLetters.get('m')).toBeNull();
});

test('resolved as sent, a recipient whose mail went to another address is redirected, whatever the rules are by then', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const delivery = { redirectTo: 'tester@example.net', allowRecipients: ['a@example.net'] };
  const { worker } = await startWorker({
    prefix,
    config: configOf({ relay: { retry } }, { delivery }),
    scripts: { relay: ['uncertain'] },
  });
  await producer.send({ id: 'm', from: 'x@example.com', to: ['a@example.net', 'b@example.net'], text: 'x' });
  const row = await until(
    async () => {
      const found = await producer.status('m');
      return found?.state === 'held' ? found : undefined;
    },
    { what: 'it to be held' },
  );
  expect(row.recipients).toMatchObject([
    { address: 'a@example.net', outcome: 'uncertain' },
    { address: 'b@example.net', outcome: 'uncertain', elsewhere: true },
  ]);
  await worker.apply(configOf({ relay: { retry } }));
  expect(await operator.resolve('m', 'sent', { now: Date.now(), lifetimeMs: 60_000, retentionMs: 60_000 })).toBe(true);
  const settled = await producer.status('m');
  expect(settled?.state).toBe('sent');
  expect(settled?.recipients.map(({ outcome, elsewhere }) => [outcome, elsewhere])).toEqual([
    ['accepted', undefined],
    ['redirected', undefined],
  ]);
});
