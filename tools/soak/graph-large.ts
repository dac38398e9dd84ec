/**
 * node tools/soak/graph-large.ts: sends attachments of 1 to 149 MB through Graph, cutting each upload twice, then four of
 * 149 MB at once. Compares what arrived byte for byte, and watches the memory of the worker. One of 151 MB must be refused.
 *
 * Needs 3 GB of memory: Redis, the producer and the fake hold everything; only the worker must not.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startCliWorker, type CliWorker } from '../../testkit/cli-worker.ts';
import { createDisposables } from '../../testkit/disposables.ts';
import { graphSection } from '../../testkit/graph/configuration.ts';
import { faults } from '../../testkit/graph/faults.ts';
import { startFakeGraph, type FakeGraph } from '../../testkit/graph/fake-graph.ts';
import { startPrivateRedis } from '../../testkit/redis.ts';
import { createProducer, type MessageStatus, type Producer } from '../../src/producer/producer.ts';

const megabyte = 1024 * 1024;
const mostMegabytes = 400;
const maxBytes = 400 * megabyte;
/** Redis takes 150 MB as one command. */
const patienceMs = 120_000;
const ends: readonly string[] = ['sent', 'partial', 'dead', 'held'];

process.exitCode = await main();

async function main(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-large-'));
  const started = createDisposables();
  started.defer('the folder', () => rmSync(folder, { recursive: true, force: true }));
  const results: boolean[] = [];
  const report = (good: boolean, text: string): void => {
    results.push(good);
    process.stdout.write(`${good ? '✓' : '✗'} ${text}\n`);
  };
  try {
    const redis = started.add(await startPrivateRedis());
    const graph = started.add(await startFakeGraph());
    const producer = createProducer({ redis: { url: redis.url }, message: { maxBytes }, timeoutMs: patienceMs });
    started.defer('the producer', () => producer.close());
    const worker = started.add(await startWorker(folder, redis.url, graph));
    const memory = (): ReturnType<typeof memoryOf> => memoryOf(worker.pid);
    process.stdout.write(`worker ${worker.pid} has ${memory().now} MB at its start\n`);
    for (const size of [1, 2.9, 3.1, 20, 149]) {
      await sendAtOnce({ graph, producer, report }, [size]);
      process.stdout.write(`  worker: ${memory().now} MB, ${memory().most} MB at most\n`);
    }
    await sendAtOnce({ graph, producer, report }, [149, 149, 149, 149]);
    const { most } = memory();
    report(most < mostMegabytes, `worker: ${most} MB at most with four of 149 MB at once`);
    const { row } = await send(producer, 'too-large', Buffer.alloc(151 * megabyte));
    const reply = row.recipients[0]?.reply;
    report(row.state === 'dead' && row.reason === 'too-large', `151 MB: ${row.state}, ${row.reason}: ${reply}`);
    report(memory().most < mostMegabytes, `worker: ${memory().most} MB at most at the end`);
  } finally {
    await started.close();
  }
  return results.every(Boolean) ? 0 : 1;
}

interface Tools {
  readonly graph: FakeGraph;
  readonly producer: Producer;
  readonly report: (good: boolean, text: string) => void;
}

/** One message for each size, all at once, each upload cut twice. */
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

/** Resident memory of a process: now, and its maximum so far. As the kernel counts, in MB. */
function memoryOf(pid: number): { readonly now: number; readonly most: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const megabytes = (field: string): number =>
    Math.round(Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024);
  return { now: megabytes('VmRSS'), most: megabytes('VmHWM') };
}

function startWorker(folder: string, url: string, graph: FakeGraph): Promise<CliWorker> {
  const configFile = join(folder, 'postlane.yaml');
  const config = {
    redis: { url },
    hostname: 'large.example.com',
    systemDefaultGateway: 'sales',
    message: { maxSize: maxBytes },
    connectors: {
      sales: { direction: 'outgoing', address: 'sales@example.com', graph: graphSection(graph) },
    },
  };
  writeFileSync(configFile, JSON.stringify(config));
  return startCliWorker({
    configFile,
    logFile: join(folder, 'worker.log'),
    folder,
    onLine(line) {
      if (/"level":"(?:warn|error)"/.test(line)) process.stdout.write(`  ${line}\n`);
    },
  });
}
