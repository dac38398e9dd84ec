/** Operators under faults: a bulk replay whose process is killed, Redis away in between, two people at one message. Counted at the mail server. */
import { expect, onTestFinished, test } from 'vitest';
import type { DeadLetter } from '../../src/queue/ledger/dead-letters.ts';
import { connectFailFast, whenReady } from '../../src/queue/redis/connection.ts';
import { startPrivateRedis } from '../../testkit/redis.ts';
import { until } from '../../testkit/until.ts';
import { serveApi, type ServedApi } from '../support/http-server.ts';
import { adminConfig, opsDesk, plantDead, runnerOf } from '../support/operators.ts';
import { configOf, startWorker, testOperator, testProducer, testRetry } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';

const letters = (count: number): Partial<DeadLetter>[] => Array.from({ length: count }, () => ({}));
const config = adminConfig({ relay: {}, other: {} });

const copies = ({ mail }: ServedApi): string[] => mail.received.transactions.flatMap(({ to }) => to).toSorted();

async function ended(api: ServedApi, id: string, port: number): Promise<Record<string, number>> {
  const done = await until(
    async () => {
      const { body } = await api.ask(`/v1/operations/${id}`, { port });
      return body.state === 'done' ? body : null;
    },
    { what: 'the operation to end', timeoutMs: 90_000 },
  );
  expect(done.done).toBe(done.total);
  return done.results as Record<string, number>;
}

test(
  'a bulk replay whose process is killed goes on in another one, and no message is sent twice',
  { timeout: 180_000 },
  async () => {
    const api = await serveApi();
    await api.here.worker();
    await plantDead(api.prefix, letters(200));
    const begun = await api.post('/v1/dead-letters/replay', { all: true, count: 200, ratePerSecond: 60 });
    expect(begun.status).toBe(202);
    await until(async () => (await api.ask(`/v1/operations/${begun.body.id}`)).body.done >= 60, {
      what: 'some to be done',
    });
    api.serve.child.kill('SIGKILL');
    const second = await api.here.serve();
    const port = Number((await second.logged('serving'))['port']);
    const results = await ended(api, begun.body.id, port);
    // What the killed process had done and not written is gone by the time that it is done again.
    expect((results['replayed'] ?? 0) + (results['gone'] ?? 0) + (results['already'] ?? 0)).toBe(200);
    expect(results['replayed']).toBeGreaterThanOrEqual(100);
    await until(() => copies(api).length >= 200, { what: 'all mails', timeoutMs: 90_000 });
    expect(copies(api)).toHaveLength(200);
    expect(new Set(copies(api)).size).toBe(200);
    expect((await api.ask('/v1/dead-letters', { port })).body.items).toEqual([]);
  },
);

test(
  'Redis away in the middle of an operation: it goes on by itself once Redis is back, and no message is sent twice',
  { timeout: 180_000 },
  async () => {
    const redis = await startPrivateRedis({ appendfsync: 'always' });
    onTestFinished(() => redis.stop());
    const env = { REDIS_URL: redis.url };
    const api = await serveApi({ env });
    await api.here.worker({ env });
    const planter = connectFailFast({ url: redis.url }, 30_000);
    planter.on('error', () => undefined);
    await whenReady(planter, 30_000);
    await plantDead(api.prefix, letters(120), 0, planter);
    planter.disconnect();
    const begun = await api.post('/v1/dead-letters/replay', { all: true, count: 120, ratePerSecond: 60 });
    const at = `/v1/operations/${begun.body.id}`;
    await until(async () => (await api.ask(at)).body.done >= 30, { what: 'some to be done' });
    await redis.kill();
    expect((await api.ask(at)).status).toBe(503);
    await redis.restart();
    const results = await ended(api, begun.body.id, api.port);
    expect(Object.values(results).reduce((sum, each) => sum + each, 0)).toBe(120);
    await until(() => copies(api).length >= 120, { what: 'all mails', timeoutMs: 90_000 });
    expect(new Set(copies(api)).size).toBe(120);
    expect(copies(api)).toHaveLength(120);
  },
);

test('two people who replay one letter by two connectors at once: one copy', async () => {
  const prefix = testPrefix();
  const ids = await plantDead(prefix, letters(20));
  const operators = [await testOperator(prefix), await testOperator(prefix)];
  const { recorded } = await startWorker({ prefix, config: configOf({ relay: {}, other: {} }) });
  const answers = await Promise.all(
    ids.flatMap((id) =>
      operators.map((operator, i) =>
        operator.as({ ...opsDesk, by: `p${i}` }, config).replay(id, { via: i === 0 ? 'other' : 'relay', reason: null }),
      ),
    ),
  );
  expect(answers.every((answer) => ['replayed', 'already', 'not-found'].includes(answer))).toBe(true);
  const mails = () => [...recorded('relay').mails, ...recorded('other').mails].map(({ id }) => id);
  await until(() => mails().length >= 20, { what: 'all to be sent' });
  const producer = testProducer(prefix);
  for (const id of ids) await until(async () => (await producer.status(id))?.state === 'sent', { what: id });
  expect(mails().toSorted()).toEqual(ids.toSorted());
});

