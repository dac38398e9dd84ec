/** One soak from the first message to the verdict: load and faults for a time, then a drain until everything is settled, then the count. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { startPrivateRedis } from '../../testkit/redis.ts';
import { defaultMessageLimits } from '../../src/message/message.ts';
import { createProducer } from '../../src/producer/producer.ts';
import { connectFailFast, whenReady } from '../../src/queue/redis/connection.ts';
import type { Finding } from '../../src/admin/doctor/findings.ts';
import { openQueues } from '../../src/queue/open.ts';
import { jobIdOf } from '../../src/queue/redis/job-ids.ts';
import { defaultPrefix, keysOf } from '../../src/queue/redis/keys.ts';
import { openOperator } from '../../src/admin/operator.ts';
import { injectChaos, type FaultCounts } from './chaos.ts';
import { createDeliveryLog } from './delivery-log.ts';
import { startFleet } from './fleet.ts';
import { sendRubbish } from './foreigners.ts';
import { createSeededRandom } from './seeded-random.ts';
import { profiles, startServers, takesAll } from './servers.ts';
import { startTraffic, type Offer } from './traffic.ts';
import { judge, type Evidence, type Verdict } from './verdict.ts';
import { workerSettings } from './worker-settings.ts';

export interface SoakOptions {
  readonly durationMs: number;
  readonly seed: number;
  readonly fsync: 'always' | 'everysec';
  readonly messagesPerSecond: number;
  readonly workers: number;
  /** Where logs and the record of deliveries are written. */
  readonly folder: string;
  /** Called every few seconds with the state of the run. */
  readonly progress: (line: string) => void;
  /** Ends the load early. */
  readonly signal: AbortSignal;
}

export interface SoakResult extends Verdict {
  readonly faults: FaultCounts;
  /** Workers that ended without being told to. */
  readonly crashes: readonly string[];
  /** Calls of `send` that were rejected because Redis was away. */
  readonly rejections: number;
  readonly recipientsDelivered: number;
  /** Jobs of other programs that are no messages, and how many of them are no dead letter at the end; must be 0. */
  readonly rubbish: number;
  readonly rubbishLeft: number;
  /** What the doctor finds at the end; must be empty. */
  readonly findings: readonly Finding[];
  /** From the end of the load until everything was settled, in ms; null if it never was. */
  readonly drainedMs: number | null;
}

/** Locks end, late results are waited for and retries come within seconds; a busy machine needs more. */
const drainLimitMs = 150_000;

