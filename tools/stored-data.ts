/**
 * node tools/stored-data.ts FILE: stores messages in every state with this release, and writes what Redis has then.
 *
 * A release keeps the file as test/system/stored/N.json, N being the version of its stored form; test/system/upgrade.test.ts starts
 * later releases from it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { openOperator } from '../src/admin/operator.ts';
import { defaultMessageLimits } from '../src/message/message.ts';
import type { OutboundMessage } from '../src/message/outbound.ts';
import { createProducer } from '../src/producer/producer.ts';
import { defaultPrefix, intakeName, jobName } from '../src/queue/redis/keys.ts';
import { createRecordingTransport, type RecordingStep } from '../src/transport/recording.ts';
import type { Outcome } from '../src/transport/transport.ts';
import type { ConnectorConfig, WorkerConfig } from '../src/worker/settings.ts';
import { createWorker } from '../src/worker/worker.ts';
import { startPrivateRedis } from '../testkit/redis.ts';
import { readStored } from '../testkit/stored-data.ts';
import { until } from '../testkit/until.ts';

const hourMs = 3_600_000;
const retry = { firstDelayMs: hourMs, maxDelayMs: 2 * hourMs, lifetimeMs: 24 * hourMs, onUncertain: 'retry' } as const;
const fault: Outcome = {
  kind: 'connector-fault',
  fault: 'throttled',
  reply: { code: '421', enhancedCode: '4.7.0', text: 'slow down' },
  pauseMs: hourMs,
};

/** What each connector's server answers; after the last step it accepts. */
const servers: Readonly<Record<string, { steps: readonly RecordingStep[]; change?: Partial<ConnectorConfig> }>> = {
  good: { steps: [], change: { limits: { concurrency: 1, messagesPerMinute: 600, recipientsPerDay: 100 } } },
  deferring: { steps: ['deferred'] },
  refusing: { steps: ['rejected', 'rejected'] },
  doubtful: { steps: ['uncertain', 'uncertain'], change: { retry: { ...retry, onUncertain: 'hold' } } },
  throttling: { steps: [fault] },
  paused: { steps: [] },
  small: { steps: [], change: { limits: { concurrency: 1, messagesPerMinute: null, maxBytes: 1_000 } } },
  // Never answers: its attempt is open when Redis is read.
  hanging: { steps: [() => new Promise<Outcome>(() => undefined)] },
  half: { steps: [(mail) => halfOf(mail.envelope.to)] },
};

function halfOf(to: readonly string[]): Outcome {
  const recipients = to.map((address, at) => ({
    address,
    outcome: at % 2 === 0 ? ('accepted' as const) : ('rejected' as const),
    scope: 'recipient' as const,
    reply: { code: at % 2 === 0 ? '250' : '550', enhancedCode: null, text: 'as told' },
  }));
  return { kind: 'settled', recipients };
}

async function main([file, url]: readonly string[]): Promise<number> {
  if (file === '--fill' && url !== undefined) {
    await fill(url);
    // As if it were killed: an attempt is open, and stays so.
    process.exit(0);
  }
  if (file === undefined) {
    process.stderr.write('usage: node tools/stored-data.ts FILE\n');
    return 2;
  }
  const server = await startPrivateRedis();
  try {
    const filling = spawn(process.execPath, [fileURLToPath(import.meta.url), '--fill', server.url], {
      stdio: 'inherit',
    });
    const [code] = (await once(filling, 'exit')) as [number | null];
    if (code !== 0) return 1;
    await fillIntake(server.url);
    const redis = new Redis(server.url);
    const stored = await readStored(redis, defaultPrefix, Date.now());
    redis.disconnect();
    writeFileSync(file, `${JSON.stringify(stored, null, 1)}\n`);
    process.stdout.write(`${stored.keys.length} keys in ${file}\n`);
    return 0;
  } finally {
    await server.stop();
  }
}

/** Larger than what travels in jobs. */
const attachment = { filename: 'a.bin', content: Buffer.alloc(70_000, 'stored ') };

const mail = (id: string, connector: string, change: Partial<OutboundMessage> = {}): OutboundMessage => ({
  id,
  from: `app@${connector}.test`,
  to: [`${id}.0@example.net`, `${id}.1@example.net`],
  subject: id,
  text: `This is ${id}.`,
  ...change,
});

