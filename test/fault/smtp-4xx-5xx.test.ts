/** Servers that refuse, temporarily or permanently, at every phase: before MAIL FROM no reply code ends a message. */
import { describe, expect, test } from 'vitest';
import { account, allOnce, allSent, copiesOf, isUncertain, settled } from '../support/accounting.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import {
  deliverThrough,
  expectNoneBurned,
  failingServers,
  phases,
  sendThrough,
  serverFor,
  sessionPhases,
  startSender,
  type PhaseName,
} from '../support/smtp-sender.ts';
import { until } from '../../testkit/until.ts';

const transaction = ['mail', 'rcpt', 'data', 'dot'] as const satisfies readonly PhaseName[];
// First pauses of half a minute, a minute and five minutes are 30, 60 and 300 ms here.
const timing = { pauseScale: 0.001 };

describe.for<[string, string, Record<(typeof sessionPhases)[number], string>]>([
  ['4xx', '450 4.3.2 not now', { greeting: 'unreachable', ehlo: 'unreachable', starttls: 'tls', auth: 'unreachable' }],
  ['5xx', '554 5.7.1 never', { greeting: 'blocked', ehlo: 'config', starttls: 'tls', auth: 'auth' }],
])('%s before MAIL FROM', ([code, answer, expected]) => {
  test(`a ${code} before MAIL FROM is a connector fault: no attempt, no dead letter, and everything is sent once the server recovers`, async () => {
    const servers = await failingServers(sessionPhases, { answer, times: 3 });
    const { rows, of } = await deliverThrough(servers, 5, { timing });
    expect(account(rows, servers)).toEqual(allOnce(rows.length));
    expectNoneBurned(rows);
    expect(of('dead')).toEqual([]);
    for (const name of sessionPhases) {
      const faults = of('connector-fault').filter(({ connector }) => connector === name);
      expect([name, ...new Set(faults.map(({ fault }) => fault))]).toEqual([name, expected[name]]);
      expect(of('connector-recovered').filter(({ connector }) => connector === name)).toHaveLength(1);
    }
  });
});

test('a 4xx within the transaction defers the message, counts an attempt, and never leads to a second copy', async () => {
  const answer = '451 4.3.0 local error in processing';
  const servers = await Promise.all(
    transaction.map((name) => serverFor(name, { script: { [phases[name]]: [answer, answer] } })),
  );
  const { rows, of } = await deliverThrough(servers, 1);
  expect(account(rows, servers)).toEqual(allOnce(4));
  expect(rows.map(({ attempts }) => attempts)).toEqual([3, 3, 3, 3]);
  for (const row of rows) {
    expect(row.history.map(({ event }) => event)).toEqual(['routed', 'deferred', 'deferred', 'sent']);
    expect(row.history[1]?.detail).toBe('local error in processing');
  }
  expect(rows.filter(isUncertain)).toEqual([]);
  expect(of('connector-fault')).toEqual([]);
});

test('a 5xx within the transaction dead-letters that message alone, with the reply in the dead letter', async () => {
  const prefix = testPrefix();
  const servers = await Promise.all(
    transaction.map((name) =>
      serverFor(name, {
        script: {
          // MAIL does not name the recipient, but the sender.
          [phases[name]]: ({ line, to }) =>
            `${line} ${to.join()}`.includes('bad') ? '550 5.6.0 not this one' : undefined,
        },
      }),
    ),
  );
  const producer = testProducer(prefix);
  const good = await sendThrough(producer, servers, 3);
  const bad = servers.map(({ id }) => ({
    id: `bad-${id}`,
    from: `${id}@example.com`,
    to: `bad-${id}@example.net`,
    text: 'x',
    envelope: { from: id === 'mail' ? 'bad@example.com' : `${id}@example.com`, to: [`bad-${id}@example.net`] },
  }));
  await producer.sendMany(bad);
  const { of } = await startSender({ prefix, servers });
  const rows = await settled(producer, [...good.values()].flat());
  const dead = await settled(producer, bad);
  expect(account([...rows, ...dead], servers)).toMatchObject({
    lost: [],
    blindlyTwice: [],
    states: { sent: 12, dead: 4 },
  });
  const { deadLetters } = await testOperator(prefix);
  for (const row of dead) {
    expect(row).toMatchObject({ state: 'dead', reason: 'rejected', attempts: 1 });
    expect(copiesOf(row.id, servers)).toBe(0);
    expect(await deadLetters.get(row.id)).toMatchObject({
      reason: 'rejected',
      reply: 'not this one',
      recipients: [{ code: '550' }],
    });
  }
  expect(of('connector-fault')).toEqual([]);
});

test('messages behind a greeting of 554 stay queued without attempts for as long as it lasts', async () => {
  const prefix = testPrefix();
  let blocked = true;
  const relay = await serverFor('relay', { script: { CONNECT: () => (blocked ? '554 5.7.1 go away' : undefined) } });
  const producer = testProducer(prefix);
  const ids = await sendThrough(producer, [relay], 20);
  const { of } = await startSender({ prefix, servers: [relay], timing: { pauseScale: 0.000_2 } });
  await until(() => of('connector-fault').length >= 8, { what: 'eight refused probes' });
  expect(await producer.status(ids.get('relay')![0]!)).toMatchObject({ state: 'queued', attempts: 0 });
  blocked = false;
  const rows = await settled(producer, ids.get('relay')!);
  expect(account(rows, [relay])).toMatchObject(allSent(20));
  expectNoneBurned(rows);
});