/** Messages that are looked up at once after the run. */
const evidencePage = 200;

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { durationMs, seed, fsync, messagesPerSecond, workers, folder, progress } = options;
  const random = createSeededRandom(seed);
  const deliveries = createDeliveryLog(join(folder, 'deliveries.jsonl'));
  const redis = await startPrivateRedis({ appendfsync: fsync, dir: join(folder, 'redis') });
  const at = { url: redis.url, prefix: defaultPrefix };
  const keys = keysOf(at.prefix);
  const connection = connectFailFast(at, 5_000, 'postlane-soak');
  connection.on('error', () => undefined);
  await whenReady(connection, 5_000);
  const { intake, ledger, deadLetters } = openQueues(connection, { prefix: at.prefix, failFast: true });
  const operator = await openOperator({ redis: at, timeoutMs: 5_000, limits: defaultMessageLimits });
  const servers = await startServers(random, deliveries);
  const fleet = startFleet(workers, workerSettings(at, servers.ports), join(folder, 'workers.log'));
  const producer = createProducer({ redis: at, timeoutMs: 3_000 });
  const faults: FaultCounts = {};
  const end = new AbortController();
  const signal = AbortSignal.any([options.signal, end.signal]);
  const log = (line: string): void => appendFileSync(join(folder, 'chaos.log'), `${Date.now()} ${line}\n`);
  const traffic = startTraffic(producer, random, messagesPerSecond);
  const rubbish = sendRubbish({ ...at, redis: connection as Redis, keys, random, signal });
  const startedAt = Date.now();

  /** Unsettled messages that are not held for an operator, and what is in the intake. */
  const unsettled = async (): Promise<number> => {
    const ids = await connection.zrange(keys.unsettled, 0, '-1');
    const states = await Promise.all(ids.map((id) => connection.hget(keys.ledger(id), 'state')));
    const { wait = 0, prioritized = 0, delayed = 0, active = 0 } = await intake.getJobCounts();
    return states.filter((state) => state !== 'held').length + wait + prioritized + delayed + active;
  };
  const report = async (phase: string): Promise<void> => {
    const open = await unsettled().catch(() => '?');
    const accepted = traffic.offers.filter((offer) => offer.accepted).length;
    const seconds = Math.round((Date.now() - startedAt) / 1_000);
    const injected = Object.values(faults).reduce((sum, count) => sum + count, 0);
    progress(
      `${seconds} s ${phase}: ${accepted} accepted, ${deliveries.delivered()} recipients served, ${open} open, ${injected} faults`,
    );
  };
  const reporting = setInterval(() => void report(end.signal.aborted ? 'drain' : 'load'), 5_000);

  try {
    const chaos = injectChaos({ random, fleet, workers, redis, servers, operator, signal, log }, faults);
    await Promise.race([pause(durationMs, undefined, { signal }).catch(() => undefined), chaos]);
    end.abort();
    await chaos;
    await servers.recover();
    const foreign = await rubbish;
    await whenReady(connection, 15_000);
    await traffic.stop();
    const drainedMs = await drain();
    const findings = await examine();
    await fleet.stop();
    const left = await Promise.all(foreign.map(async (id) => (await ledger.read(id))?.state !== 'dead'));
    const evidence: Evidence[] = [];
    // In pages: tens of thousands of commands at once would run into the connection's own limit of time on a busy machine.
    for (let at = 0; at < traffic.offers.length; at += evidencePage) {
      evidence.push(...(await Promise.all(traffic.offers.slice(at, at + evidencePage).map(evidenceOf))));
    }
    const verdict = judge(evidence);
    return {
      ...verdict,
      faults,
      findings,
      crashes: fleet.crashes,
      rejections: traffic.rejections(),
      rubbish: foreign.length,
      rubbishLeft: left.filter(Boolean).length,
      recipientsDelivered: deliveries.delivered(),
      drainedMs,
    };
  } finally {
    end.abort();
    clearInterval(reporting);
    await traffic.stop();
    await fleet.stop();
    await servers.stop();
    await producer.close();
    connection.disconnect();
    operator.close();
    await redis.stop();
  }

  /** Waits until everything is settled. Resumes the lanes, whose pauses would otherwise last up to an hour. */
  async function drain(): Promise<number | null> {
    const from = Date.now();
    while (Date.now() - from < drainLimitMs) {
      for (const { id } of profiles) await operator.lanes.resume(id);
      if ((await unsettled()) === 0) return Date.now() - from;
      await pause(1_000);
    }
    return null;
  }

  /** Beside the workers, as an operator would. */
  async function examine(): Promise<Finding[]> {
    const senders = profiles.map(({ id }) => id);
    const options = { fix: false, now: Date.now, senders, lifetimeMs: 3_600_000, retentionMs: 86_400_000 };
    const findings: Finding[] = [];
    for await (const finding of operator.diagnose(options)) findings.push(finding);
    return findings;
  }

  async function evidenceOf(offer: Offer): Promise<Evidence> {
    const id = offer.id ?? '';
    const [row, letter, job] = await Promise.all([ledger.read(id), deadLetters.get(id), intake.getJob(jobIdOf(id))]);
    return {
      offer,
      row,
      letter,
      inIntake: job !== undefined && job !== null,
      copies: new Map(offer.to.map((address) => [address, deliveries.copies(address)])),
      contents: deliveries.contents(offer.tag).size,
      takesAll: takesAll(offer.to),
    };
  }
}
