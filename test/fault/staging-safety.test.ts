/**
 * A test system must not write to customers: with `delivery` in force, whatever comes in, by whichever way and in whichever spelling, leaves for
 * those alone who are allowed. Counted at the server.
 */
import { expect, onTestFinished, test } from 'vitest';
import { openQueues } from '../../src/queue/open.ts';
import { jobName } from '../../src/queue/redis/keys.ts';
import { createSmtpTransport } from '../../src/transport/smtp/smtp.ts';
import type { DeliverySettings } from '../../src/worker/settings.ts';
import { smtpSettings } from '../../testkit/smtp/settings.ts';
import { until } from '../../testkit/until.ts';
import { settled, sink } from '../support/accounting.ts';
import { adminConfig, opsDesk } from '../support/operators.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { shardCount, testConnection, testPrefix } from '../support/redis.ts';
import { graphPair } from '../support/graph-client.ts';

const tester = 'tester@staging.example';

async function start(delivery: DeliverySettings, prefix = testPrefix()) {
  const server = await sink();
  const transport = createSmtpTransport({
    settings: smtpSettings(server.port),
    hostname: 'test.example',
    maxConnections: 5,
  });
  onTestFinished(() => transport.close());
  const config = configOf({ relay: {} }, { delivery });
  const worker = await startWorker({ prefix, config, transports: { relay: transport } });
  const open = openQueues(testConnection(), { prefix, shards: shardCount() });
  const producer = testProducer(prefix);
  const reached = (): string[] => [...new Set(server.received.transactions.flatMap(({ to }) => to))].toSorted();
  return { prefix, server, worker, open, producer, reached };
}

/** What looks like an allowed address and is none, and ways to name another recipient. */
const others = [
  'customer@example.net',
  'tester+x@staging.example',
  'test.er@staging.example',
  'tester@staging.example.net',
  'tester@staging-example.com',
  'tester@xn--stging-9ua.example',
  'tеster@staging.example',
  'tester@sub.staging.example',
  'tester@qa.example.evil.example',
  '"tester@staging.example"@evil.example',
  'x@QA.example.',
];
const allowed = ['TESTER@Staging.EXAMPLE', 'tester@staging.example', 'any.one@qa.example', 'Zoe@BÜCHER.example'];
const patterns = [tester, '*@qa.example', '*@xn--bcher-kva.example'];

test(
  'an allow-list: replays, foreign jobs, raw messages, groups, look-alikes and other spellings reach only who is on it',
  { timeout: 120_000 },
  async () => {
    const { prefix, open, producer, reached, worker } = await start({ redirectTo: null, allowRecipients: patterns });
    const ids: string[] = [];
    let nth = 0;
    const foreign = async (message: object): Promise<void> => {
      const id = `f${(nth += 1)}`;
      ids.push(id);
      await open.intake.add(jobName, { v: 1, message }, { jobId: id });
    };
    for (const to of [...others, ...allowed]) {
      const message = { from: 'shop@example.com', subject: 's', text: 't' };
      // What no message may have is refused by the producer; a foreign job becomes a dead letter.
      await producer.send({ ...message, id: `p${(nth += 1)}`, to }).then(
        ({ id }) => ids.push(id),
        () => undefined,
      );
      await foreign({ ...message, to: [to, 'any.one@qa.example'] });
      await foreign({ ...message, to: 'tester@staging.example', cc: to, bcc: [`Somebody <${to}>`] });
      await foreign({
        raw: `From: shop@example.com\r\nTo: Team: ${to}, ${tester};\r\nBcc: ${to}\r\nSubject: s\r\n\r\nt\r\n`,
        envelope: { from: 'shop@example.com', to: [to, tester] },
      });
    }
    const rows = await settled(producer, ids);
    expect(reached()).toEqual(
      ['TESTER@staging.example', 'Zoe@xn--bcher-kva.example', 'any.one@qa.example', tester].toSorted(),
    );
    const operator = await testOperator(prefix);
    const actions = operator.as(opsDesk, adminConfig({ relay: {} }));
    const dead = rows.filter(({ reason }) => reason === 'suppressed').map(({ id }) => id);
    expect(dead.length).toBeGreaterThan(5);
    for (const id of dead) await actions.replay(id, { via: 'relay', reason: 'a test' });
    await until(async () => (await open.deadLetters.count()) >= dead.length, { what: 'the replays to have died' });
    expect(reached()).toHaveLength(4);
    expect(worker.of('suppressed').length).toBeGreaterThan(dead.length);
  },
);

test('an empty list allows none', async () => {
  const { producer, reached } = await start({ redirectTo: null, allowRecipients: [] });
  await producer.send({ id: 'm', from: 'shop@example.com', to: [tester, 'customer@example.net'], text: 't' });
  const [row] = await settled(producer, ['m']);
  expect(row).toMatchObject({ state: 'dead', reason: 'suppressed', attempts: 0 });
  expect(row!.recipients[0]).toMatchObject({ outcome: 'suppressed', reply: 'not among delivery.allowRecipients' });
  expect(reached()).toEqual([]);
});

