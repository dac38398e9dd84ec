/** Least privilege: with exactly the users of deploy/redis-users.acl everything works, nothing is refused, and little else is allowed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { startPrivateRedis } from '../../../testkit/redis.ts';
import type { RedisSettings } from '../../../src/queue/redis/settings.ts';
import { until } from '../../../testkit/until.ts';
import { configOf, startWorker, testOperator, testProducer } from '../../support/postlane.ts';
import { journey, untroubled } from '../../support/redis-journey.ts';
import { ownCluster } from '../../support/own-redis.ts';
import { adminConfig, opsDesk } from '../../support/operators.ts';
import { startReceiver } from '../../support/receiver.ts';
import { startWebhooks } from '../../../src/webhooks/webhooks.ts';
import { textOf } from '../../support/source.ts';

/** The deployed file, with an administrator besides, who stays away until the server is up. */
function aclFile(deployed = textOf('deploy/redis-users.acl')): string {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-acl-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const users = deployed.replace(/^user default off\n/m, '');
  const file = join(folder, 'users.acl');
  writeFileSync(file, `${users}user default on nopass ~* &* +@all\nuser admin on nopass ~* &* +@all\n`);
  return file;
}

const prefix = '{postlane}';
const retry = { firstDelayMs: 40, maxDelayMs: 200, lifetimeMs: 3_600_000, onUncertain: 'retry' } as const;

const refused = async (admin: Redis): Promise<unknown[]> => {
  const entries = (await admin.acl('LOG', 100)) as unknown[][];
  return entries.map((row) => row.slice(0, 10).join(' '));
};

const as = (role: string, servers: RedisSettings): RedisSettings => ({
  ...servers,
  username: `postlane-${role}`,
  password: `change-me-${role}`,
});

async function serverWithUsers(deployed?: string) {
  const server = await startPrivateRedis({ settings: ['--aclfile', aclFile(deployed)] });
  onTestFinished(() => server.stop());
  const admin = new Redis(server.port, '127.0.0.1', { username: 'admin', password: 'any' });
  onTestFinished(() => admin.disconnect());
  await admin.acl('SETUSER', 'default', 'off');
  return { admin, redis: { url: server.url }, port: server.port };
}

/** What an application does that does not cancel. */
async function send(redis: RedisSettings, shards = 1, acknowledge?: { readonly replicas: number }): Promise<void> {
  const about = { redis: { ...as('sender', redis), shards }, ...(acknowledge === undefined ? {} : { acknowledge }) };
  const producer = testProducer(prefix, about);
  const message = { from: 'sales@example.com', to: 'a@example.net', text: 'x' };
  const file = { filename: 'a.bin', content: Buffer.alloc(200_000, 'large ') };
  const later = new Date(Date.now() + 3_600_000);
  const many = [
    { ...message, id: 'by-sender' },
    { ...message, id: 'wait' },
    { ...message, priority: 'high' as const },
    { ...message, priority: 'low' as const },
    { ...message, attachments: [file] },
    { ...message, attachments: [file], id: 'by-sender-too' },
    { ...message, id: 'by-sender-later', sendAt: later },
  ];
  const results = await producer.sendMany(many);
  expect(results).toEqual(many.map(() => expect.objectContaining({ ok: true, duplicate: false })));
  expect((await producer.status('by-sender-later'))?.state).toBe('scheduled');
  expect((await producer.waitFor('by-sender-too')).state).toBe('sent');
  expect(await producer.send({ ...message, id: 'by-sender' })).toEqual({ id: 'by-sender', duplicate: true });
  const keyed = await producer.send(message, { idempotencyKey: 'order-1' });
  expect(await producer.send(message, { idempotencyKey: 'order-1' })).toEqual({ id: keyed.id, duplicate: true });
  const own = { ...message, id: 'by-sender-keyed' };
  expect((await producer.send(own, { idempotencyKey: 'order-2' })).duplicate).toBe(false);
  expect((await producer.send(own, { idempotencyKey: 'order-2' })).duplicate).toBe(true);
  expect(await producer.status('unknown')).toBeNull();
}

