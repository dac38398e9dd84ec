/** The list of connectors: sorted by trouble, in pages, with counts per state; and what is shown of each. */
import { expect, test } from 'vitest';
import type { ConnectorPlace } from '../../src/admin/connectors.ts';
import { until } from '../../testkit/until.ts';
import { adminConfig, opsDesk } from '../support/operators.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';

test('the worst comes first, the counts are of all, and a page goes on where the one before ended', async () => {
  const operator = await testOperator(testPrefix());
  const config = adminConfig({
    idle: {},
    held: { addresses: ['h@example.com'] },
    archive: { direction: 'incoming' },
    broken: {},
    other: {},
  });
  await operator.as(opsDesk, config).pause('held', { reason: 'r', forMs: null });
  const limits = { concurrency: 5, messagesPerMinute: null };
  const pauses = { toldMs: null, firstMs: 60_000, longestMs: 60_000, longestHoldMs: 0 };
  const lanes = ['broken', 'held', 'idle', 'other'];
  for (const id of lanes) await operator.lanes.setLimits(id, limits);
  await operator.lanes.fault('broken', { kind: 'auth', reply: '535 no', found: false, limits, ...pauses });
  const seen: string[] = [];
  let after: ConnectorPlace | null = null;
  do {
    const page = await operator.connectors(config, { sort: 'trouble', after, limit: 2 });
    expect(page.states).toEqual({ fault: 1, paused: 1, idle: 2, incoming: 1 });
    expect(page.count).toBe(5);
    seen.push(...page.items.map(({ id }) => id));
    after = page.next;
  } while (after !== null);
  expect(seen).toEqual(['broken', 'held', 'idle', 'other', 'archive']);
  const [broken] = (await operator.connectors(config, { sort: 'trouble', after: null, limit: 1, state: 'fault' }))
    .items;
  expect(broken).toMatchObject({
    id: 'broken',
    faults: [{ fault: 'auth', reply: '535 no', count: 1 }],
    breaker: { state: 'open' },
  });
  const found = await operator.connectors(config, { sort: 'id', after: null, limit: 9, text: 'H@EXAMPLE' });
  expect(found.items.map(({ id }) => id)).toEqual(['held']);
});

test('a connector shows when its oldest message came, and when the first expires', async () => {
  const prefix = testPrefix();
  const operator = await testOperator(prefix);
  const config = adminConfig({ relay: {} });
  await operator.as(opsDesk, config).pause('relay', { reason: 'r', forMs: null });
  await startWorker({ prefix, config: configOf({ relay: {} }) });
  const producer = testProducer(prefix);
  const expiresAt = Date.now() + 600_000;
  await producer.send({ from: 'x@example.com', to: 'a@example.net', text: 'x' });
  await producer.send({ from: 'x@example.com', to: 'a@example.net', text: 'x', expiresAt });
  await until(async () => (await operator.lanes.status('relay')).waiting === 2, { what: 'both in the lane' });
  const row = await operator.connector(config, 'relay');
  expect(row).toMatchObject({ waiting: 2, nextDeadlineAt: expiresAt });
  expect(row?.oldestWaitingAt).toBeGreaterThan(Date.now() - 60_000);
  expect(await operator.connector(config, 'nobody')).toBeNull();
});