test('what may not go to its recipients goes to one address, once, with their names in a field; it is sent, and not again by a replay', async () => {
  const { producer, reached, server, worker, prefix, open } = await start({
    redirectTo: tester,
    allowRecipients: null,
  });
  const to = ['zoë@example.net', 'b@example.net', 'TESTER@staging.example'];
  await producer.send({
    id: 'm',
    from: 'shop@example.com',
    to,
    headers: { 'X-Postlane-Original-To': 'forged' },
    text: 't',
  });
  const raw = 'From: shop@example.com\r\nTo: c@example.net\r\nSubject: raw\r\n\r\nt\r\n';
  await producer.send({ id: 'raw', raw, envelope: { from: 'shop@example.com', to: ['c@example.net'] } });
  const [row] = await settled(producer, ['m', 'raw']);
  expect(row).toMatchObject({ state: 'sent' });
  expect(row!.recipients.map(({ outcome }) => outcome)).toEqual(['redirected', 'redirected', 'accepted']);
  expect(reached().map((address) => address.toLowerCase())).toEqual([tester, tester]);
  const heads = server.received.transactions.map(({ bytes }) => bytes.toString());
  expect(heads.join('')).not.toContain('forged');
  expect(heads.find((text) => text.includes('Subject: raw'))).toMatch(/^X-Postlane-Original-To: c@example\.net\r\n/);
  expect(heads.filter((text) => /^X-Postlane-Original-To: /m.test(text))).toHaveLength(2);
  // Either may be the first, and each is told after its row is written.
  await until(() => worker.of('redirected').length === 2, { what: 'both to be told' });
  const counts = worker.of('redirected').map(({ recipients }) => recipients);
  expect(counts.toSorted((a, b) => a - b)).toEqual([1, 2]);
  expect(await (await testOperator(prefix)).deadLetters.count()).toBe(0);
  expect((await open.ledger.read('m'))!.attemptLog[0]!.recipients).toHaveLength(3);
});

test('a redirected copy that the server defers is tried again, and one that it rejects is a dead letter', async () => {
  const answers = ['450 4.2.0 later', '550 5.1.1 unknown'];
  const server = { script: { RCPT: () => answers.shift() } };
  const sinkServer = await sink(server);
  const transport = createSmtpTransport({
    settings: smtpSettings(sinkServer.port),
    hostname: 'test.example',
    maxConnections: 1,
  });
  onTestFinished(() => transport.close());
  const prefix = testPrefix();
  const delivery = { redirectTo: tester, allowRecipients: null };
  await startWorker({ prefix, config: configOf({ relay: {} }, { delivery }), transports: { relay: transport } });
  const producer = testProducer(prefix);
  await producer.send({ id: 'm', from: 'shop@example.com', to: ['a@example.net', 'b@example.net'], text: 't' });
  const [row] = await settled(producer, ['m']);
  expect(row).toMatchObject({ state: 'dead', reason: 'rejected', attempts: 2 });
  expect(row!.recipients.map(({ outcome }) => outcome)).toEqual(['rejected', 'rejected']);
  const operator = await testOperator(prefix);
  await operator.as(opsDesk, adminConfig({ relay: {} })).replay('m', { via: null, reason: null });
  await until(async () => (await producer.status('m'))?.state === 'sent', { what: 'the replay to be sent' });
  expect(sinkServer.received.transactions.flatMap(({ to }) => to)).toEqual([tester]);
});

test('Microsoft Graph sends to whom the header names, so the header names only who is allowed', async () => {
  const { graph, transport } = await graphPair();
  const prefix = testPrefix();
  const delivery = { redirectTo: tester, allowRecipients: [tester, '*@qa.example'] };
  const config = configOf({ sales: { addresses: ['sales@example.com'] } }, { delivery });
  await startWorker({ prefix, config, transports: { sales: transport } });
  const producer = testProducer(prefix);
  const cc = ['customer@example.net', 'Zoe <zoe@qa.example>'];
  await producer.send({
    id: 'm',
    from: 'sales@example.com',
    to: 'boss@example.net',
    cc,
    bcc: 'b@example.net',
    text: 't',
  });
  const raw = 'From: sales@example.com\r\nTo: Team: c@example.net, zoe@qa.example;\r\nSubject: raw\r\n\r\nt\r\n';
  await producer.send({
    id: 'raw',
    raw,
    envelope: { from: 'sales@example.com', to: ['c@example.net', 'zoe@qa.example'] },
  });
  for (const row of await settled(producer, ['m', 'raw'])) expect(row.state).toBe('sent');
  const reached = new Set(graph.deliveries.map(({ recipient }) => recipient));
  expect([...reached].toSorted()).toEqual([tester, 'zoe@qa.example']);
});
