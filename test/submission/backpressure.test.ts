/** When a message cannot be stored: the reply says to try again, nothing is lost, and memory stays bounded. */
import { beforeAll, expect, test } from 'vitest';
import { PostlaneError } from '../../src/errors.ts';
import { until } from '../../testkit/until.ts';
import { ownRedis } from '../support/own-redis.ts';
import { open, startSubmission, submissionKit, type SubmissionKit } from '../support/submission.ts';
import { openSession } from '../support/smtp-session.ts';

let kit: SubmissionKit;
beforeAll(async () => void (kit = await submissionKit()));

const data = 'From: erp@example.com\r\nMessage-ID: <1@example.com>\r\nSubject: x\r\n\r\nx\r\n';
const mail = { from: 'erp@example.com', to: ['a@example.net'], data };

test('Redis that goes away before the final dot: 451, and 421 for new clients; back again, the same mail is one message', async () => {
  const redis = await ownRedis();
  const here = await startSubmission(kit, { listeners: [open], url: redis.url, timeoutMs: 1_000 });
  await until(() => here.submission.state().ready, { what: 'Redis to be there' });
  const session = await here.open();
  for (const line of ['MAIL FROM:<erp@example.com>', 'RCPT TO:<a@example.net>', 'DATA']) await session.say(line);
  session.write(data);
  await redis.kill();
  expect(await session.say('.')).toBe('451 4.3.0 Cannot store the message; try again later');
  expect(await session.say('MAIL FROM:<erp@example.com>')).toMatch(/^451 4\.3\.0 /);
  const late = await openSession({ port: here.ports[0]! });
  expect(await late.reply()).toMatch(/^421 4\.3\.2 /);
  await redis.restart();
  await until(() => here.submission.state().ready, { what: 'Redis to be back' });
  const ids = [await session.send(mail), await session.send(mail)].map(
    (said) => /^250 2\.0\.0 queued as (\S+)$/.exec(said)?.[1],
  );
  expect(ids[0]).toBeDefined();
  expect(ids[1]).toBe(ids[0]);
  expect(here.of('submitted').map(({ duplicate }) => duplicate)).toEqual([false, true]);
});

test('a Redis without room for new mail: 452, and 250 once there is room', async () => {
  const redis = await ownRedis();
  const here = await startSubmission(kit, { listeners: [open], url: redis.url });
  await until(() => here.submission.state().ready, { what: 'Redis to be there' });
  await redis.admin.config('SET', 'maxmemory', '1mb');
  const session = await here.open();
  expect(await session.send(mail)).toMatch(/^452 4\.3\.1 /);
  await redis.admin.config('SET', 'maxmemory', '0');
  await until(async () => (await session.send(mail)).startsWith('250'), { what: 'room' });
});

test('too few replicas: 451, and the message is the same one when it is sent again', async () => {
  const redis = await ownRedis();
  const here = await startSubmission(kit, { listeners: [open], url: redis.url, settings: ['acknowledgeReplicas: 1'] });
  await until(() => here.submission.state().ready, { what: 'Redis to be there' });
  const session = await here.open();
  expect(await session.send(mail)).toMatch(/^451 4\.3\.0 Too few replicas/);
  expect(await session.send(mail)).toMatch(/^451 4\.3\.0 Too few replicas/);
  expect(await redis.admin.llen('{postlane}:outbound:wait').catch(() => 0)).toBeLessThanOrEqual(1);
});

test('every error of the producer has a reply that says whether to try again', async () => {
  const codes = ['redis-unavailable', 'redis-refused', 'attachment-missing', 'timeout', 'producer-closed'] as const;
  for (const code of codes) {
    const producer = { submit: () => Promise.reject(new PostlaneError(code, 'x')) };
    const here = await startSubmission(kit, { listeners: [open], producer });
    const session = await here.open();
    expect(await session.send(mail)).toMatch(/^4[25]1 4\.3\.[02] /);
  }
});