/** Ends with messages in every state, and without waiting for the attempt that is open. */
async function fill(url: string): Promise<void> {
  const at = { url, prefix: defaultPrefix };
  const producer = createProducer({ redis: at });
  const operator = await openOperator({ redis: at, timeoutMs: 10_000, limits: defaultMessageLimits });
  const worker = createWorker({
    redis: at,
    config: configuration(),
    createTransport: ({ id }) => createRecordingTransport({ script: servers[id]?.steps ?? [] }),
    listeners: [],
    name: 'stored',
  });
  await worker.start();
  await operator.lanes.pause('paused');
  const inState = async (id: string, ...states: string[]): Promise<void> => {
    await until(async () => states.includes((await producer.status(id))?.state ?? ''), {
      what: `${id}: ${states.join(', ')}`,
    });
  };
  for (const [id, connector, ...states] of [
    ['sent', 'good', 'sent'],
    ['deferred', 'deferring', 'deferred'],
    ['rejected', 'refusing', 'dead'],
    ['held', 'doubtful', 'held'],
    ['too-large', 'small', 'dead'],
    ['no-route', 'unknown', 'dead'],
    ['half', 'half', 'partial'],
    ['open', 'hanging', 'sending'],
  ] as const) {
    const change = id === 'too-large' ? { text: 'x'.repeat(2_000) } : {};
    await producer.send(mail(id, connector, change));
    await inState(id, ...states);
  }
  await producer.send(mail('dropped', 'doubtful'));
  await inState('dropped', 'held');
  await operator.resolve('dropped', 'drop', { now: Date.now(), lifetimeMs: hourMs, retentionMs: hourMs });
  await producer.send(mail('throttled', 'throttling'));
  await until(async () => (await operator.lanes.status('throttling')).faults !== null, { what: 'the fault' });
  for (const priority of ['high', 'normal', 'low'] as const) {
    await producer.send(mail(`waiting-${priority}`, 'paused', { priority }));
    await inState(`waiting-${priority}`, 'queued');
  }
  await producer.send(mail('with-content', 'paused', { attachments: [attachment] }));
  await inState('with-content', 'queued');
  await producer.send(mail('cancelled', 'paused'));
  await inState('cancelled', 'queued');
  await producer.cancel('cancelled');
  await producer.send(mail('expiring', 'paused', { expiresAt: new Date(Date.now() + hourMs) }));
  await inState('expiring', 'queued');
  await producer.send(mail('later', 'good', { sendAt: new Date(Date.now() + hourMs) }));
  await until(async () => (await operator.intakeCounts()).delayed === 1, { what: 'the delayed message' });
}

/** What no worker has seen: with a number and a word as ids, with a content, and one that is no message. */
async function fillIntake(url: string): Promise<void> {
  const producer = createProducer({ redis: { url, prefix: defaultPrefix } });
  await producer.send(mail('42', 'good'));
  await producer.send(mail('wait', 'good', { priority: 'high' }));
  await producer.send(mail('new-content', 'good', { attachments: [attachment] }));
  await producer.close();
  const intake = new Queue(intakeName, { connection: { url }, prefix: defaultPrefix });
  await intake.add(jobName, { v: 1, message: 'not a message' }, { jobId: 'invalid' });
  await intake.close();
}

function configuration(): WorkerConfig {
  return {
    systemDefaultGateway: null,
    unmonitoredAddress: { address: 'system@good.test' },
    connectors: Object.entries(servers).map(([id, { change }]): ConnectorConfig => ({
      id,
      direction: 'outgoing',
      addresses: [`*@${id}.test`],
      transport: {},
      limits: { concurrency: 1, messagesPerMinute: null },
      retry,
      ...change,
    })),
    message: defaultMessageLimits,
    retry,
    retention: { ledgerMs: 365 * 24 * hourMs, deadLetterMs: 365 * 24 * hourMs, deadLetterCount: 1_000 },
    worker: { slots: 20, drainMs: 100 },
  };
}

process.exitCode = await main(process.argv.slice(2));
