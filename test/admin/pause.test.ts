/** Pauses by an operator: with a reason, and an end that holds by itself. */
import { expect, test } from 'vitest';
import { until } from '../../testkit/until.ts';
import { adminConfig, opsDesk } from '../support/operators.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';

const config = adminConfig({ relay: {} });
const message = { from: 'x@example.com', to: 'a@example.net', text: 'x' };

test('a pause says who, why and until when, to whoever asks later', async () => {
  const prefix = testPrefix();
  const operator = await testOperator(prefix);
  const before = Date.now();
  await operator.as(opsDesk, config).pause('relay', { reason: 'the mailbox moves', forMs: 3_600_000 });
  const other = await testOperator(prefix);
  const row = await other.connector(config, 'relay');
  expect(row).toMatchObject({
    state: 'paused',
    paused: true,
    waitingFor: 'pause',
    pause: { by: 'ops-desk', reason: 'the mailbox moves' },
  });
  expect(row?.pause?.until).toBeGreaterThan(before + 3_590_000);
  expect(row?.waitingUntil).toBeGreaterThan(before + 3_500_000);
});

test('a pause with an end is over at that time although nobody ends it, and what waited is sent', async () => {
  const prefix = testPrefix();
  const operator = await testOperator(prefix);
  const { recorded, of } = await startWorker({
    prefix,
    config: configOf({ relay: {} }),
    timing: { maintenanceMs: 60_000 },
  });
  const { now } = await operator.as(opsDesk, config).pause('relay', { reason: 'r', forMs: 1_500 });
  await testProducer(prefix).send({ ...message, id: 'one' });
  await until(() => of('routed').length === 1, { what: 'the message to be in its lane' });
  expect(recorded('relay').mails).toHaveLength(0);
  await until(() => recorded('relay').mails.length === 1, { what: 'the message to be sent' });
  expect(Date.now()).toBeGreaterThanOrEqual((now.until ?? 0) - 50);
  expect((await operator.lanes.status('relay')).paused).toBe(false);
  // BullMQ's own tools see its field alone.
  expect(await operator.lanes.queue('relay').isPaused()).toBe(false);
});

test('a pause with an end holds while no process is there, and none is needed for its end', async () => {
  const prefix = testPrefix();
  const first = await testOperator(prefix);
  await first.as(opsDesk, config).pause('relay', { reason: 'r', forMs: 700 });
  first.close();
  const later = await testOperator(prefix);
  await until(async () => !(await later.lanes.status('relay')).paused, { what: 'the end of the pause' });
  expect(await later.lanes.pauseOf('relay')).toBeNull();
});

test('a message that was taken before a pause does not pass the fence during it', async () => {
  const prefix = testPrefix();
  const operator = await testOperator(prefix);
  await operator.as(opsDesk, config).pause('relay', { reason: 'r', forMs: 3_600_000 });
  const { recorded, of } = await startWorker({ prefix, config: configOf({ relay: {} }) });
  await testProducer(prefix).sendMany([message, message, message]);
  await until(() => of('routed').length === 3, { what: 'them to be in the lane' });
  // A claim from before the pause, as a worker that was slow would have it.
  const [queuedAt] = [await operator.lanes.queuedAt('relay')];
  expect(queuedAt === null || queuedAt > Date.now() + 3_000_000).toBe(true);
  expect(recorded('relay').mails).toHaveLength(0);
  await operator.as(opsDesk, config).resume('relay', null);
  await until(() => recorded('relay').mails.length === 3, { what: 'them to be sent after the resume' });
});

test('of two pauses at once one stands whole, and both are in the audit', async () => {
  const prefix = testPrefix();
  const operator = await testOperator(prefix);
  const night = { ...opsDesk, by: 'ops-night' };
  await Promise.all([
    operator.as(opsDesk, config).pause('relay', { reason: 'desk', forMs: null }),
    operator.as(night, config).pause('relay', { reason: 'night', forMs: 3_600_000 }),
  ]);
  const pause = await operator.lanes.pauseOf('relay');
  const wholes = ['ops-desk desk null', `ops-night night ${pause?.until ?? 0}`];
  expect(wholes).toContain(`${pause?.by} ${pause?.reason} ${pause?.until}`);
  const { items } = await operator.audit.list({ action: 'pause' }, null, 10);
  expect(items.map(({ by }) => by).toSorted()).toEqual(['ops-desk', 'ops-night']);
});

test('a pause by another program says nothing of an earlier one', async () => {
  const operator = await testOperator(testPrefix());
  await operator.as(opsDesk, config).pause('relay', { reason: 'r', forMs: 3_600_000 });
  await operator.lanes.queue('relay').pause();
  expect(await operator.lanes.pauseOf('relay')).toEqual({ by: null, reason: null, at: null, until: null });
});
