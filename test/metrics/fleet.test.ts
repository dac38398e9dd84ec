/** The gauges of the fleet: what they say of lanes in every state, and that 5,000 connectors in trouble stay within the bound of series. */
import { spawnSync } from 'node:child_process';
import { expect, onTestFinished, test } from 'vitest';
import { openOperator, type Operator } from '../../src/admin/operator.ts';
import type { FleetQuestion, FleetSnapshot, LaneState } from '../../src/admin/fleet.ts';
import { defaultMessageLimits } from '../../src/message/message.ts';
import { createMetrics, type Metrics } from '../../src/metrics/metrics.ts';
import { openQueues } from '../../src/queue/open.ts';
import { createRecordingTransport } from '../../src/transport/recording.ts';
import { startWorker, configOf, testProducer } from '../support/postlane.ts';
import { redisUrl, shardCount, testConnection, testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';

async function operatorOf(prefix: string): Promise<Operator> {
  const redis = { url: redisUrl(), prefix, shards: shardCount() };
  const operator = await openOperator({ redis, timeoutMs: 10_000, limits: defaultMessageLimits });
  onTestFinished(() => operator.close());
  return operator;
}

const limits = { concurrency: 5, messagesPerMinute: null };
const sendersOf = (ids: readonly string[]): FleetQuestion['senders'] => ids.map((id) => ({ id, limits }));

/** `name{labels}` → value. */
async function shown(metrics: Metrics): Promise<Map<string, number>> {
  const { text } = await metrics.show({ ready: true, redisUp: true, worker: null });
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

function metricsOf(read: () => Promise<FleetSnapshot | null>, connectors = 500, now = Date.now): Metrics {
  const fleet = { read, connectors: () => connectors, credentials: () => [] };
  return createMetrics({ version: '1', worker: null, fleet, now });
}

test('a fleet that sends, waits, pauses and fails is shown as it is', async () => {
  const prefix = testPrefix();
  const down = {
    kind: 'connector-fault',
    fault: 'tls',
    reply: { code: null, enhancedCode: null, text: 'PLANTED' },
  } as const;
  const transports = {
    good: createRecordingTransport(),
    held: createRecordingTransport(),
    down: createRecordingTransport({ script: [() => down] }),
  };
  const address = (id: string) => ({ addresses: [`${id}@example.com`] });
  const quota = { ...limits, recipientsPerDay: 10 };
  const config = configOf({
    good: { ...address('good'), limits: quota },
    held: address('held'),
    down: address('down'),
  });
  await startWorker({ prefix, config, transports, timing: { pauseScale: 100 } });
  const operator = await operatorOf(prefix);
  await operator.lanes.pause('held');
  const from = (id: string, more = {}) => ({ from: `${id}@example.com`, to: 'a@example.net', text: 'x', ...more });
  const later = new Date(Date.now() + 3_600_000).toISOString();
  await testProducer(prefix).sendMany([
    from('good'),
    from('held'),
    from('held'),
    from('down'),
    from('good', { sendAt: later }),
  ]);
  const senders = [{ id: 'good', limits: quota }, ...sendersOf(['held', 'down', 'idle'])];
  let snapshot = await operator.fleet({ senders, most: 10 });
  const settled = async () => {
    snapshot = await operator.fleet({ senders, most: 10 });
    const { intake, waitingFor } = snapshot;
    return (
      intake?.waiting === 0 &&
      intake.active === 0 &&
      waitingFor.get('fault') === 1 &&
      waitingFor.get('pause') === 1 &&
      snapshot.unsettled === 3 &&
      snapshot.workers === 1
    );
  };
  await until(settled, { what: 'the router and the attempts' });
  expect(snapshot).toMatchObject({ deadLetters: 0, held: 0, workers: 1, due: 0, setAside: 0, omitted: 0 });
  expect(snapshot.intake?.delayed).toBe(1);
  expect(Object.fromEntries(snapshot.faults)).toEqual({ tls: 1 });
  // Trouble first, and no line for what is idle.
  expect(snapshot.lanes.map(({ connectorId }) => connectorId)).toEqual(['down', 'held']);
  const samples = await shown(metricsOf(() => Promise.resolve(snapshot)));
  const value = (name: string): number | undefined => samples.get(`postlane_${name}`);
  expect(value('connectors{waiting_for="fault"}')).toBe(1);
  expect(value('connectors{waiting_for="pause"}')).toBe(1);
  expect(value('connectors{waiting_for="work"}')).toBe(2);
  expect(value('connector_waiting_messages{connector="held"}')).toBe(2);
  expect(value('connector_paused{connector="held"}')).toBe(1);
  expect(value('connector_paused{connector="down"}')).toBeUndefined();
  expect(value('connector_breaker_open{connector="down",fault="tls"}')).toBe(1);
  expect(value('redis_aof_ok')).toBeDefined();
  expect(value('next_deadline_seconds')).toBeGreaterThan(3_000);
  expect([...samples.keys()].join()).not.toMatch(/PLANTED|idle"/);

  await operator.lanes.resume('held');
  await until(async () => (await operator.fleet({ senders, most: 10 })).unsettled === 1, { what: 'the held ones' });
});

test('what is known of a lane is the same as `connectors` says', async () => {
  const prefix = testPrefix();
  const operator = await operatorOf(prefix);
  const redis = testConnection();
  const { shards } = openQueues(redis, { prefix, shards: shardCount() });
  const transports = { relay: createRecordingTransport() };
  const { worker } = await startWorker({ prefix, config: configOf({ relay: {} }), transports });
  await testProducer(prefix).send({ from: 'a@example.com', to: 'b@example.net', text: 'x' });
  await until(() => transports.relay.mails.length === 1, { what: 'a message' });
  await worker.stop();
  // Refusals as the worker writes them: one that is open, one that was believed late, one that is temporary.
  const keys = shards.keysOf('relay');
  const note = (rest: object) => JSON.stringify({ first: 5, reply: 'a "late":true b', n: 1, ...rest });
  await redis.hset(keys.attribution('relay'), {
    'm:one': note({ class: '5' }),
    'm:two': note({ class: '5', late: true }),
    'm:three': note({ class: '4' }),
    'c:job': '1',
  });
  await redis.hset(keys.refusals('relay'), { rate: '2', at: String(Date.now()), sent: '1' });
  await operator.lanes.pause('relay');
  const [survey] = await operator.lanes.survey(['relay', 'never-seen']);
  const status = await operator.lanes.status('relay');
  expect(survey).toMatchObject({
    waiting: status.waiting,
    sent: status.sent,
    paused: status.paused,
    waitingFor: status.waitingFor,
    concurrency: status.concurrency,
    setAside: status.suspect?.setAside,
    oldestWaitingAt: status.oldestWaitingAt,
  });
  expect(survey?.setAside).toBe(1);
  expect(Math.floor((survey?.learnedPerSecond ?? 0) * 60)).toBe(status.learnedMessagesPerMinute);
});

test('due messages are those for which only a worker is missing: not more than a connector may send at once', async () => {
  const prefix = testPrefix();
  const redis = testConnection();
  const { shards } = openQueues(redis, { prefix, shards: shardCount() });
  const keys = shards.keysOf('relay');
  const list = (name: string) => keys.queue('lane-relay', name);
  await redis.sadd(keys.lanes, 'relay');
  await redis.hset(list('meta'), 'concurrency', '3');
  await redis.lpush(list('wait'), ...Array.from({ length: 8 }, (_, i) => `m${i}`));
  const operator = await operatorOf(prefix);
  const due = async () => (await operator.fleet({ senders: sendersOf(['relay']), most: 10 })).due;
  expect(await due()).toBe(3);
  await redis.lpush(list('active'), 'a1', 'a2');
  expect(await due()).toBe(1);
  await redis.lpush(list('active'), 'a3');
  expect(await due()).toBe(0);
  await redis.del(list('active'));
  await redis.hset(list('meta'), 'paused', '1');
  expect(await due()).toBe(0);
});

test('5,000 connectors in trouble stay under 6,000 series with two workers', async () => {
  const prefix = testPrefix();
  const redis = testConnection();
  const { shards } = openQueues(redis, { prefix, shards: shardCount() });
  const ids = Array.from({ length: 5_000 }, (_, i) => `connector-${i}`);
  const now = Date.now();
  const writes = redis.pipeline();
  for (const [i, id] of ids.entries()) {
    const keys = shards.keysOf(id);
    const job = `m${i}`;
    writes.sadd(keys.lanes, id).lpush(keys.queue(`lane-${id}`, 'wait'), job);
    writes.hset(keys.laneJob(id, job), 'timestamp', now - i);
    writes.hset(keys.queue(`lane-${id}`, 'meta'), { concurrency: '5', paused: '1' });
    writes.hset(keys.connector(id), { faults: '3', fault: 'auth', reply: 'PLANTED', until: String(now + 60_000) });
    writes.hset(keys.attribution(id), `m:${job}`, JSON.stringify({ class: '5', first: 1, reply: 'PLANTED' }));
    writes.hset(keys.refusals(id), { rate: '2', at: String(now), sent: '0' });
  }
  // What stands in Redis is not trusted to be a name.
  writes.sadd(shards.home.lanes, 'PLANTED{evil="1"}', 'x'.repeat(1_000));
  await writes.exec();
  const operator = await operatorOf(prefix);
  const quotas = { ...limits, recipientsPerDay: 1_000, bytesPerWindow: { bytes: 1_000, windowMs: 60_000 } };
  const senders = ids.map((id) => ({ id, limits: quotas }));
  const snapshot = await operator.fleet({ senders, most: 500 });
  const credentials = ids.map((connectorId, i) => ({ connectorId, endsAt: now + i * 86_400_000 }));
  const serve = createMetrics({
    version: '1',
    worker: null,
    fleet: { read: () => Promise.resolve(snapshot), connectors: () => 500, credentials: () => credentials },
  });
  const worker = createMetrics({ version: '1', worker: { transportOf: () => 'smtp' }, fleet: null });
  const [ofServe, ofWorker] = [await shown(serve), await shown(worker)];
  expect(ofServe.size + 2 * ofWorker.size).toBeLessThan(6_000);
  expect(ofServe.size).toBeGreaterThan(4_500);
  expect([...ofServe.keys()].join()).not.toMatch(/PLANTED|x{100}/);
  expect(ofServe.get('postlane_connectors_with_fault{fault="auth"}')).toBe(5_000);
  expect(ofServe.get('postlane_set_aside_messages')).toBe(5_000);
  // What has no series of its own is counted, and the sums have all.
  const own = [...ofServe.keys()].filter((key) => key.startsWith('postlane_connector_paused')).length;
  expect(ofServe.get('postlane_connectors_omitted')).toBe(5_000 - own);
  const credential = [...ofServe.keys()].filter((key) => key.startsWith('postlane_credential'));
  expect(credential).toHaveLength(100);
  expect(credential).toContain('postlane_credential_expiry_timestamp_seconds{connector="connector-99"}');
});

test('attack: what stands in the place of a key of one lane, or of the intake, hides no other lane', async () => {
  const prefix = testPrefix();
  const redis = testConnection();
  const { shards } = openQueues(redis, { prefix, shards: shardCount() });
  for (const id of ['good', 'bad']) {
    const keys = shards.keysOf(id);
    await redis.sadd(keys.lanes, id);
    await redis.lpush(keys.queue(`lane-${id}`, 'wait'), 'm1');
  }
  await redis.set(shards.keysOf('bad').queue('lane-bad', 'delayed'), 'no sorted set');
  await redis.hset(shards.home.queue('outbound', 'wait'), 'no', 'list');
  const operator = await operatorOf(prefix);
  const snapshot = await operator.fleet({ senders: sendersOf(['good', 'bad']), most: 10 });
  expect(snapshot.lanes.map(({ connectorId }) => connectorId)).toEqual(['good']);
  expect([snapshot.omitted, snapshot.intake]).toEqual([1, null]);
  expect([...(await shown(metricsOf(() => Promise.resolve(snapshot)))).keys()].join()).not.toContain('intake');
});

const idle: LaneState = {
  connectorId: '',
  fault: null,
  onFallback: false,
  waiting: 1,
  active: 0,
  delayed: 0,
  due: 0,
  paused: false,
  waitingFor: 'nothing',
  concurrency: 1,
  setAside: 0,
  learnedPerSecond: null,
  sent: 0,
  oldestWaitingAt: null,
  used: [],
};
const nothing: FleetSnapshot = {
  unsettled: 0,
  deadLetters: 0,
  held: 0,
  firstDeadlineAt: 1,
  intake: { waiting: 0, delayed: 0, active: 0 },
  workers: 1,
  due: 0,
  setAside: 0,
  oldestWaitingAt: null,
  waitingFor: new Map(),
  faults: new Map(),
  lanes: [],
  omitted: 0,
  events: { bytes: 0, entries: 0, dropped: 0 },
  webhooks: [],
  servers: null,
};

test('webhooks are shown with what was delivered, what waits, what was given up, and which are off; names that are none are not', async () => {
  const prefix = testPrefix();
  const { deliveries } = openQueues(testConnection(), { prefix, shards: shardCount() });
  const operator = await operatorOf(prefix);
  const now = Date.now();
  const delivery = (n: number) => {
    return { eventId: `0-${n}-0`, at: now - 90_000, type: 'message.sent', message: 'm', sequence: n, body: '{}' };
  };
  const [first, second, third] = [delivery(1), delivery(2), delivery(3)];
  await deliveries.add('crm', [first, second, third], false);
  await deliveries.note('crm', first, 'delivered', '');
  await deliveries.note('crm', second, 'failed', 'HTTP 500');
  await deliveries.note('crm', second, 'dead', 'HTTP 500');
  await deliveries.switchOff('erp', 'gone', 'HTTP 410');
  await deliveries.remember('no"id{');
  const read = () => operator.fleet({ senders: [], most: 500 });
  const samples = await shown(metricsOf(read, 500, () => now));
  const of = Object.fromEntries([...samples].filter(([name]) => name.startsWith('postlane_webhook_')));
  expect(of).toEqual({
    'postlane_webhook_deliveries_total{webhook="crm",outcome="delivered"}': 1,
    'postlane_webhook_deliveries_total{webhook="crm",outcome="failed"}': 1,
    'postlane_webhook_deliveries_total{webhook="crm",outcome="dead"}': 1,
    'postlane_webhook_open_deliveries{webhook="crm"}': 1,
    'postlane_webhook_oldest_seconds{webhook="crm"}': 90,
    'postlane_webhook_dead_letters{webhook="crm"}': 0,
    'postlane_webhook_deliveries_total{webhook="erp",outcome="delivered"}': 0,
    'postlane_webhook_deliveries_total{webhook="erp",outcome="failed"}': 0,
    'postlane_webhook_deliveries_total{webhook="erp",outcome="dead"}': 0,
    'postlane_webhook_open_deliveries{webhook="erp"}': 0,
    'postlane_webhook_oldest_seconds{webhook="erp"}': 0,
    'postlane_webhook_dead_letters{webhook="erp"}': 0,
    'postlane_webhook_off{webhook="erp",reason="gone"}': 1,
  });
});

test('a connector that is left out is one in less trouble', async () => {
  const lane = (connectorId: string, fault: string | null): LaneState => ({ ...idle, connectorId, fault });
  const lanes = [lane('bad', 'PLANTED'), lane('good', null)];
  const snapshot = {
    ...nothing,
    held: null,
    firstDeadlineAt: null,
    omitted: 3,
    faults: new Map([['PLANTED', 1]]),
    lanes,
  };
  const samples = await shown(metricsOf(() => Promise.resolve(snapshot), 1));
  expect(samples.get('postlane_connector_breaker_open{connector="bad",fault="other"}')).toBe(1);
  expect([...samples.keys()].filter((key) => key.includes('good'))).toEqual([]);
  expect(samples.get('postlane_connectors_omitted')).toBe(4);
  // What is not known is absent, and no 0.
  expect(samples.has('postlane_held_messages')).toBe(false);
  expect(samples.has('postlane_next_deadline_seconds')).toBe(false);
  expect(samples.has('postlane_redis_memory_used_bytes')).toBe(false);
});

test('while Redis is away the gauges of the fleet are absent, and nothing says that all is empty', async () => {
  let snapshot: FleetSnapshot | null = { ...nothing, unsettled: 7 };
  const metrics = metricsOf(() => Promise.resolve(snapshot));
  expect((await shown(metrics)).get('postlane_unsettled_messages')).toBe(7);
  snapshot = null;
  const samples = await shown(metrics);
  expect(samples.get('postlane_redis_up')).toBe(0);
  expect([...samples.keys()].filter((key) => /postlane_(?:unsettled|workers|connectors|due)/.test(key))).toEqual([]);
});

const promtool = spawnSync('promtool', ['--version']).error === undefined;

test.skipIf(!promtool)(
  'promtool reads what a worker and the fleet show, and finds no fault with it (needs promtool)',
  async () => {
    const lane = { ...idle, connectorId: 'relay', fault: 'auth', used: [{ quota: 'bytes', ratio: 0.5 }] } as const;
    const read = () => Promise.resolve({ ...nothing, lanes: [lane], faults: new Map([['auth', 1]]) });
    const credentials = () => [{ connectorId: 'relay', endsAt: 5 }];
    const fleet = { read, credentials, connectors: () => 500 };
    const metrics = createMetrics({ version: '1', worker: { transportOf: () => 'smtp' }, fleet });
    const { text } = await metrics.show({ ready: true, redisUp: true, worker: null });
    expect(text).toContain('postlane_connector_quota_used_ratio{connector="relay",quota="bytes"} 0.5');
    const { status, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  },
);