/** A producer cancels wherever a message can be: in the intake and in a lane, each waiting in every way. */
async function cancel(admin: Redis, redis: RedisSettings, shards: number): Promise<void> {
  const producer = testProducer(prefix, { redis: { ...as('producer', redis), shards } });
  const operator = await testOperator(prefix, undefined, { ...as('operator', redis), shards });
  const file = { filename: 'a.bin', content: Buffer.alloc(200_000, 'cancel ') };
  const messages = (place: string, from: string) =>
    (['high', 'normal', 'low'] as const).map((priority) => {
      return { id: `${place}-${priority}`, from, to: 'a@example.net', text: 'x', priority, attachments: [file] };
    });
  const sendAt = new Date(Date.now() + 3_600_000);
  const inIntake = [
    ...messages('intake', 'sales@example.com'),
    { ...messages('later', 'sales@example.com')[0]!, sendAt },
  ];
  const cancelAll = async (ids: readonly string[]): Promise<void> => {
    expect(await Promise.all(ids.map((id) => producer.cancel(id)))).toEqual(ids.map(() => true));
    const rows = await Promise.all(ids.map((id) => producer.status(id)));
    expect(rows.map((row) => row?.state)).toEqual(ids.map(() => 'cancelled'));
  };
  await producer.sendMany(inIntake);
  await cancelAll(inIntake.map(({ id }) => id));

  const config = configOf({
    relay: {},
    sales: { addresses: ['sales@example.com'] },
    slow: { addresses: ['slow@example.com'], retry: { ...retry, firstDelayMs: 3_600_000, maxDelayMs: 3_600_000 } },
  });
  const scripts = { slow: ['deferred', 'deferred', 'deferred'] as const };
  await operator.lanes.pause('sales');
  await startWorker({ prefix, config, scripts, redis: { ...as('worker', redis), shards } });
  const [inLane, deferred] = [messages('lane', 'sales@example.com'), messages('deferred', 'slow@example.com')];
  await producer.sendMany([...inLane, ...deferred]);
  const waiting = async (id: string): Promise<number> => {
    const status = await operator.lanes.status(id);
    return id === 'slow' ? status.delayed : status.waiting;
  };
  await until(async () => (await waiting('sales')) + (await waiting('slow')) === 6, { what: 'them to wait' });
  // Of a row with a long history, the oldest entries go.
  for (const row of await admin.keys('*:ledger:lane-normal')) await admin.hset(row, 'n', '150');
  await cancelAll([...inLane, ...deferred].map(({ id }) => id));
  expect((await waiting('sales')) + (await waiting('slow'))).toBe(0);
  await operator.lanes.resume('sales');
}

test('a single server with these users carries everything, and refuses nothing', async () => {
  const { admin, redis } = await serverWithUsers();
  const roles = {
    producer: as('producer', redis),
    worker: as('worker', redis),
    operator: as('operator', redis),
  };
  expect(await journey({ prefix, ...roles })).toEqual(untroubled);
  await send(redis);
  expect(await refused(admin)).toEqual([]);
});

test.each([1, 12])(
  'an application cancels with these users wherever a message can be, over %i shards',
  async (shards) => {
    const { admin, redis } = await serverWithUsers();
    await cancel(admin, redis, shards);
    expect(await refused(admin)).toEqual([]);
  },
);

test('a Cluster with these users carries everything, and refuses nothing', async () => {
  const { urls, nodes } = await ownCluster(['--aclfile', aclFile()]);
  const redis = { cluster: { nodes: urls } };
  const acknowledge = { replicas: 1 };
  const roles = {
    producer: as('producer', redis),
    worker: as('worker', redis),
    operator: as('operator', redis),
  };
  // The number of the last shard has two digits.
  expect(await journey({ prefix, shards: 12, acknowledge, ...roles })).toEqual(untroubled);
  await send(redis, 12, acknowledge);
  for (const { admin } of nodes) expect(await refused(admin)).toEqual([]);
});

