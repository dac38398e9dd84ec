/** Operations over many dead letters: counted before, paced, stopped, changed, and the same whoever works on them. */
import { expect, test } from 'vitest';
import { keysOf } from '../../src/queue/redis/keys.ts';
import { until } from '../../testkit/until.ts';
import { adminConfig, opsDesk, plantDead, runnerOf } from '../support/operators.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { testConnection, testPrefix } from '../support/redis.ts';

const config = adminConfig({ relay: {}, other: {} });
const ask = { kind: 'replay', via: null, ratePerSecond: null, reason: null } as const;

test('a preview counts by connector, leaves out what cannot be sent, and keeps the selection for a while', async () => {
  const prefix = testPrefix();
  const letters = [
    ...Array.from({ length: 5 }, () => ({})),
    { reason: 'uncertain' } as const,
    { reason: 'invalid-message', form: 'text', data: 'x' } as const,
    { reason: 'too-large', form: 'part', data: 'x' } as const,
    { reason: 'no-route', connector: null, from: 'x@nowhere.example' } as const,
  ];
  await plantDead(prefix, letters);
  const operator = await testOperator(prefix);
  const closed = { ...adminConfig({ relay: { addresses: ['a@example.com'] } }), systemDefaultGateway: null };
  const preview = await operator.preview(closed, { kind: 'replay', filter: {}, via: null });
  expect(preview).toMatchObject({
    selected: 9,
    count: 6,
    recipients: 6,
    byConnector: [{ connector: 'relay', count: 6 }],
    excluded: [
      { reason: 'unreadable', count: 1 },
      { reason: 'invalid-message', count: 1 },
      { reason: 'no-route', count: 1 },
    ],
    possibleDuplicates: 1,
    viaCandidates: ['relay'],
  });
  expect(preview.samples).toHaveLength(6);
  expect(preview.expiresAt).toBeGreaterThan(Date.now() + 800_000);
  const via = await operator.preview(closed, { kind: 'replay', filter: { reason: 'no-route' }, via: 'relay' });
  expect(via).toMatchObject({ count: 1, byConnector: [{ connector: 'relay', count: 1 }] });
  expect((await operator.preview(closed, { kind: 'drop', filter: {}, via: null })).count).toBe(9);
});

test('a selection is what was there when it was previewed, and is sent once by any number of runners', async () => {
  const prefix = testPrefix();
  await plantDead(
    prefix,
    Array.from({ length: 120 }, () => ({})),
  );
  const operator = await testOperator(prefix);
  const { selection } = await operator.preview(config, { kind: 'replay', filter: {}, via: null });
  await plantDead(prefix, [{ at: Date.now() + 1 }], 500);
  const { recorded } = await startWorker({ prefix, config: configOf({ relay: {}, other: {} }) });
  for (let i = 0; i < 3; i += 1) runnerOf(await testOperator(prefix), config);
  const begun = await operator.as(opsDesk, config).begin({ ...ask, choice: { by: 'selection', selection } });
  if (!begun.ok) throw new Error(begun.why);
  expect(begun.operation).toMatchObject({ state: 'running', total: 120, by: 'ops-desk', kind: 'replay' });
  const { id } = begun.operation;
  const ended = await until(
    async () => {
      const operation = await operator.operations.get(id);
      return operation?.state === 'done' ? operation : null;
    },
    { what: 'the operation to end' },
  );
  expect(ended).toMatchObject({ done: 120, results: { replayed: 120 } });
  await until(() => recorded('relay').mails.length === 120, { what: 'all to be sent' });
  expect(await operator.deadLetters.count()).toBe(1);
  const again = await operator.as(opsDesk, config).begin({ ...ask, choice: { by: 'selection', selection } });
  expect(again).toEqual({ ok: false, why: 'none' });
  expect((await operator.audit.list({ action: 'replay' }, null, 9)).items).toHaveLength(2);
});

test('all of them must be counted right', async () => {
  const prefix = testPrefix();
  await plantDead(prefix, [{}, {}, {}]);
  const actions = (await testOperator(prefix)).as(opsDesk, config);
  expect(await actions.begin({ ...ask, choice: { by: 'all', count: 2 } })).toEqual({
    ok: false,
    why: 'count',
    count: 3,
  });
  expect(await actions.begin({ ...ask, choice: { by: 'all', count: 3 } })).toMatchObject({ ok: true });
});

test('a selection of a replay is not one of a drop, and an unknown one is none', async () => {
  const prefix = testPrefix();
  await plantDead(prefix, [{}]);
  const operator = await testOperator(prefix);
  const { selection } = await operator.preview(config, { kind: 'replay', filter: {}, via: null });
  const actions = operator.as(opsDesk, config);
  expect(await actions.begin({ ...ask, kind: 'drop', choice: { by: 'selection', selection } })).toEqual({
    ok: false,
    why: 'kind',
  });
  expect(await actions.begin({ ...ask, choice: { by: 'selection', selection: 'sel_x' } })).toEqual({
    ok: false,
    why: 'selection',
  });
  expect(await actions.begin({ ...ask, via: 'nobody', choice: { by: 'selection', selection } })).toEqual({
    ok: false,
    why: 'via',
  });
});

