/** The faults of workers, Redis and servers while the soak runs: one every few seconds, at random. */
import { setTimeout as pause } from 'node:timers/promises';
import type { PrivateRedis } from '../../testkit/redis.ts';
import type { Operator } from '../../src/admin/operator.ts';
import type { Fleet } from './fleet.ts';
import type { SeededRandom } from './seeded-random.ts';
import { profiles, type MailServers } from './servers.ts';

/** Longer than any lane needs while there is traffic: a run ends even if a lane never sees it, and then finds dead letters. */
const outageMs = 60_000;

/** How often each kind of fault was injected, and each action of the operator taken. */
export type FaultCounts = Record<string, number>;

export interface ChaosOptions {
  readonly random: SeededRandom;
  readonly fleet: Fleet;
  readonly workers: number;
  readonly redis: PrivateRedis;
  readonly servers: MailServers;
  readonly operator: Operator;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

/** Resolves soon after the signal, once everything that was taken away is back. */
export async function injectChaos(options: ChaosOptions, counts: FaultCounts): Promise<void> {
  const { random, signal, workers, fleet, redis, servers, operator, log } = options;
  const kinds = {
    'worker killed': async () => fleet.kill(random.between('which worker', 0, workers - 1)),
    'worker stopped': async () => void (await fleet.replace(random.between('which worker', 0, workers - 1))),
    'worker suspended': async () =>
      fleet.suspend(random.between('which worker', 0, workers - 1), random.between('how long', 1_000, 9_000)),
    'redis killed': async () => {
      await redis.kill();
      await wait(random.between('redis away', 0, 2_000), signal);
      await redis.restart();
    },
    'redis restarted': async () => redis.restart(),
    'server away': async () => {
      const { id } = random.pick('server', profiles);
      await servers.vanish(id);
      await wait(random.between('server away', 500, 4_000), signal);
      await servers.comeBack(id);
    },
    'password wrong': async () => {
      servers.lock('locked', true);
      await wait(random.between('locked', 500, 4_000), signal);
      servers.lock('locked', false);
    },
    'all mail refused': async () => {
      if (servers.refusesAll('outage')) return;
      servers.refuseAll('outage', true);
      outage = untilSeen(operator, random.between('outage', 500, 6_000)).finally(() =>
        servers.refuseAll('outage', false),
      );
    },
  };
  // Half of the faults are kills: they are what this is about.
  const odds: [keyof typeof kinds, ...(keyof typeof kinds)[]] = [
    ...(['worker killed', 'worker killed', 'worker killed', 'redis killed', 'redis killed'] as const),
    ...(['worker stopped', 'worker suspended', 'redis restarted', 'server away', 'password wrong'] as const),
    'all mail refused',
  ];
  const operating = operate(options, counts);
  let outage = Promise.resolve();
  while (!signal.aborted) {
    await wait(random.between('until next', 500, 4_000), signal);
    if (signal.aborted) break;
    const kind = random.pick('fault', odds);
    counts[kind] = (counts[kind] ?? 0) + 1;
    log(kind);
    await kinds[kind]();
  }
  await outage;
  await operating;
}

/** A refusal that only a few messages got, before others were taken, is theirs: an outage lasts until the lane has seen that it is none. */
async function untilSeen(operator: Operator, atLeastMs: number): Promise<void> {
  const from = Date.now();
  for (let seen = false; !seen && Date.now() - from < outageMs;) {
    await pause(100);
    const status = await operator.lanes.status('outage').catch(() => null);
    seen = status?.faults?.fault === 'blocked' && Date.now() - from >= atLeastMs;
  }
}

/**
 * An operator who now and then resumes a connector, replays a dead letter, and resolves a held message. The pauses after
 * a fault grow to an hour, which is right for a server that is down and would leave a soak of minutes without traffic.
 */
async function operate({ random, operator, servers, signal }: ChaosOptions, counts: FaultCounts): Promise<void> {
  const count = (kind: string): void => void (counts[kind] = (counts[kind] ?? 0) + 1);
  const how = (): { now: number; lifetimeMs: number; retentionMs: number } => {
    return { now: Date.now(), lifetimeMs: 3_600_000, retentionMs: 86_400_000 };
  };
  // A replay that was cut off by Redis is called again until it has an answer, as the command line would be.
  const unfinished = new Set<string>();
  const replay = async (id: string): Promise<void> => {
    unfinished.add(id);
    if ((await operator.replay(id, { via: null, ...how() })) === 'replayed') count('replayed');
    unfinished.delete(id);
  };
  while (!signal.aborted) {
    await wait(1_500, signal);
    try {
      for (const id of unfinished) await replay(id);
      const { id: resumed } = random.pick('resumed', profiles);
      // It makes the lane forget who was refused, and what is refused next could be the last refusal of an outage.
      if (!servers.refusesAll(resumed)) await operator.lanes.resume(resumed);
      for await (const { id, reason } of operator.deadLetters.list({ since: Date.now() - 20_000 })) {
        if (!random.is('handles', 0.1)) continue;
        if (reason === 'uncertain') {
          const as = random.pick<'sent' | 'retry' | 'drop'>('resolves', ['sent', 'retry', 'drop']);
          if (await operator.resolve(id, as, how())) count(`resolved as ${as}`);
        } else {
          await replay(id);
        }
      }
    } catch {
      // Redis is away: the operator tries again.
    }
  }
  for (let tries = 0; unfinished.size > 0 && tries < 30; tries += 1) {
    await pause(500);
    for (const id of unfinished) await replay(id).catch(() => undefined);
  }
}

async function wait(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => undefined);
}