test('webhooks are served by the operator of the file: delivered, refused, given up and replayed, and Redis refuses nothing', async () => {
  const { admin, redis } = await serverWithUsers();
  const receiver = await startReceiver();
  let status = 500;
  receiver.react = () => status;
  const settings = { ...as('operator', redis), prefix };
  const endpoints = [receiver.endpoint({ ordered: true })];
  const told: string[] = [];
  const webhooks = startWebhooks({ redis: settings, endpoints, tell: ({ event }) => told.push(event), leaseMs: 1_000 });
  onTestFinished(() => webhooks.close());
  const operator = await testOperator(prefix, undefined, as('operator', redis));
  const actions = operator.as(opsDesk, adminConfig({ relay: {} }));
  await until(async () => (await admin.hlen(`${prefix}:events:consumers`)) === 1, { what: 'it to be registered' });
  await startWorker({ prefix, config: configOf({ relay: {} }), redis: as('worker', redis) });
  const producer = testProducer(prefix, { redis: as('producer', redis) });
  await producer.send({ id: 'm', from: 'a@example.com', to: 'b@example.net', text: 'x' });
  await until(() => told.includes('webhook-failed'), { what: 'a failure' });
  status = 429;
  const queue = new Queue('hook-crm', { connection: admin, prefix });
  onTestFinished(() => queue.close());
  await until(
    async () => {
      await queue.promoteJobs();
      return told.includes('webhook-dead');
    },
    { what: 'a dead letter' },
  );
  status = 204;
  expect(await actions.retryWebhook('crm', null)).toBe(1);
  await until(() => told.includes('webhook-recovered'), { what: 'the delivery' });
  status = 410;
  await producer.send({ id: 'n', from: 'a@example.com', to: 'b@example.net', text: 'x' });
  await until(() => told.includes('webhook-off'), { what: 'the end' });
  expect(await actions.enableWebhook('crm')).toBe(true);
  status = 204;
  await until(() => receiver.received.at(-1)?.body.data['id'] === 'n', { what: 'what was open' });
  await webhooks.close();
  expect([await refused(admin), receiver.refused]).toEqual([[], []]);
});

test('an application that only sends needs nobody before it: the first command on an empty Redis is its own', async () => {
  const { admin, redis } = await serverWithUsers();
  const producer = testProducer(prefix, { redis: as('sender', redis) });
  await producer.send({ id: 'first', from: 'a@example.com', to: 'b@example.net', text: 'x' });
  expect((await producer.status('first'))?.state).toBe('queued');
  expect(await refused(admin)).toEqual([]);
});

/** `EVAL` as a way around: rights hold within scripts, whether they declare their keys or not. */
const undeclared = (command: string, ...args: string[]): string[] => {
  const values = args.map((_arg, i) => `ARGV[${i + 1}]`).join(', ');
  return ['EVAL', `return redis.call('${command}', ${values})`, '0', ...args];
};

const [content, letter, job] = ['{postlane}:content:x', '{postlane}:dead:x', '{postlane}:outbound:x'];

/** What no user may. */
const nobody: readonly (readonly string[])[] = [
  ['FLUSHALL'],
  ['FLUSHDB'],
  ['CONFIG', 'SET', 'appendonly', 'no'],
  ['CONFIG', 'GET', '*'],
  ['KEYS', '*'],
  ['CLIENT', 'KILL', 'ID', '1'],
  ['ACL', 'LIST'],
  ['MONITOR'],
  ['SCRIPT', 'FLUSH'],
  ['SHUTDOWN'],
  ['REPLICAOF', 'NO', 'ONE'],
  ['SUBSCRIBE', 'other'],
  ['HGETALL', 'other'],
  ...['{postlane-staging}', '{postlanes}', '{postlane0}', '{postlane1a}', '{postlane100}', 'postlane'].flatMap(
    (other) => [
      ['HGET', `${other}:outbound:x`, 'data'],
      ['HGETALL', `${other}:ledger:x`],
      undeclared('HSET', `${other}:outbound:x`, 'data', '{}'),
    ],
  ),
];

