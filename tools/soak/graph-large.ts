/**
 * node tools/soak/graph-large.ts: attachments of 1 to 149 MB through Graph, each upload cut twice, then four of 149 MB at once; what
 * arrived is compared byte for byte, and the memory of the worker is watched. One of 151 MB has to be refused.
 *
 * Needs 3 GB of memory: Redis, the producer and the fake hold everything, only the worker must not.
 */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { faults } from '../../testkit/graph/faults.ts';
import { startFakeGraph, type FakeGraph } from '../../testkit/graph/fake-graph.ts';
import { startPrivateRedis } from '../../testkit/redis.ts';
import { createProducer, type MessageStatus, type Producer } from '../../src/producer/producer.ts';

const megabyte = 1024 * 1024;
const mostMegabytes = 400;
const maxBytes = 400 * megabyte;
/** What Redis needs for 150 MB that come as one command. */
const patienceMs = 120_000;
const ends: readonly string[] = ['sent', 'partial', 'dead', 'held'];

process.exitCode = await main();

async function main(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-large-'));
  const redis = await startPrivateRedis();
  const graph = await startFakeGraph();
  const worker = startWorker(folder, redis.url, graph);
  const producer = createProducer({ redis: { url: redis.url }, message: { maxBytes }, timeoutMs: patienceMs });
  const results: boolean[] = [];
  const report = (good: boolean, text: string): void => {
    results.push(good);
    process.stdout.write(`${good ? '✓' : '✗'} ${text}\n`);
  };
  try {
    await worker.ready;
    process.stdout.write(`worker ${worker.pid} has ${worker.memory().now} MB at its start\n`);
    for (const size of [1, 2.9, 3.1, 20, 149]) {
      await sendAtOnce({ graph, producer, report }, [size]);
      process.stdout.write(`  worker: ${worker.memory().now} MB, ${worker.memory().most} MB at most\n`);
    }
    await sendAtOnce({ graph, producer, report }, [149, 149, 149, 149]);
    const { most } = worker.memory();
    report(most < mostMegabytes, `worker: ${most} MB at most with four of 149 MB at once`);
    const { row } = await send(producer, 'too-large', Buffer.alloc(151 * megabyte));
    const reply = row.recipients[0]?.reply;
    report(row.state === 'dead' && row.reason === 'too-large', `151 MB: ${row.state}, ${row.reason}: ${reply}`);
    report(worker.memory().most < mostMegabytes, `worker: ${worker.memory().most} MB at most after all`);
  } finally {
    await worker.stop();
    await producer.close();
    await graph.stop();
    await redis.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return results.every(Boolean) ? 0 : 1;
}

interface Tools {
  readonly graph: FakeGraph;
  readonly producer: Producer;
  readonly report: (good: boolean, text: string) => void;
}

/** One message for each size, all on their way at once, each upload cut twice. */
async function sendAtOnce({ graph, producer, report }: Tools, sizes: readonly number[]): Promise<void> {
  const before = graph.requests.length;
  const cuts = new Map<string, number>();
  const script = graph.script('uploadRange', ({ path }) => {
    const count = (cuts.get(path) ?? 0) + 1;
    cuts.set(path, count);
    if (count === 1) return faults.reset('mid-body');
    return count === 2 ? faults.reset('after-body') : null;
  });
  const startedAt = performance.now();
  const all = await Promise.all(
    sizes.map((size, at) => send(producer, `m-${before}-${at}`, randomBytes(Math.round(size * megabyte)))),
  );
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  script.clear();
  for (const [at, { row, hash, recipient }] of all.entries()) {
    const copies = graph.deliveries.filter((delivery) => delivery.recipient === recipient);
    const [attachment] = copies[0]?.message.attachments ?? [];
    const arrived = createHash('sha256');
    for (const chunk of attachment?.chunks ?? []) arrived.update(chunk);
    const good = row.state === 'sent' && copies.length === 1 && arrived.digest('hex') === hash;
    report(
      good,
      `${sizes[at]} MB: ${row.state}, attempts ${row.attempts}, ${good ? 'byte for byte' : 'NOT THE SAME BYTES'}`,
    );
  }
  const requests = graph.requests.slice(before);
  const resets = requests.filter(({ fault }) => fault?.startsWith('reset') === true).length;
  const ranges = requests.filter(({ operation }) => operation === 'uploadRange').length;
  process.stdout.write(`  ${seconds} s, ${ranges} ranges, cut ${resets} times\n`);
}

async function send(
  producer: Producer,
  id: string,
  content: Buffer<ArrayBuffer>,
): Promise<{ row: MessageStatus; hash: string; recipient: string }> {
  const hash = createHash('sha256').update(content).digest('hex');
  const recipient = `${id}@example.net`;
  const attachments = [{ filename: 'large.bin', content }];
  await producer.send({ id, from: 'sales@example.com', to: recipient, subject: id, text: 'x', attachments });
  const end = performance.now() + patienceMs;
  for (;;) {
    const row = await producer.status(id);
    if (row !== null && (ends.includes(row.state) || performance.now() > end)) return { row, hash, recipient };
    await pause(100);
  }
}

function startWorker(folder: string, url: string, graph: FakeGraph) {
  const config = {
    redis: { url },
    hostname: 'large.example.com',
    systemDefaultGateway: 'sales',
    message: { maxSize: maxBytes },
    connectors: {
      sales: {
        direction: 'outgoing',
        address: 'sales@example.com',
        graph: {
          tenantId: graph.tenantId,
          clientId: graph.app.clientId,
          credential: { clientSecret: graph.app.clientSecret },
          graphBaseUrl: graph.graphBaseUrl,
          authorityHost: graph.authorityHost,
          tls: { ca: graph.ca },
        },
      },
    },
  };
  const file = join(folder, 'postlane.yaml');
  writeFileSync(file, JSON.stringify(config));
  const program = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
  const child = spawn(process.execPath, [program, 'worker', '--config', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ready = Promise.withResolvers<void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { event, level } = JSON.parse(line) as { event: string; level: string };
    if (event === 'ready') ready.resolve();
    if (level === 'warn' || level === 'error') process.stdout.write(`  ${line}\n`);
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  void ended.then(() => ready.reject(new Error('the worker has ended')));
  const megabytes = (field: string): number => {
    const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
    return Math.round(Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024);
  };
  return {
    pid: child.pid,
    ready: ready.promise,
    /** Resident: now, and the most that it ever was. As the kernel counts, in MB. */
    memory: () => ({ now: megabytes('VmRSS'), most: megabytes('VmHWM') }),
    async stop(): Promise<void> {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
