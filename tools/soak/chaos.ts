/** What happens to workers, Redis and servers while the soak runs: one misfortune every few seconds, by the dice. */
import { setTimeout as pause } from 'node:timers/promises';
import type { PrivateRedis } from '../../testkit/redis.ts';
import type { Operator } from '../../src/admin/operator.ts';
import type { Chance } from './chance.ts';
import type { Fleet } from './fleet.ts';
import { habits, type MailServers } from './servers.ts';

/** How often each kind happened. */
export type Misfortunes = Record<string, number>;

export interface ChaosOptions {
  readonly chance: Chance;
  readonly fleet: Fleet;
  readonly workers: number;
  readonly redis: PrivateRedis;
  readonly servers: MailServers;
  readonly operator: Operator;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

/** Resolves soon after the signal, when everything that was taken away is back. */
export async function wreak(options: ChaosOptions, counts: Misfortunes): Promise<void> {
  const { chance, signal, workers, fleet, redis, servers, log } = options;
  const kinds = {
    'worker killed': async () => fleet.kill(chance.between('whom', 0, workers - 1)),
    'worker stopped': async () => void (await fleet.replace(chance.between('whom', 0, workers - 1))),
    'worker frozen': async () =>
      fleet.freeze(chance.between('whom', 0, workers - 1), chance.between('how long', 1_000, 9_000)),
    'redis killed': async () => {
      await redis.kill();
      await wait(chance.between('redis away', 0, 2_000), signal);
      await redis.restart();
    },
    'redis restarted': async () => redis.restart(),
    'server away': async () => {
      const { id } = chance.pick('server', habits);
      await servers.vanish(id);
      await wait(chance.between('server away', 500, 4_000), signal);
      await servers.comeBack(id);
    },
    'password wrong': async () => {
      servers.lock('locked', true);
      await wait(chance.between('locked', 500, 4_000), signal);
      servers.lock('locked', false);
    },
  };
  // Kills are what this is about: they come as often as all the rest.
  const odds: [keyof typeof kinds, ...(keyof typeof kinds)[]] = [
    ...(['worker killed', 'worker killed', 'worker killed', 'redis killed', 'redis killed'] as const),
    ...(['worker stopped', 'worker frozen', 'redis restarted', 'server away', 'password wrong'] as const),
  ];
  const attending = attend(options, counts);
  while (!signal.aborted) {
    await wait(chance.between('until next', 500, 4_000), signal);
    if (signal.aborted) break;
    const kind = chance.pick('misfortune', odds);
    counts[kind] = (counts[kind] ?? 0) + 1;
    log(kind);
    await kinds[kind]();
  }
  await attending;
}

/**
 * An operator who now and then resumes a connector, replays a dead letter, and settles a held message. The pauses after a
 * fault grow to an hour, which is right for a server that is down and would leave a soak of minutes with nothing to do.
 */
async function attend({ chance, operator, signal }: ChaosOptions, counts: Misfortunes): Promise<void> {
  const count = (kind: string): void => void (counts[kind] = (counts[kind] ?? 0) + 1);
  const how = (): { now: number; lifetimeMs: number; retentionMs: number } => {
    return { now: Date.now(), lifetimeMs: 3_600_000, retentionMs: 86_400_000 };
  };
  while (!signal.aborted) {
    await wait(1_500, signal);
    try {
      await operator.lanes.resume(chance.pick('mended', habits).id);
      for await (const { id, reason } of operator.deadLetters.list({ since: Date.now() - 20_000 })) {
        if (!chance.is('attends', 0.1)) continue;
        if (reason === 'uncertain') {
          const as = chance.pick<'sent' | 'retry' | 'drop'>('resolves', ['sent', 'retry', 'drop']);
          if (await operator.resolve(id, as, how())) count(`resolved as ${as}`);
        } else if ((await operator.replay(id, { via: null, ...how() })) === 'replayed') {
          count('replayed');
        }
      }
    } catch {
      // Redis is away: the operator tries again, as the command line would be called again.
    }
  }
}

async function wait(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => undefined);
}
