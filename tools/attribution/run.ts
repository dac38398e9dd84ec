/** One run of a scenario: a private Redis, a scripted server, worker processes; then a count of what became of each message. */
import { setTimeout as pause } from 'node:timers/promises';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import { createProducer, type MessageStatus, type Producer } from '../../src/producer/producer.ts';
import { defaultMessageLimits } from '../../src/message/message.ts';
import { startPrivateRedis } from '../../testkit/redis.ts';
import { startSmtpServer } from '../../testkit/smtp/server.ts';
import { smtpSettings } from '../../testkit/smtp/settings.ts';
import type { JsonProcess } from '../../testkit/json-process.ts';
import { startWorkerProcess } from '../../testkit/worker-process.ts';
import type { WorkerSettings } from '../../testkit/worker.ts';
import { idOf, recipientOf, type Scenario } from './scenarios.ts';

export interface Figures {
  readonly seconds: number;
  /** From the end of the block to the first acceptance; null without one. */
  readonly backAfterSeconds: number | null;
  readonly tries: number;
  readonly connections: number;
  readonly faults: number;
  readonly sent: number;
  readonly dead: number;
  /** Dead although the server would have taken it. */
  readonly deadByMistake: number;
  readonly countedTwice: number;
  readonly twice: number;
  /** Of these, without an attempt that the ledger calls uncertain. */
  readonly twiceUnmarked: number;
  readonly kills: number;
  readonly left: number;
}

/** A minute is 1.2 s. */
const scale = 0.02;
const dayMs = 86_400_000;
const limitMs = 240_000;

function settingsOf(url: string, port: number, concurrency: number): Omit<WorkerSettings, 'name'> {
  const retry = { firstDelayMs: 30_000 * scale, maxDelayMs: 3_600_000 * scale, lifetimeMs: dayMs };
  const attributeWithinMs = 3_600_000 * scale;
  return {
    redis: { url, prefix: '{attribution}' },
    config: {
      systemDefaultGateway: 'relay',
      unmonitoredAddress: { address: 'system@example.com' },
      connectors: [
        {
          id: 'relay',
          direction: 'outgoing',
          addresses: [],
          transport: {},
          limits: { concurrency, messagesPerMinute: null },
          retry: { ...retry, attributeWithinMs, onUncertain: 'retry' },
        },
      ],
      message: defaultMessageLimits,
      retry,
      retention: { ledgerMs: dayMs, deadLetterMs: dayMs, deadLetterCount: 100_000 },
      worker: { slots: 20, drainMs: 2_000 },
    },
    smtp: { relay: smtpSettings(port) },
    timing: { lockMs: 1_000, maintenanceMs: 300, lateResultMs: 1_000, pauseScale: scale },
  };
}

