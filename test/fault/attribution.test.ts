/** Whose fault a refusal within a transaction is: other messages show it, and neither stops the lane nor kills mail meanwhile. */
import { describe, expect, test } from 'vitest';
import type { Producer } from '../../src/producer/producer.ts';
import { account, countable, countableMany, settled } from '../support/accounting.ts';
import { testOperator, testProducer, type TestWorker } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { serverFor, startSender, type ConnectorServer } from '../support/smtp-sender.ts';
import type { SmtpAnswer, SmtpContext } from '../../testkit/smtp/server.ts';
import { holds, until } from '../../testkit/until.ts';

/** Set-aside messages come back because of others, and not by their own time. */
const retry = { attributeWithinMs: 3_600_000, firstDelayMs: 1_000, maxDelayMs: 2_000 };
/** The canary message is the next in line, so that chance decides no test. */
const next = (): number => 0.999_999;
const fleetOf = (prefix: string, server: ConnectorServer, count: number): Promise<TestWorker[]> =>
  Promise.all(
    Array.from({ length: count }, (_, i) =>
      startSender({ prefix, servers: [server], name: `w${i}`, retry, random: next }),
    ),
  );
const faultsOf = (fleet: readonly TestWorker[]) => fleet.flatMap(({ of }) => of('connector-fault'));
/** Mail that is accepted, until it has answered every refusal. */
async function answerAll(producer: Producer, prefix: string): Promise<void> {
  const { lanes } = await testOperator(prefix);
  for (let i = 0; (await lanes.status('relay')).suspect !== null; i += 1) {
    await producer.send(countable(`closing${i}`));
    await settled(producer, [`closing${i}`]);
  }
}
const idOf = (line: string): string => /<([^@]+)@/.exec(line)?.[1] ?? '';

/** The server answers the recipient `poisonN` with the Nth of these, at RCPT or at the end of data. */
const poison: readonly (readonly ['RCPT' | '.', SmtpAnswer])[] = [
  ['RCPT', '421 4.3.2 not for this one'],
  ['RCPT', '452 4.3.1 insufficient system resources'],
  ['.', '554 5.7.1 client host [192.0.2.1] blocked using bl.example'],
  ['.', '550 forbidden by policy'],
  ['RCPT', 'close'],
];
const poisoned = (phase: 'RCPT' | '.', id: string): SmtpAnswer | undefined => {
  const found = /^poison(\d)$/.exec(id);
  const [at, answer] = poison[Number(found?.[1] ?? -1)] ?? [];
  return at === phase ? answer : undefined;
};
const script = {
  RCPT: ({ line }: SmtpContext) => poisoned('RCPT', idOf(line)),
  '.': ({ to }: SmtpContext) => poisoned('.', idOf(`<${to[0] ?? ''}`)),
};

