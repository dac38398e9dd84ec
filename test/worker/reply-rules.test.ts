/** Reply rules of an operator through a whole worker: what would be a dead letter waits, and a reload puts rules in force. */
import { expect, onTestFinished, test } from 'vitest';
import type { ReplyRuleSettings } from '../../src/transport/smtp/reply-rules.ts';
import { createRegistry } from '../../src/transport/registry.ts';
import { createSmtpTransport } from '../../src/transport/smtp/smtp.ts';
import { account, countable, countableMany, settled, sink } from '../support/accounting.ts';
import { configOf, startWorker, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { smtpSettings } from '../../testkit/smtp/settings.ts';
import { expectNoneBurned, serverFor, startSender } from '../support/smtp-sender.ts';
import { until } from '../../testkit/until.ts';

const nothing = { text: null, code: null, enhanced: null, phases: [], scope: null, pauseMs: null, retryAfterMs: null };

const locked: ReplyRuleSettings = {
  ...nothing,
  text: 'temporarily locked',
  code: '550',
  phases: ['rcpt'],
  class: 'deferred',
  retryAfterMs: 1_000,
};
const quota: ReplyRuleSettings = { ...nothing, text: 'hourly quota', class: 'quota', pauseMs: 20_000 };

test('a 550 that a rule calls quota pauses the connector for the time of the rule, and costs no message', async () => {
  const prefix = testPrefix();
  const relay = await serverFor(
    'relay',
    { script: { '.': ['550 5.7.0 Hourly quota of your plan is used up'] } },
    { replyRules: [quota] },
  );
  const producer = testProducer(prefix);
  await producer.sendMany(countableMany(5));
  const { of } = await startSender({ prefix, servers: [relay], concurrency: 1 });
  const rows = await settled(
    producer,
    countableMany(5).map(({ id }) => id!),
  );
  expect(account(rows, [relay])).toEqual({ lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: 5 } });
  expectNoneBurned(rows);
  // 20 s by the scale of the test.
  expect(of('connector-fault')).toMatchObject([{ fault: 'quota', code: '550', pauseMs: 200 }]);
});

test('a 550 that a rule calls temporary is tried again after the delay of the rule; others stay dead', async () => {
  const prefix = testPrefix();
  let opened = false;
  const relay = await serverFor(
    'relay',
    {
      script: {
        RCPT: ({ line }) => {
          if (line.includes('<gone@')) return '550 5.1.1 no such user';
          return opened ? undefined : '550 5.2.1 mailbox temporarily locked';
        },
      },
    },
    { replyRules: [locked] },
  );
  const producer = testProducer(prefix);
  await producer.sendMany([countable('locked'), countable('gone')]);
  const { of } = await startSender({ prefix, servers: [relay] });
  await until(() => of('deferred').length >= 1, { what: 'the deferral' });
  const [deferred] = of('deferred');
  expect(deferred).toMatchObject({ id: 'locked', code: '550' });
  // The schedule of these tests begins with 40 to 60 ms.
  expect(deferred?.retryInMs).toBeGreaterThan(700);
  opened = true;
  expect(await settled(producer, ['locked', 'gone'])).toMatchObject([
    { state: 'sent' },
    { state: 'dead', reason: 'rejected' },
  ]);
});

test('a reload ends the fault that the table saw, and the next one is what the new rule says', async () => {
  const prefix = testPrefix();
  // The table takes a 554 at the greeting for a block, and pauses for five minutes at first.
  const server = await sink({
    script: { CONNECT: ['554 5.3.2 nightly maintenance', '554 5.3.2 nightly maintenance'] },
  });
  let rules: readonly ReplyRuleSettings[] = [];
  const configNow = () => configOf({ relay: { transport: smtpSettings(server.port, { replyRules: rules }) } });
  const registry = createRegistry(() =>
    createSmtpTransport({
      settings: smtpSettings(server.port, { replyRules: rules }),
      hostname: 'a.test',
      maxConnections: 5,
    }),
  );
  onTestFinished(() => registry.close());
  const transports = {
    get relay() {
      return registry.get('relay')!;
    },
  };
  const producer = testProducer(prefix);
  await producer.send(countable('m'));
  const { worker, of } = await startWorker({ prefix, config: configNow(), transports });
  await until(() => of('connector-fault').length === 1, { what: 'the fault' });
  expect(of('connector-fault')).toMatchObject([{ fault: 'blocked', pauseMs: 300_000 }]);
  rules = [{ ...nothing, text: 'maintenance', class: 'throttled', pauseMs: 1_000 }];
  registry.invalidate(['relay']);
  await worker.apply(configNow());
  expect(await settled(producer, ['m'])).toMatchObject([{ state: 'sent', attempts: 1 }]);
  expect(of('connector-fault')[1]).toMatchObject({ fault: 'throttled', faults: 1, pauseMs: 1_000 });
});