test('more bytes at once than the process may hold: 452 for what does not fit, and the rest is taken', async () => {
  const here = await startSubmission(kit, {
    listeners: [open],
    settings: ['maxBytesInFlight: 300KiB'],
    rest: ['message: { maxSize: 256KiB }'],
  });
  const [one, two] = [await here.open(), await here.open()];
  for (const session of [one, two]) {
    for (const line of ['MAIL FROM:<erp@example.com>', 'RCPT TO:<a@example.net>', 'DATA']) await session.say(line);
  }
  const body = `${'x'.repeat(70)}\r\n`.repeat(2_500);
  one.write(data + body);
  await until(() => here.submission.state().bytesHeld > 150_000, { what: 'the first to be held' });
  two.write(data + body);
  expect(await two.say('.')).toMatch(/^452 4\.3\.1 /);
  expect(await two.say('MAIL FROM:<erp@example.com> SIZE=200000')).toMatch(/^452 4\.3\.1 /);
  expect(await one.say('.')).toMatch(/^250 /);
  expect(here.submission.state().bytesHeld).toBe(0);
  expect(await two.send({ ...mail, data: data + body })).toMatch(/^250 /);
});

test('the same submission is one message, and what differs in sender, recipients or content is another', async () => {
  const here = await startSubmission(kit, { listeners: [open] });
  const session = await here.open();
  const id = async (change: Partial<typeof mail>) => /as (\S+)$/.exec(await session.send({ ...mail, ...change }))?.[1];
  const first = await id({});
  expect(await id({})).toBe(first);
  expect(await id({ to: ['A@example.net', 'a@example.net'].slice(1) })).toBe(first);
  const others = [
    await id({ from: '' }),
    await id({ to: ['b@example.net'] }),
    await id({ to: ['a@example.net', 'b@example.net'] }),
    await id({ data: data.replace('\r\nx', '\r\ny') }),
  ];
  expect(await id({ to: ['b@example.net', 'a@example.net'] })).toBe(others[2]);
  expect(new Set([first, ...others]).size).toBe(5);
});

test('equal alarms of a device that says neither Message-ID nor Date are as many messages as it sends', async () => {
  const here = await startSubmission(kit, { listeners: [open] });
  const session = await here.open();
  const alarm = { ...mail, data: 'From: erp@example.com\r\nSubject: alarm\r\n\r\nx\r\n' };
  const dated = { ...mail, data: `Date: Sat, 28 Nov 2026 00:00:00 +0000\r\n${alarm.data}` };
  for (const each of [alarm, alarm, dated, dated]) expect(await session.send(each)).toMatch(/^250 /);
  expect(await here.queued()).toHaveLength(3);
});

test('an id of the client is of one message: the same again is it, another is refused, and so is the id of someone else', async () => {
  const here = await startSubmission(kit, { users: ['user: erp, from: ["*@example.com"], options: true'] });
  const session = await here.open({ user: 'erp' });
  const own = { ...mail, data: `X-Postlane-Id: order-1\r\n${data}` };
  expect(await session.send(own)).toBe('250 2.0.0 queued as order-1');
  expect(await session.send(own)).toBe('250 2.0.0 queued as order-1');
  expect(await session.send({ ...own, data: `${own.data}more\r\n` })).toMatch(/^554 5\.6\.0 .*another message/);
  expect(await here.queued()).toHaveLength(1);
});

test('equal alarms of two devices that need no login are two messages where only their Date could tell, and one with a Message-ID', async () => {
  const here = await startSubmission(kit, { listeners: [open] });
  const [one, two] = [await here.open({ localAddress: '127.0.0.2' }), await here.open({ localAddress: '127.0.0.3' })];
  const dated = { ...mail, data: data.replace('Message-ID: <1@example.com>', 'Date: Sat, 28 Nov 2026 00:00:00 +0000') };
  for (const each of [dated, mail]) {
    for (const session of [one, two, one, two]) expect(await session.send(each)).toMatch(/^250 /);
  }
  expect(here.of('submitted').map(({ duplicate }) => duplicate)).toEqual(
    [
      [false, false, true, true],
      [false, true, true, true],
    ].flat(),
  );
  expect(await here.queued()).toHaveLength(3);
});

test('a mail that has become too large for another configuration while it arrived is not stored', async () => {
  const here = await startSubmission(kit, { listeners: [open] });
  const session = await here.open();
  for (const line of ['MAIL FROM:<erp@example.com>', 'RCPT TO:<a@example.net>', 'DATA']) await session.say(line);
  session.write(`${data}${`${'x'.repeat(70)}\r\n`.repeat(200)}`);
  await until(() => here.submission.state().bytesHeld > 0, { what: 'the mail to arrive' });
  here.submission.apply({ ...here.config, message: { ...here.config.message, maxBytes: 10_000 } });
  expect(await session.say('.')).toMatch(/^552 /);
  expect(await here.queued()).toEqual([]);
});
