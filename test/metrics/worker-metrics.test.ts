/** What a worker counts, by its events; and that no series comes with a connector, a reply or a word of a server. */
import { expect, test } from 'vitest';
import { createMetrics, type Metrics } from '../../src/metrics/metrics.ts';
import type { WorkerEvent } from '../../src/worker/events.ts';

const health = { ok: true, live: true, redis: 'ready', idleForMs: 250 };
const load = { slots: 64, slotsBusy: 3, bytesInFlight: 10, maxBytesInFlight: 100, sessions: 2, redisReconnects: 4 };
const shown = { ready: true, redisUp: true, worker: { health, load } };

function counting(): { metrics: Metrics; read: () => Promise<Map<string, number>> } {
  const transports: Record<string, string> = { relay: 'smtp', sales: 'graph', own: 'carrier-pigeon' };
  const transportOf = (id: string): string | null => transports[id] ?? null;
  const metrics = createMetrics({ version: '1.2.3', worker: { transportOf }, fleet: null, now: () => 5_000 });
  const read = async () => samplesOf((await metrics.show(shown)).text);
  return { metrics, read };
}

/** `name{labels}` → value. */
function samplesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

const attempt: WorkerEvent & { event: 'attempt' } = {
  event: 'attempt',
  id: 'm1',
  connector: 'relay',
  priority: 'normal',
  outcome: 'partial',
  waitMs: 40,
  durationMs: 300,
  server: null,
  bytes: 5_000,
  accepted: 2,
  deferred: 1,
  rejected: 0,
  uncertain: 0,
};
const sent: WorkerEvent & { event: 'sent' } = {
  event: 'sent',
  id: 'm1',
  connector: 'relay',
  priority: 'high',
  state: 'sent',
  attempt: 1,
  recipients: 2,
  durationMs: 300,
  latencyMs: 4_000,
  reply: '250 ok',
};

test('an attempt counts once, its recipients by what the server said, and its times and size', async () => {
  const { metrics, read } = counting();
  metrics.onEvent(attempt);
  const samples = await read();
  expect(samples.get('postlane_attempts_total{transport="smtp",outcome="partial"}')).toBe(1);
  expect(samples.get('postlane_attempts_total{transport="graph",outcome="partial"}')).toBe(0);
  expect(samples.get('postlane_recipients_total{outcome="accepted"}')).toBe(2);
  expect(samples.get('postlane_recipients_total{outcome="deferred"}')).toBe(1);
  expect(samples.get('postlane_attempt_duration_seconds_bucket{le="0.25",transport="smtp"}')).toBe(0);
  expect(samples.get('postlane_attempt_duration_seconds_bucket{le="0.5",transport="smtp"}')).toBe(1);
  expect(samples.get('postlane_message_bytes_sum{transport="smtp"}')).toBe(5_000);
  expect(samples.get('postlane_queue_wait_seconds_sum{priority="normal"}')).toBe(0.04);
});

test('an attempt that did not begin has no times', async () => {
  const { metrics, read } = counting();
  metrics.onEvent({ ...attempt, outcome: 'fault', waitMs: null, durationMs: null });
  const samples = await read();
  expect(samples.get('postlane_attempts_total{transport="smtp",outcome="fault"}')).toBe(1);
  expect(samples.get('postlane_attempt_duration_seconds_count{transport="smtp"}')).toBe(0);
});

test('a message counts as settled when it is at its end, and its latency once', async () => {
  const { metrics, read } = counting();
  metrics.onEvent({ ...sent, state: 'deferred' });
  metrics.onEvent({ ...sent, latencyMs: null });
  const dead = { event: 'dead', id: 'm2', connector: null, recipients: 1, code: null, reply: null } as const;
  metrics.onEvent({ ...dead, state: 'partial', reason: 'rejected' });
  const samples = await read();
  expect(samples.get('postlane_messages_settled_total{state="sent"}')).toBe(1);
  expect(samples.get('postlane_messages_settled_total{state="partial"}')).toBe(1);
  expect(samples.get('postlane_dead_letters_total{reason="rejected"}')).toBe(1);
  expect(samples.get('postlane_delivery_latency_seconds_count{priority="high"}')).toBe(1);
  expect(samples.get('postlane_delivery_latency_seconds_sum{priority="high"}')).toBe(4);
});

test('what a worker has in hand is that of the scrape', async () => {
  const { read } = counting();
  const samples = await read();
  const values = ['slots', 'slots_busy', 'sessions_open', 'redis_reconnects_total', 'loop_idle_seconds', 'ready'];
  expect(values.map((name) => samples.get(`postlane_${name}`))).toEqual([64, 3, 2, 4, 0.25, 1]);
  expect(samples.get(`postlane_build_info{version="1.2.3",node="${process.version}"}`)).toBe(1);
  expect((await read()).get('postlane_redis_reconnects_total')).toBe(4);
});

test('what every program shows is that of the scrape', async () => {
  const { read } = counting();
  const names = ['process_cpu_seconds_total', 'nodejs_eventloop_active_seconds_total', 'process_resident_memory_bytes'];
  const [before, after] = [await read(), await read()];
  for (const name of names) expect(before.get(name)).toBeGreaterThan(0);
  expect(after.get('process_cpu_seconds_total')).toBeGreaterThanOrEqual(before.get('process_cpu_seconds_total') ?? 0);
  expect(before.get('process_start_time_seconds')).toBeGreaterThan(1.7e9);
});

test('a configuration with mistakes is seen until a good one is read', async () => {
  const { metrics, read } = counting();
  const state = async () => (await read()).get('postlane_config_last_reload_successful');
  expect(await state()).toBe(1);
  metrics.onEvent({ event: 'config-rejected', mistakes: [] });
  expect(await state()).toBe(0);
  metrics.onEvent({ event: 'config-applied', worker: 'w', connectors: 1 });
  expect(await state()).toBe(1);
});

test('attack: 5,000 connectors and words of their servers make no series', async () => {
  const { metrics, read } = counting();
  const before = (await read()).size;
  for (let i = 0; i < 5_000; i += 1) {
    const connector = `connector-${i}`;
    metrics.onEvent({ ...attempt, connector });
    metrics.onEvent({ ...sent, connector, reply: `PLANTED ${i}` });
    metrics.onEvent({ event: 'routed', id: `m${i}`, connector, rule: `PLANTED ${i}` });
    const fault = { event: 'connector-fault', id: 'm', faults: 1, pauseMs: 1, concurrency: 1, code: null } as const;
    metrics.onEvent({ ...fault, connector, fault: `PLANTED ${i}`, messagesPerMinute: null, reply: null });
  }
  const samples = await read();
  const names = [...samples.keys()].join('\n');
  expect(names).not.toMatch(/PLANTED|connector-\d/);
  expect(samples.get('postlane_messages_routed_total{rule="other"}')).toBe(5_000);
  // Each list of values has `other` besides.
  expect(samples.size - before).toBeLessThan(40);
  expect(samples.size).toBeLessThan(300);
});
