/** Suppressed recipients get no mail, whichever way a message came, and everyone else does. */
import { expect, test } from 'vitest';
import { jobName } from '../../src/queue/redis/keys.ts';
import { openQueues } from '../../src/queue/open.ts';
import { createRecordingTransport, type RecordingStep } from '../../src/transport/recording.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { until } from '../../testkit/until.ts';
import { settled } from '../support/accounting.ts';
import { configOf, startWorker, testOperator, testProducer, testRetry } from '../support/postlane.ts';
import { adminConfig } from '../support/operators.ts';
import { shardCount, testConnection, testPrefix } from '../support/redis.ts';
import { messageFor, startStraight } from '../support/straight.ts';

const gone = 'gone@example.net';
const actor = { by: 'someone@here', through: 'cli', client: null } as const;

async function start(script: readonly RecordingStep[] = [], retry: object = {}) {
  const prefix = testPrefix();
  const open = openQueues(testConnection(), { prefix, shards: shardCount() });
  const config = configOf({ relay: { retry: { ...testRetry, ...retry } } });
  const worker = await startWorker({ prefix, config, scripts: { relay: script } });
  const producer = testProducer(prefix);
  const suppress = (address: string, until: number | null = null) =>
    open.suppressions.add({ address, reason: 'said 550 5.1.1', origin: 'bounce', by: 'relay', until });
  const sentTo = (): string[] => worker.recorded('relay').mails.flatMap(({ envelope }) => [...envelope.to]);
  return { prefix, open, worker, producer, suppress, sentTo };
}

const mail = (id: string, ...to: string[]) => ({ id, from: 'a@example.com', to, subject: 's', text: 't' });

test('a suppressed recipient is left out, the others get the message, and it is sent', async () => {
  const { open, worker, producer, suppress, sentTo } = await start();
  await suppress('GONE@example.net');
  await producer.send(mail('m', gone, 'zoe@example.net'));
  const [row] = await settled(producer, ['m']);
  expect(row).toMatchObject({
    state: 'sent',
    attempts: 1,
    recipients: [
      { address: gone, outcome: 'suppressed', reply: 'on the suppression list (bounce): said 550 5.1.1' },
      { address: 'zoe@example.net', outcome: 'accepted' },
    ],
  });
  const { attemptLog } = (await open.ledger.read('m'))!;
  expect(attemptLog[0]!.recipients.map(({ address }) => address)).toEqual(['zoe@example.net']);
  expect(sentTo()).toEqual(['zoe@example.net']);
  expect(worker.of('suppressed')).toMatchObject([{ id: 'm', connector: 'relay', recipients: 1 }]);
});

test('under `hold`, a recipient who may have a copy is for an operator, also where all others are suppressed before the retry', async () => {
  const answer = { enhancedCode: null, text: 'said so' };
  const { producer, suppress, sentTo } = await start(
    [
      async () => {
        await suppress(gone);
        const [zoe, other] = ['uncertain', 'deferred'] as const;
        return {
          kind: 'settled',
          recipients: [
            { address: 'zoe@example.net', outcome: zoe, scope: 'recipient', reply: { code: null, ...answer } },
            { address: gone, outcome: other, scope: 'recipient', reply: { code: '450', ...answer } },
          ],
        };
      },
    ],
    { onUncertain: 'hold' },
  );
  await producer.send(mail('m', gone, 'zoe@example.net'));
  expect((await settled(producer, ['m']))[0]).toMatchObject({
    state: 'held',
    recipients: [
      { address: gone, outcome: 'suppressed' },
      { address: 'zoe@example.net', outcome: 'uncertain' },
    ],
  });
  expect(sentTo()).toHaveLength(2);
});

test('a message of which nobody is left becomes a dead letter `suppressed`, without an attempt; replayed after the removal it is sent', async () => {
  const { prefix, open, producer, suppress, sentTo } = await start();
  await suppress(gone);
  await producer.send(mail('m', gone));
  expect((await settled(producer, ['m']))[0]).toMatchObject({ state: 'dead', reason: 'suppressed', attempts: 0 });
  expect(await open.deadLetters.summary('m')).toMatchObject({ reason: 'suppressed', recipients: [{ address: gone }] });
  const operator = await testOperator(prefix);
  const actions = operator.as(actor, adminConfig({ relay: {} }));
  // A replay meets the list as every other message does.
  await actions.replay('m', { via: null, reason: null });
  await until(async () => (await open.deadLetters.summary('m')) !== null, { what: 'it to die once more' });
  expect(sentTo()).toEqual([]);
  expect(await actions.unsuppress(gone, 'the mailbox is back')).toMatchObject({ origin: 'bounce' });
  await until(async () => (await producer.status('m'))?.state === 'dead', { what: 'it to have settled' });
  await actions.replay('m', { via: null, reason: null });
  await until(async () => (await producer.status('m'))?.state === 'sent', { what: 'it to be sent' });
  expect(sentTo()).toEqual([gone]);
});