test('two people who resolve one held message at once: one decides, and the other hears so', async () => {
  const prefix = testPrefix();
  const retry = { ...testRetry, onUncertain: 'hold' } as const;
  const script = Array.from({ length: 10 }, () => 'uncertain' as const);
  const { recorded } = await startWorker({
    prefix,
    config: configOf({ relay: { retry } }),
    scripts: { relay: script },
  });
  const producer = testProducer(prefix);
  const ids = Array.from({ length: 10 }, (_, i) => `held-${i}`);
  for (const id of ids) await producer.send({ id, from: 'a@example.com', to: `${id}@example.net`, text: 'x' });
  for (const id of ids)
    await until(async () => (await producer.status(id))?.state === 'held', { what: `${id} to be held` });
  const [one, two] = [await testOperator(prefix), await testOperator(prefix)];
  const answers = await Promise.all(
    ids.map((id) =>
      Promise.all([
        one.as(opsDesk, config).resolve(id, 'sent', null),
        two.as({ ...opsDesk, by: 'ops-night' }, config).resolve(id, 'retry', null),
      ]),
    ),
  );
  expect(answers.map((pair) => pair.filter(Boolean).length)).toEqual(ids.map(() => 1));
  const retried = answers.filter(([, second]) => second).length;
  for (const id of ids)
    await until(async () => (await producer.status(id))?.state === 'sent', { what: `${id} to be settled` });
  expect(recorded('relay').mails).toHaveLength(10 + retried);
  const { items } = await one.audit.list({ action: 'resolve' }, null, 50);
  expect(items.filter(({ result }) => result === 'refused')).toHaveLength(10);
});

test('a message that is settled in the moment in which it is sent now, cancelled or dropped has one end, and one copy', async () => {
  const prefix = testPrefix();
  const retry = { ...testRetry, firstDelayMs: 3_600_000, maxDelayMs: 3_600_000 };
  const script = Array.from({ length: 10 }, () => 'deferred' as const);
  const { recorded } = await startWorker({
    prefix,
    config: configOf({ relay: { retry } }),
    scripts: { relay: script },
  });
  const producer = testProducer(prefix);
  const ids = Array.from({ length: 10 }, (_, i) => `m${i}`);
  for (const id of ids) await producer.send({ id, from: 'a@example.com', to: `${id}@example.net`, text: 'x' });
  for (const id of ids)
    await until(async () => (await producer.status(id))?.state === 'deferred', { what: `${id} to be deferred` });
  const actions = (await testOperator(prefix)).as(opsDesk, config);
  const answers = await Promise.all(
    ids.map((id) => Promise.all([actions.sendNow(id), actions.sendNow(id), actions.cancel(id)])),
  );
  for (const [i, [first, second, cancelled]] of answers.entries()) {
    const id = ids[i]!;
    const { state } = await until(
      async () => {
        const status = await producer.status(id);
        return status?.state === 'sent' || status?.state === 'cancelled' ? status : null;
      },
      { what: `${id} to end` },
    );
    expect(state).toBe(cancelled ? 'cancelled' : 'sent');
    expect([first, second].filter((answer) => answer === 'ok').length).toBeLessThanOrEqual(1);
    expect(recorded('relay').mails.filter((mail) => mail.id === id)).toHaveLength(state === 'sent' ? 2 : 1);
  }
});

test('an operation that is begun twice by two people replays each letter once', async () => {
  const prefix = testPrefix();
  await plantDead(prefix, letters(60));
  const [one, two] = [await testOperator(prefix), await testOperator(prefix)];
  const { recorded } = await startWorker({ prefix, config: configOf({ relay: {}, other: {} }) });
  runnerOf(one, config);
  runnerOf(two, config);
  const ask = {
    kind: 'replay',
    choice: { by: 'filter', filter: {} },
    via: null,
    ratePerSecond: null,
    reason: null,
  } as const;
  const begun = await Promise.all([one, two].map((operator) => operator.as(opsDesk, config).begin(ask)));
  for (const answer of begun) {
    if (!answer.ok) continue;
    await until(async () => (await one.operations.get(answer.operation.id))?.state === 'done', { what: 'both to end' });
  }
  await until(() => recorded('relay').mails.length >= 60, { what: 'all to be sent' });
  const producer = testProducer(prefix);
  for (const { id } of recorded('relay').mails.slice(0, 60))
    await until(async () => (await producer.status(id))?.state === 'sent', { what: id });
  expect(new Set(recorded('relay').mails.map(({ id }) => id)).size).toBe(recorded('relay').mails.length);
});