describe.for([1, 2])('with %i workers', (workers) => {
  test('messages that are refused by themselves hold up no other, and pause no lane', async () => {
    const prefix = testPrefix();
    const relay = await serverFor('relay', { script });
    const producer = testProducer(prefix);
    const good = countableMany(60);
    const bad = poison.map((_, i) => countable(`poison${i}`));
    // Each has an accepted one behind it.
    await producer.sendMany([...bad.flatMap((one, i) => [one, good[i]!]), ...good.slice(bad.length)]);
    const fleet = await fleetOf(prefix, relay, workers);
    const rows = await settled(producer, good);
    expect(account(rows, [relay])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 60 } });
    await answerAll(producer, prefix);
    // The two with a permanent reply are rejected, with that reply; the plain one without a second transaction.
    const [blocked, plain] = await settled(producer, ['poison2', 'poison3']);
    expect(blocked).toMatchObject({ state: 'dead', reason: 'rejected' });
    expect(plain).toMatchObject({ state: 'dead', attempts: 1, recipients: [{ reply: 'forbidden by policy' }] });
    expect(relay.received.transactions.filter(({ to }) => to[0]?.startsWith('poison3'))).toHaveLength(1);
    expect(relay.received.transactions.filter(({ to }) => to[0]?.startsWith('poison2'))).toHaveLength(2);
    // The others go on by themselves.
    await until(async () => ((await producer.status('poison0'))?.attempts ?? 0) > 1, { what: 'retries of the first' });
    expect(faultsOf(fleet)).toEqual([]);
  });

  test.for(['550 5.7.1 we do not talk to you', '550 Verboten', '421 4.7.0 busy'])(
    'a server that refuses everything with "%s" for a while kills no message, and all of it is sent afterwards',
    async (answer) => {
      const prefix = testPrefix();
      let blocks = true;
      const relay = await serverFor('relay', { script: { RCPT: () => (blocks ? answer : undefined) } });
      const producer = testProducer(prefix);
      const messages = countableMany(40);
      await producer.sendMany(messages);
      const fleet = await fleetOf(prefix, relay, workers);
      await until(() => faultsOf(fleet).length >= 3, { what: 'three faults' });
      // Five refusals that are alike show a fault, some five more are on their way when it is found, and one probe ends the pause.
      const tries = relay.received.commands.filter((line) => line.startsWith('RCPT')).length;
      expect(tries).toBeLessThan(12 * faultsOf(fleet).length);
      expect(fleet.flatMap(({ of }) => of('dead'))).toEqual([]);
      blocks = false;
      const rows = await settled(producer, messages);
      expect(account(rows, [relay])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 40 } });
      // Refusals that were the connector's count for none.
      expect(rows.filter(({ attempts }) => attempts !== 1).map(({ id, attempts }) => [id, attempts])).toEqual([]);
      const operator = await testOperator(prefix);
      expect((await operator.lanes.status('relay')).faults).toBeNull();
    },
  );

  test('many refusals of one kind amid other mail are the messages’ own', async () => {
    const prefix = testPrefix();
    const relay = await serverFor('relay', {
      script: { RCPT: ({ line }) => (line.includes('<bad') ? '550 Verboten' : undefined) },
    });
    const producer = testProducer(prefix);
    const messages = Array.from({ length: 120 }, (_, i) => countable(i % 4 === 0 ? `bad${i}` : `m${i}`));
    await producer.sendMany(messages);
    const fleet = await fleetOf(prefix, relay, workers);
    await settled(
      producer,
      messages.filter(({ id }) => id?.startsWith('m') === true),
    );
    await answerAll(producer, prefix);
    const rows = await settled(producer, messages);
    expect(account(rows, [relay])).toMatchObject({ states: { sent: 90, dead: 30 } });
    expect(faultsOf(fleet)).toEqual([]);
    const operator = await testOperator(prefix);
    expect((await operator.lanes.status('relay')).suspect).toBeNull();
  });
});

test('a message alone in its lane is set aside, the operator sees why, and a newcomer goes out at once', async () => {
  const prefix = testPrefix();
  const relay = await serverFor('relay', {
    script: { RCPT: ({ line }) => (line.includes('<alone') ? '550 Verboten' : undefined) },
  });
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const fleet = await fleetOf(prefix, relay, 1);
  await producer.send(countable('alone'));
  await until(() => fleet[0]!.of('set-aside').length === 1, { what: 'the message to be set aside' });
  await until(async () => (await producer.status('alone'))?.state === 'deferred', { what: 'its row' });
  expect(await producer.status('alone')).toMatchObject({
    attempts: 0,
    recipients: [{ code: '550', reply: 'Verboten' }],
  });
  const { suspect } = await operator.lanes.status('relay');
  expect(suspect).toMatchObject({ reply: '550 Verboten', setAside: 1 });
  await holds(() => fleet[0]!.of('dead').length === 0, { what: 'no dead letter', forMs: 300 });
  await producer.send(countable('newcomer'));
  const rows = await settled(producer, ['newcomer', 'alone']);
  expect(rows.map(({ state }) => state)).toEqual(['sent', 'dead']);
  expect((await operator.lanes.status('relay')).suspect).toBeNull();
});