export async function measure(scenario: Scenario, workers: number, concurrency: number): Promise<Figures> {
  const redis = await startPrivateRedis();
  let readyAt = Infinity;
  let tries = 0;
  const acceptedAt = new Map<string, number[]>();
  const since = (): number => performance.now() - readyAt;
  const server = await startSmtpServer({
    record: false,
    script: {
      CONNECT: () => scenario.answer('CONNECT', '', since()),
      MAIL: () => scenario.answer('MAIL', '', since()),
      RCPT: ({ line }) => {
        tries += 1;
        return scenario.answer('RCPT', recipientOf(line), since());
      },
      '.': async (context) => {
        await pause(5);
        return scenario.answer('.', idOf(context), since());
      },
    },
    onMessage({ to }) {
      const id = to[0]?.split('@')[0] ?? '';
      acceptedAt.set(id, [...(acceptedAt.get(id) ?? []), since()]);
    },
  });
  const producer = createProducer({ redis: { url: redis.url, prefix: '{attribution}' }, timeoutMs: 30_000 });
  const settings = settingsOf(redis.url, server.port, concurrency);
  const started: JsonProcess[] = [];
  const start = (): JsonProcess => {
    const worker = startWorkerProcess({ ...settings, name: `w${started.length}` });
    started.push(worker);
    return worker;
  };
  try {
    const mails = scenario.messages.map((id) => ({ id, from: 'x@example.com', to: `${id}@example.net`, text: id }));
    if (scenario.arriveEveryMs === 0) await producer.sendMany(mails);
    readyAt = performance.now() + 1e9;
    const running = Array.from({ length: workers }, start);
    await Promise.race(running.map((worker) => worker.waitFor('ready')));
    readyAt = performance.now();
    const arriving = arrive(scenario, mails, producer);
    const kills = await sendAll(scenario, acceptedAt, running, start);
    await arriving;
    const seconds = since() / 1_000;
    // What is left settles itself: retries of those that are refused, and results on their way.
    await pause(1_500);
    const rows: MessageStatus[] = [];
    for (const id of scenario.messages) rows.push((await producer.status(id))!);
    return figuresOf({
      scenario,
      rows,
      acceptedAt,
      started,
      kills,
      seconds,
      tries,
      connections: server.received.connections,
    });
  } finally {
    await Promise.all(started.map((worker) => worker.kill().catch(() => undefined)));
    await producer.close();
    await server.stop();
    await redis.stop();
  }
}

async function arrive(
  { arriveEveryMs }: Scenario,
  mails: readonly OutboundMessage[],
  producer: Producer,
): Promise<void> {
  if (arriveEveryMs === 0) return;
  for (const mail of mails) {
    await pause(arriveEveryMs);
    await producer.send(mail);
  }
}

/** Until every good message is accepted; kills the workers in turn, if the scenario says so. → kills. */
async function sendAll(
  { good, killEveryMs }: Scenario,
  accepted: ReadonlyMap<string, unknown>,
  running: JsonProcess[],
  start: () => JsonProcess,
): Promise<number> {
  const end = performance.now() + limitMs;
  let kills = 0;
  let killAt = performance.now() + killEveryMs;
  while (performance.now() < end && good.some((id) => !accepted.has(id))) {
    await pause(20);
    if (killEveryMs === 0 || performance.now() < killAt) continue;
    await running.shift()?.kill();
    kills += 1;
    const next = start();
    running.push(next);
    await next.waitFor('ready');
    killAt = performance.now() + killEveryMs;
  }
  return kills;
}

interface Counted {
  readonly scenario: Scenario;
  readonly rows: readonly MessageStatus[];
  readonly acceptedAt: ReadonlyMap<string, readonly number[]>;
  readonly started: readonly JsonProcess[];
  readonly kills: number;
  readonly seconds: number;
  readonly tries: number;
  readonly connections: number;
}

function figuresOf({ scenario, rows, acceptedAt, started, kills, ...rest }: Counted): Figures {
  const { good, blockedMs } = scenario;
  const isGood = new Set(good);
  const own = rows.filter(({ id }) => isGood.has(id));
  const first = Math.min(...[...acceptedAt.values()].flat().filter((at) => at >= blockedMs));
  const count = (state: string): number => rows.filter((row) => row.state === state).length;
  return {
    ...rest,
    kills,
    backAfterSeconds: blockedMs === 0 ? null : (first - blockedMs) / 1_000,
    faults: started.flatMap((worker) => worker.of('connector-fault')).length,
    sent: count('sent'),
    dead: count('dead'),
    deadByMistake: own.filter(({ state }) => state === 'dead').length,
    countedTwice: own.filter(({ attempts }) => attempts > 1).length,
    twiceUnmarked: own.filter(
      ({ id, history }) => (acceptedAt.get(id)?.length ?? 0) > 1 && !history.some(({ event }) => event === 'uncertain'),
    ).length,
    twice: [...acceptedAt.values()].filter((times) => times.length > 1).length,
    left: own.filter(({ state }) => state !== 'sent').length,
  };
}