/** What no application may: stored contents and dead letters are not for reading, and workers' keys not for anything. */
const application: readonly (readonly string[])[] = [
  ...nobody,
  ['SCAN', '0'],
  ['SUBSCRIBE', '{postlane}:wake'],
  ['PUBLISH', '{postlane}:wake', 'x'],
  ['GET', content],
  ['GETRANGE', content, '0', '9'],
  ['SET', content, 'x', 'XX', 'GET'],
  ['GETDEL', content],
  ['GETEX', content],
  ['COPY', content, job],
  ['RENAME', content, job],
  ['EVAL', "return redis.call('GET', KEYS[1])", '1', content],
  ['EVAL_RO', "return redis.call('GET', KEYS[1])", '1', content],
  undeclared('GET', content),
  undeclared('SET', content, 'x', 'GET'),
  ['SMEMBERS', `${content}:refs`],
  ['ZRANGE', '{postlane}:contents', '0', '-1'],
  ['HGETALL', letter],
  ['DEL', letter],
  ['ZRANGE', '{postlane}:dead', '0', '-1'],
  ['ZRANGE', '{postlane}:ready', '0', '-1'],
  ['ZADD', '{postlane}:ready', '0', 'x'],
  ['HSET', '{postlane}:connector:x', 'until', '9'],
  ['DEL', '{postlane}:sessions'],
  ['SET', '{postlane}:place:x', '1'],
  ['SET', '{postlane}:shards', '9'],
  ['SET', job, 'x'],
];

const forbidden: Readonly<Record<string, readonly (readonly string[])[]>> = {
  sender: [
    ...application,
    ['DEL', job],
    ['LREM', '{postlane}:outbound:wait', '0', 'x'],
    ...['{postlane}', '{postlane7}', '{postlane63}'].flatMap((shard) => [
      ['HSET', `${shard}:ledger:x`, 'state', 'sent'],
      undeclared('HSET', `${shard}:ledger:x`, 'state', 'sent'),
      ['DEL', `${shard}:ledger:x`],
      ['ZADD', `${shard}:unsettled`, '0', 'x'],
      ['ZRANGE', `${shard}:unsettled`, '0', '-1'],
      ['HSET', `${shard}:lane-x:meta`, 'paused', '1'],
      ['HGETALL', `${shard}:lane-x:x`],
      ['ZADD', `${shard}:lane-x:prioritized`, '0', 'x'],
      ['LPUSH', `${shard}:lane-x:wait`, 'x'],
      undeclared('HMSET', `${shard}:lane-x:x`, 'data', '{}'),
    ]),
  ],
  producer: application,
  worker: nobody.concat([['SCAN', '0']]),
  operator: nobody,
};

test.each(Object.keys(forbidden))('the %s may do nothing but its work', async (role) => {
  const { admin, port } = await serverWithUsers();
  await admin.set(content, 'secret');
  const { username, password } = as(role, { url: '' });
  const client = new Redis(port, '127.0.0.1', { username: username!, password: password! });
  onTestFinished(() => client.disconnect());
  const allowed: string[] = [];
  for (const [command = '', ...args] of forbidden[role]!) {
    const answer = await client.call(command, ...args).then(JSON.stringify, String);
    if (!/NOPERM|The user executing the script can't/.test(answer))
      allowed.push(`${command} ${args.join(' ')} ${answer}`);
  }
  expect(allowed).toEqual([]);
  expect(await admin.get(content)).toBe('secret');
});

test('with another prefix, the substitution of docs/operations.md makes the same file', async () => {
  const substitution = /sed 's\/([^/]+)\/([^/]+)\/g' deploy\/redis-users\.acl/.exec(textOf('docs/operations.md'))!;
  const file = textOf('deploy/redis-users.acl').replaceAll(substitution[1]!, substitution[2]!);
  expect(file).not.toContain('{postlane');
  const { admin, redis } = await serverWithUsers(file);
  const producer = testProducer('{mail}', { redis: as('sender', redis) });
  await producer.send({ id: 'first', from: 'a@example.com', to: 'b@example.net', text: 'x' });
  expect(await refused(admin)).toEqual([]);
});