test('a rate is kept, can be changed while it works, and a stop leaves the rest where it is', async () => {
  const prefix = testPrefix();
  await plantDead(
    prefix,
    Array.from({ length: 400 }, () => ({})),
  );
  const operator = await testOperator(prefix);
  const actions = operator.as(opsDesk, config);
  runnerOf(operator, config);
  const startedAt = performance.now();
  const begun = await actions.begin({
    ...ask,
    kind: 'drop',
    ratePerSecond: 10,
    reason: 'a test',
    choice: { by: 'filter', filter: {} },
  });
  if (!begun.ok) throw new Error(begun.why);
  const { id } = begun.operation;
  const done = async (): Promise<number> => (await operator.operations.get(id))?.done ?? 0;
  await until(async () => (await done()) >= 15, { what: 'fifteen to be dropped' });
  const tookMs = performance.now() - startedAt;
  expect((await done()) / (tookMs / 1_000)).toBeLessThan(13);
  await actions.setRate(id, 100);
  await until(async () => (await done()) >= 100, { what: 'a hundred to be dropped' });
  expect(await actions.stopOperation(id, 'enough')).toBe('running');
  const stopped = await operator.operations.get(id);
  expect(stopped).toMatchObject({ state: 'stopped', stoppedBy: 'ops-desk', stopReason: 'enough', ratePerSecond: 100 });
  expect(await operator.operations.open()).toEqual([]);
  expect(await actions.stopOperation(id, null)).toBe('stopped');
  const left = await until(
    async () => {
      const [count, operation] = [await operator.deadLetters.count(), await operator.operations.get(id)];
      return count + (operation?.done ?? 0) === 400 ? count : null;
    },
    { what: 'the batch that was under way to be counted' },
  );
  expect(left).toBeGreaterThan(0);
});

test('a letter that is replaced or gone when its turn comes is left alone, and counted as such', async () => {
  const prefix = testPrefix();
  const [first, second] = await plantDead(prefix, [{}, {}, {}]);
  const operator = await testOperator(prefix);
  const begun = await operator.as(opsDesk, config).begin({ ...ask, choice: { by: 'filter', filter: {} } });
  if (!begun.ok) throw new Error(begun.why);
  await operator.drop(first!);
  await plantDead(prefix, [{ id: second!, at: Date.now() + 60_000 }]);
  runnerOf(operator, config);
  const ended = await until(
    async () => {
      const operation = await operator.operations.get(begun.operation.id);
      return operation?.state === 'done' ? operation : null;
    },
    { what: 'the end' },
  );
  expect(ended.results).toEqual({ gone: 1, changed: 1, replayed: 1 });
  expect(await operator.deadLetters.count()).toBe(1);
});

test('a process that has lost its lease writes no results', async () => {
  const prefix = testPrefix();
  const keys = keysOf(prefix);
  await plantDead(
    prefix,
    Array.from({ length: 30 }, () => ({})),
  );
  const operator = await testOperator(prefix);
  const begun = await operator
    .as(opsDesk, config)
    .begin({ ...ask, kind: 'drop', ratePerSecond: 20, choice: { by: 'filter', filter: {} } });
  if (!begun.ok) throw new Error(begun.why);
  const { id } = begun.operation;
  const runner = runnerOf(operator, config);
  await until(async () => (await operator.operations.get(id))?.done, { what: 'a first batch' });
  await testConnection().set(keys.operationLease(id), 'another', 'PX', 60_000);
  const lost = (await operator.operations.get(id))?.done ?? 0;
  await runner.stop();
  const after = (await operator.operations.get(id))?.done ?? 0;
  expect(after - lost).toBeLessThanOrEqual(10);
  expect((await operator.operations.get(id))?.state).toBe('running');
});

test('operations are listed newest first, in pages', async () => {
  const prefix = testPrefix();
  await plantDead(prefix, [{}, {}, {}]);
  const operator = await testOperator(prefix);
  const ids: string[] = [];
  for (const reason of ['a', 'b', 'c']) {
    const begun = await operator
      .as(opsDesk, config)
      .begin({ ...ask, kind: 'drop', reason, choice: { by: 'filter', filter: {} } });
    if (begun.ok) ids.unshift(begun.operation.id);
  }
  const first = await operator.operations.list(null, 2);
  const last = first.at(-1)!;
  const rest = await operator.operations.list({ at: last.startedAt, id: last.id }, 2);
  expect([...first, ...rest].map(({ id }) => id)).toEqual(ids);
});

test('a deferred message that is sent now is tried at once, and a scheduled one goes with the Date of now', async () => {
  const prefix = testPrefix();
  const retry = {
    firstDelayMs: 3_600_000,
    maxDelayMs: 3_600_000,
    lifetimeMs: 86_400_000,
    attributeWithinMs: 0,
    onUncertain: 'retry',
  } as const;
  const { recorded } = await startWorker({
    prefix,
    config: configOf({ relay: { retry } }),
    scripts: { relay: ['deferred'] },
  });
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const actions = operator.as(opsDesk, config);
  const message = { from: 'x@example.com', to: 'a@example.net', text: 'x' };
  await producer.send({ ...message, id: 'one' });
  await until(async () => (await producer.status('one'))?.state === 'deferred', { what: 'it to be deferred' });
  expect(await actions.sendNow('one')).toBe('ok');
  await until(async () => (await producer.status('one'))?.state === 'sent', { what: 'it to be sent' });
  expect((await producer.status('one'))?.history.map(({ event }) => event)).toContain('send-now');
  await producer.send({ ...message, id: 'two', sendAt: Date.now() + 86_400_000 });
  await until(async () => (await producer.status('two'))?.state === 'scheduled', { what: 'it to be scheduled' });
  expect((await operator.actions('two'))?.find(({ action }) => action === 'send-now')).toMatchObject({ allowed: true });
  expect(await actions.sendNow('two')).toBe('ok');
  await until(async () => (await producer.status('two'))?.state === 'sent', { what: 'it to be sent' });
  const date = /^Date: (.*)$/m.exec(recorded('relay').mails.at(-1)!.bytes.toString())?.[1] ?? '';
  expect(Math.abs(Date.parse(date) - Date.now())).toBeLessThan(120_000);
  expect([await actions.sendNow('two'), await actions.sendNow('nobody')]).toEqual(['state', 'unknown']);
});
