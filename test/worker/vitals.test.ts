/** Liveness: when a restart would help, and when it would only do harm. */
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { createVitals } from '../../src/worker/vitals.ts';
import { testConnection } from '../support/redis.ts';

const start = 1_000_000;

/** A real connection, and a clock and a loop that stand where the test puts them. */
async function setUp() {
  const redis = testConnection({ lazyConnect: true });
  const at = { now: start, turned: 0 };
  const vitals = createVitals({
    redis,
    scheduler: { running: () => 2, lastTurnAt: () => at.turned },
    sessions: { held: () => 1 },
    budget: { held: () => 5 },
    slots: 8,
    maxBytesInFlight: () => 100,
    now: () => at.now,
  });
  await redis.connect();
  return { redis, at, vitals };
}

test('a loop that stands still although Redis is there is hanging, after 90 seconds', async () => {
  const { at, vitals } = await setUp();
  at.turned = start;
  at.now = start + 90_000;
  expect(vitals.health()).toMatchObject({ ok: false, live: true });
  at.now = start + 90_001;
  expect(vitals.health()).toMatchObject({ ok: false, live: false });
  at.turned = at.now;
  expect(vitals.health()).toMatchObject({ ok: true, live: true, redis: 'ready', idleForMs: 0 });
});

test('a worker that waits for its first turn is live for as long as it takes', async () => {
  const { at, vitals } = await setUp();
  at.now = start + 3_600_000;
  expect(vitals.health()).toMatchObject({ ok: false, live: true });
});

test('a loop that waits for Redis is live, and has its time again once Redis is back', async () => {
  const { redis, at, vitals } = await setUp();
  at.turned = start;
  const closed = once(redis, 'close');
  redis.disconnect();
  await closed;
  at.now = start + 3_600_000;
  expect(vitals.health()).toMatchObject({ ok: false, live: true });
  expect(vitals.load()).toMatchObject({ redisReconnects: 1 });
  await redis.connect();
  expect(vitals.health()).toMatchObject({ ok: false, live: true });
  at.now += 90_001;
  expect(vitals.health().live).toBe(false);
});

test('the load is what the parts hold', async () => {
  const { vitals } = await setUp();
  const held = { slots: 8, slotsBusy: 2, bytesInFlight: 5, maxBytesInFlight: 100, sessions: 1, redisReconnects: 0 };
  expect(vitals.load()).toEqual(held);
});
