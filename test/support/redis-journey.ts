/** Everything that is done to messages, over whatever Redis the settings name: for servers of every kind. */
import { expect } from 'vitest';
import type { RedisSettings } from '../../src/queue/redis/settings.ts';
import { configOf, startWorker, testOperator, testProducer } from './postlane.ts';
import { until } from '../../testkit/until.ts';

export interface Journey {
  readonly prefix: string;
  readonly acknowledge?: { readonly replicas: number };
  /** Default 1. */
  readonly shards?: number;
  /** One for each role: they may log in as different users. */
  readonly producer: RedisSettings;
  readonly worker: RedisSettings;
  readonly operator: RedisSettings;
}

/** The scheduler's own look for work comes every 2 s: what is quicker than that, time after time, was woken. */
const unwokenMs = 2_000;

/** Sends, wakes, cancels, kills, replays, pauses, resumes, examines; each with what must come of it. → what the doctor found, and the errors of the worker. */
export async function journey({
  prefix,
  shards = 1,
  acknowledge,
  ...roles
}: Journey): Promise<{ findings: unknown[]; errors: unknown[] }> {
  const as = {
    producer: { ...roles.producer, shards },
    worker: { ...roles.worker, shards },
    operator: { ...roles.operator, shards },
  };
  const producer = testProducer(prefix, { redis: as.producer, ...(acknowledge === undefined ? {} : { acknowledge }) });
  const operator = await testOperator(prefix, undefined, as.operator);
  const config = configOf({
    relay: {},
    sales: { addresses: ['sales@example.com'] },
    fussy: { addresses: ['fussy@example.com'] },
  });
  const { recorded, worker, of } = await startWorker({
    prefix,
    config,
    redis: as.worker,
    scripts: { fussy: ['rejected'] },
  });
  const state = (id: string, wanted: string): Promise<unknown> =>
    until(async () => (await producer.status(id))?.state === wanted, { what: `${id} to be ${wanted}` });
  const message = { from: 'sales@example.com', to: 'a@example.net', text: 'x' };

  // Twice as many as could come by without wake-ups in the time that they get.
  const began = performance.now();
  for (let i = 0; i < 4; i += 1) {
    await producer.send({ ...message, id: `woken-${i}` });
    await state(`woken-${i}`, 'sent');
  }
  expect(performance.now() - began).toBeLessThan(2 * unwokenMs);

  const file = { filename: 'a.bin', content: Buffer.alloc(200_000, 'large ') };
  await producer.send({ ...message, id: 'large', attachments: [file] });
  await state('large', 'sent');
  const many = Array.from({ length: 30 }, (_, i) => ({ ...message, id: `many-${i}`, from: `x${i}@other.example` }));
  expect((await producer.sendMany(many)).every(({ ok }) => ok)).toBe(true);
  await until(() => recorded('relay').mails.length === 30, { what: 'many to be sent' });
  expect(await producer.send({ ...message, id: 'large' })).toEqual({ id: 'large', duplicate: true });

  const sendAt = new Date(Date.now() + 3_600_000);
  await producer.send({ ...message, id: 'later', sendAt });
  expect((await producer.status('later'))?.state).toBe('scheduled');
  expect(await producer.cancel('later')).toBe(true);
  expect((await producer.status('later'))?.state).toBe('cancelled');

  await producer.send({ ...message, id: 'dead', from: 'fussy@example.com', attachments: [file] });
  await state('dead', 'dead');
  const letters = [];
  for await (const letter of operator.deadLetters.list({})) letters.push(letter);
  expect(letters).toMatchObject([{ id: 'dead', reason: 'rejected', connector: 'fussy' }]);
  expect(await operator.replay('dead', { via: 'sales', now: Date.now(), lifetimeMs: 60_000 })).toBe('replayed');
  await state('dead', 'sent');
  expect(await producer.status('dead')).toMatchObject({ connector: 'sales', attempts: 2 });
  expect(await operator.deadLetters.count()).toBe(0);

  await operator.lanes.pause('sales');
  await producer.send({ ...message, id: 'held-up' });
  await until(async () => (await operator.lanes.status('sales')).waiting === 1, { what: 'it to wait' });
  await operator.lanes.resume('sales');
  await state('held-up', 'sent');
  expect((await operator.lanes.known()).sort()).toEqual(['fussy', 'relay', 'sales']);
  expect(await operator.intakeCounts()).toEqual({ waiting: 0, delayed: 0, active: 0 });
  const limits = { concurrency: 1, messagesPerMinute: null, recipientsPerDay: 10 };
  const fleet = await operator.fleet({ senders: [{ id: 'sales', limits }], most: 5 });
  expect(fleet).toMatchObject({ intake: { waiting: 0 }, held: 0, workers: 1, omitted: 0 });
  expect(fleet.servers?.usedBytes).toBeGreaterThan(0);

  const findings = operator.diagnose({
    fix: false,
    now: Date.now,
    senders: config.connectors.map(({ id }) => id),
    lifetimeMs: 60_000,
    retentionMs: 60_000,
    lookAgainMs: 50,
  });
  const found = [];
  for await (const finding of findings) found.push(finding);
  expect(worker.health()).toMatchObject({ ok: true, redis: 'ready' });
  return { findings: found, errors: of('error') };
}

/** What a journey without trouble ends with. */
export const untroubled = { findings: [], errors: [] };