test('jobs that other programs enqueue meet the list, too', async () => {
  const { open, producer, suppress, sentTo } = await start();
  await suppress(gone);
  const message = { from: 'a@example.com', to: ['Gone <Gone@EXAMPLE.net>'], subject: 's', text: 't' };
  await open.intake.add(jobName, { v: 1, message }, { jobId: 'foreign' });
  expect((await settled(producer, ['foreign']))[0]).toMatchObject({ state: 'dead', reason: 'suppressed' });
  expect(sentTo()).toEqual([]);
});

test('a recipient who is suppressed while the message waits for its next attempt is left out of that', async () => {
  const later: RecordingStep = ({ envelope }) => ({
    kind: 'settled',
    recipients: envelope.to.map((address) => ({
      address,
      outcome: address === gone ? 'deferred' : 'accepted',
      scope: 'recipient',
      reply: { code: address === gone ? '450' : '250', enhancedCode: null, text: 'scripted' },
    })),
  });
  const { producer, suppress, sentTo, worker } = await start([later]);
  await producer.send(mail('m', gone, 'zoe@example.net'));
  await until(() => worker.of('deferred').length > 0, { what: 'the first attempt' });
  await suppress(gone);
  const [row] = await settled(producer, ['m']);
  expect(row).toMatchObject({ state: 'sent' });
  expect(row!.recipients.map(({ outcome }) => outcome)).toEqual(['suppressed', 'accepted']);
  expect(sentTo().filter((address) => address === gone)).toHaveLength(1);
});

test('a recipient who is suppressed while the attempt waits for a session is left out of it', async () => {
  const prefix = testPrefix();
  const { suppressions } = openQueues(testConnection(), { prefix, shards: shardCount() });
  const suppress = (address: string) =>
    suppressions.add({ address, reason: null, origin: 'operator', by: null, until: null });
  await suppress('other@example.net');
  let waitedMs = 0;
  const recording = createRecordingTransport();
  const slow: Transport = {
    ...recording,
    async send(sending, context) {
      if (sending.envelope.to.includes(gone)) {
        await suppress(gone);
        waitedMs += 2_000;
      }
      return recording.send(sending, context);
    },
  };
  const config = configOf({ relay: {} });
  await startWorker({ prefix, config, transports: { relay: slow }, now: () => Date.now() + waitedMs });
  const producer = testProducer(prefix);
  // From now on the worker knows of the list, and looks before it sends.
  await producer.send(mail('first', 'first@example.net'));
  await settled(producer, ['first']);
  await producer.send(mail('m', gone, 'zoe@example.net'));
  const [row] = await settled(producer, ['m']);
  expect(row!.recipients.map(({ outcome }) => outcome)).toEqual(['suppressed', 'accepted']);
  expect(recording.mails.slice(1).map(({ envelope }) => envelope.to)).toEqual([['zoe@example.net']]);
});

test('an entry that has ended suppresses nobody', async () => {
  const { producer, suppress, sentTo } = await start();
  await suppress(gone, Date.now() - 1);
  await suppress('other@example.net');
  await producer.send(mail('m', gone));
  expect((await settled(producer, ['m']))[0]).toMatchObject({ state: 'sent' });
  expect(sentTo()).toEqual([gone]);
});

test.skipIf(shardCount() > 1)(
  'a message that goes straight through meets the list, and others still go straight through',
  async () => {
    const prefix = testPrefix();
    const { producer, straight, servers, warm } = await startStraight({ x: {} }, { prefix });
    await warm('x');
    const { suppressions } = openQueues(testConnection(), { prefix, shards: 1 });
    await suppressions.add({ address: 'm@example.net', reason: null, origin: 'operator', by: null, until: null });
    await producer.send(messageFor('x', 'm', { to: ['m@example.net', 'n@example.net'] }));
    expect((await settled(producer, ['m']))[0]!.recipients.map(({ outcome }) => outcome)).toEqual([
      'suppressed',
      'accepted',
    ]);
    await producer.send(messageFor('x', 'other'));
    await settled(producer, ['other']);
    expect(straight).toEqual(['other']);
    expect(servers['x']!.received.transactions.flatMap(({ to }) => to)).not.toContain('m@example.net');
  },
);
