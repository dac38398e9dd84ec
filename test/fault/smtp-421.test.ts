/** Servers that answer 421 and close, or name a time: no attempt is counted before the end of data, the order is kept, and a named wait is obeyed. */
import { expect, test } from 'vitest';
import { account, allOnce, allSent, countableMany, settled } from '../support/accounting.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import {
  deliverThrough,
  expectNoneBurned,
  failingServers,
  login,
  pauseScale,
  sendThrough,
  serverFor,
  sessionPhases,
  startSender,
} from '../support/smtp-sender.ts';
import { until } from '../../testkit/until.ts';

test('a 421 before MAIL FROM counts no attempt and keeps the order of messages', async () => {
  const servers = await failingServers(sessionPhases, { answer: '421 4.7.0 busy, try again in 20 seconds' });
  const { rows, ids, of } = await deliverThrough(servers, 4, { concurrency: 1 });
  expect(account(rows, servers)).toEqual(allOnce(rows.length));
  expectNoneBurned(rows);
  for (const { id, received } of servers) {
    expect(received.transactions.map(({ to }) => to[0]?.split('@')[0])).toEqual(ids.get(id));
    const faults = of('connector-fault').filter(({ connector }) => connector === id);
    expect(faults.map(({ fault, faults: count }) => [id, fault, count])).toEqual([
      [id, 'throttled', 1],
      [id, 'throttled', 2],
    ]);
    // The wait that the reply names each time, not the growing pause of a fault that names none.
    expect(faults.map(({ pauseMs }) => pauseMs)).toEqual([20_000 * pauseScale, 20_000 * pauseScale]);
  }
});

test('a 421 within the transaction is the connector’s once a second message got it; no attempt is counted', async () => {
  const within = ['mail', 'rcpt', 'data', 'dot'] as const;
  const answer = '421 4.7.0 busy, try again in 20 seconds';
  const servers = await failingServers(within, { answer, times: 2 });
  const { rows, of } = await deliverThrough(servers, 4, { concurrency: 1 });
  expect(account(rows, servers)).toEqual(allOnce(rows.length));
  expectNoneBurned(rows);
  for (const { id, received } of servers) {
    const faults = of('connector-fault').filter(({ connector }) => connector === id);
    expect(faults.map(({ fault, pauseMs }) => [id, fault, pauseMs])).toEqual([[id, 'throttled', 20_000 * pauseScale]]);
    // Those that were refused come back in the order of their refusals.
    const sent = received.transactions.filter(({ accepted }) => accepted).map(({ to }) => `${to[0]?.split('@')[0]}`);
    const refused = of('set-aside').flatMap((event) => (event.connector === id ? [event.id] : []));
    expect(sent.filter((sentId) => refused.includes(sentId))).toEqual(refused);
  }
});

test('a 421 that names no time pauses for 10 s first, and doubles, wherever it is said before MAIL FROM', async () => {
  const servers = await failingServers(sessionPhases, { answer: '421 4.7.0 busy, try again later', times: 3 });
  const { rows, of } = await deliverThrough(servers, 2, { concurrency: 1 });
  expect(account(rows, servers)).toEqual(allOnce(rows.length));
  expectNoneBurned(rows);
  for (const { id } of servers) {
    const faults = of('connector-fault').filter(({ connector }) => connector === id);
    expect([id, ...faults.map(({ fault, pauseMs }) => `${fault} ${pauseMs / pauseScale}`)]).toEqual([
      id,
      'throttled 10000',
      'throttled 20000',
      'throttled 40000',
    ]);
  }
});

test('a 421 within the transaction that names no time pauses for 10 s once other messages got it too, and doubles', async () => {
  const within = ['mail', 'rcpt', 'data', 'dot'] as const;
  const servers = await failingServers(within, { answer: '421 4.7.0 busy, try again later', times: 3 });
  const { rows, of } = await deliverThrough(servers, 4, { concurrency: 1 });
  expect(account(rows, servers)).toEqual(allOnce(rows.length));
  for (const { id } of servers) {
    const faults = of('connector-fault').filter(({ connector }) => connector === id);
    expect([id, ...faults.map(({ fault, pauseMs }) => `${fault} ${pauseMs / pauseScale}`)]).toEqual([
      id,
      'throttled 10000',
      'throttled 20000',
    ]);
  }
});

test('a permanent code that names a time is a limit: the lane pauses for it once others got it too, and nothing is rejected', async () => {
  const answer = '550 Too many messages. Try again in 92 seconds';
  const servers = await failingServers(['mail', 'rcpt', 'data', 'dot'], { answer, times: 2 });
  const { rows, of } = await deliverThrough(servers, 4, { concurrency: 1 });
  expect(account(rows, servers)).toEqual(allOnce(rows.length));
  expectNoneBurned(rows);
  for (const { id } of servers) {
    const faults = of('connector-fault').filter(({ connector }) => connector === id);
    expect([id, ...faults.map(({ fault, pauseMs }) => `${fault} ${pauseMs / pauseScale}`)]).toEqual([
      id,
      'throttled 92000',
    ]);
  }
});

test('no worker connects before the wait named by a 421 is over, even if new messages arrive', async () => {
  const prefix = testPrefix();
  const times: number[] = [];
  const relay = await serverFor('relay', {
    script: {
      CONNECT: ({ connection }) => {
        times.push(performance.now());
        return connection <= 3 ? '421 4.7.0 wait 60 seconds' : undefined;
      },
    },
  });
  const producer = testProducer(prefix);
  await startSender({ prefix, servers: [relay], name: 'one' });
  await startSender({ prefix, servers: [relay], name: 'two' });
  const first = await sendThrough(producer, [relay], 1);
  await until(() => times.length >= 1, { what: 'the first connection' });
  const more = countableMany(20, 'more-').map((message) => ({ ...message, from: 'relay@example.com' }));
  await producer.sendMany(more);
  const rows = await settled(producer, [...first.get('relay')!, ...more]);
  expect(account(rows, [relay])).toMatchObject(allSent(21));
  const gaps = times.slice(1, 4).map((time, index) => time - times[index]!);
  // 60 s by the scale; the clocks of Redis and of this process may differ by a few ms.
  expect(Math.min(...gaps)).toBeGreaterThan(60_000 * pauseScale - 20);
});

test('a 421 to one message alone sets it aside, and is no fault of the connector', async () => {
  const server = await serverFor('dot', { script: { '.': ['421 4.3.0 shutting down'] } });
  const { rows, of, prefix } = await deliverThrough([server], 3, { concurrency: 1 });
  expect(account(rows, [server])).toEqual(allOnce(3));
  // A 421 is an answer: the server does not have the message.
  expect(rows.map(({ attempts }) => attempts)).toEqual([1, 1, 1]);
  expect(of('set-aside').map(({ id }) => id)).toEqual(['dot-0']);
  expect(of('connector-fault')).toEqual([]);
  expect((await (await testOperator(prefix)).lanes.status('dot')).faults).toBeNull();
});

test('a 421 in a session that has sent messages leaves those accepted and sends the rest in a new session', async () => {
  let mails = 0;
  const server = await serverFor(
    'mail',
    {
      auth: login,
      script: {
        MAIL: ({ connection }) => {
          mails += 1;
          return connection === 1 && mails === 3 ? '421 4.7.0 too many messages in this session' : undefined;
        },
      },
    },
    { auth: login, allowInsecureAuth: true },
  );
  const { rows } = await deliverThrough([server], 6, { concurrency: 1 });
  expect(account(rows, [server])).toMatchObject(allSent(6));
  expectNoneBurned(rows);
  expect(server.received.connections).toBe(2);
});
