/** The audit: what was done and what was refused, in order, in pages. */
import { expect, test } from 'vitest';
import { keysOf } from '../../src/queue/redis/keys.ts';
import { adminConfig, opsDesk } from '../support/operators.ts';
import { testOperator } from '../support/postlane.ts';
import { testConnection, testPrefix } from '../support/redis.ts';

const config = adminConfig({ relay: {} });

test('an entry says who did what through what, why, and what came of it', async () => {
  const operator = await testOperator(testPrefix());
  const actions = operator.as(opsDesk, config);
  await actions.pause('relay', { reason: 'wrong price', forMs: null });
  await actions.cancel('no-such-message');
  const { items, next } = await operator.audit.list({}, null, 10);
  expect(next).toBeNull();
  expect(items).toEqual([
    expect.objectContaining({ action: 'cancel', target: 'no-such-message', result: 'refused', reason: null }),
    expect.objectContaining({
      by: 'ops-desk',
      through: 'api',
      client: '192.0.2.1',
      action: 'pause',
      target: 'relay',
      reason: 'wrong price',
      result: 'done',
    }),
  ]);
  expect(Math.abs(items[0]!.at - Date.now())).toBeLessThan(60_000);
});

test('pages go on where the one before ended, although entries are added meanwhile', async () => {
  const operator = await testOperator(testPrefix());
  const note = (n: number): Promise<void> =>
    operator.as(opsDesk, config).note({ action: 'try', target: `c${n}`, reason: null, detail: null }, 'done');
  for (let n = 0; n < 5; n += 1) await note(n);
  const first = await operator.audit.list({}, null, 2);
  await note(5);
  const second = await operator.audit.list({}, first.next, 2);
  const third = await operator.audit.list({}, second.next, 2);
  expect([first, second, third].flatMap(({ items }) => items.map(({ target }) => target))).toEqual([
    'c4',
    'c3',
    'c2',
    'c1',
    'c0',
  ]);
  expect(third.next).toBeNull();
});

test('a filter is answered by who, action, target and time', async () => {
  const operator = await testOperator(testPrefix());
  const desk = operator.as(opsDesk, config);
  const night = operator.as({ ...opsDesk, by: 'ops-night' }, config);
  await desk.note({ action: 'try', target: 'relay', reason: null, detail: null }, 'done');
  await night.note({ action: 'erase', target: null, reason: null, detail: null }, 'done');
  const found = async (filter: Parameters<typeof operator.audit.list>[0]): Promise<string[]> =>
    (await operator.audit.list(filter, null, 10)).items.map(({ action }) => action);
  expect(await found({ by: 'ops-night' })).toEqual(['erase']);
  expect(await found({ action: 'try' })).toEqual(['try']);
  expect(await found({ target: 'relay' })).toEqual(['try']);
  expect(await found({ until: Date.now() - 3_600_000 })).toEqual([]);
  expect(await found({ since: Date.now() - 3_600_000 })).toEqual(['erase', 'try']);
});

test('attack: a reason with line ends and controls forges no other entry', async () => {
  const operator = await testOperator(testPrefix());
  await operator.as(opsDesk, config).pause('relay', { reason: 'a\n2026-01-01 admin resume\u001b[2K', forMs: null });
  const { items } = await operator.audit.list({}, null, 10);
  expect(items).toHaveLength(1);
  expect(items[0]?.reason).toBe('a 2026-01-01 admin resume [2K');
});

test('what stands in the stream that no release wrote breaks no reader', async () => {
  const prefix = testPrefix();
  await testConnection().xadd(keysOf(prefix).audit, '*', 'what', 'ever');
  const operator = await testOperator(prefix);
  expect((await operator.audit.list({}, null, 10)).items).toHaveLength(1);
});
