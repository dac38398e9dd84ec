/** What a health check and the metrics ask of a worker: does its loop turn, does it reach Redis, how much has it in hand? */
import type { RedisClient } from '../queue/redis/connection.ts';
import type { Sessions } from '../queue/sessions/leases.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { Scheduler } from './scheduler.ts';

export interface Health {
  readonly ok: boolean;
  readonly live: boolean;
  /** Status of the connection to Redis. */
  readonly redis: string;
  /** Since the scheduler's loop last turned, in ms. */
  readonly idleForMs: number;
}

export interface Load {
  readonly slots: number;
  readonly slotsBusy: number;
  readonly bytesInFlight: number;
  readonly maxBytesInFlight: number;
  /** Connections to SMTP servers that this process may have open. */
  readonly sessions: number;
  /** How often the connection to Redis was lost or could not be made. */
  readonly redisReconnects: number;
}

export interface Vitals {
  health(): Health;
  load(): Load;
}

export interface VitalsTools {
  readonly redis: RedisClient;
  readonly scheduler: Pick<Scheduler, 'running' | 'lastTurnAt'>;
  readonly sessions: Pick<Sessions, 'held'>;
  readonly budget: Pick<ByteBudget, 'held'>;
  readonly slots: number;
  readonly maxBytesInFlight: () => number;
  readonly now: () => number;
}

/** The loop turns every two seconds at least, while Redis answers. */
const idleMs = 30_000;
/**
 * A loop that stands still while Redis has been there for so long hangs, and a restart helps. Longer than the 30 s of silence after
 * which a connection counts as dead: until then, a Redis that does not answer looks like one that is there.
 */
const hangingMs = 90_000;

export function createVitals(tools: VitalsTools): Vitals {
  const { redis, scheduler, now } = tools;
  let readySince = Number.POSITIVE_INFINITY;
  let redisReconnects = 0;
  redis.on('ready', () => (readySince = now()));
  redis.on('close', () => {
    readySince = Number.POSITIVE_INFINITY;
    redisReconnects += 1;
  });
  return {
    health() {
      const at = now();
      const turnedAt = scheduler.lastTurnAt();
      const idleForMs = at - turnedAt;
      // Before its first turn it waits for Redis, or for a release that knows what is stored.
      const hangs = turnedAt > 0 && idleForMs > hangingMs && at - readySince > hangingMs;
      return { ok: redis.status === 'ready' && idleForMs < idleMs, live: !hangs, redis: redis.status, idleForMs };
    },

    load: () => ({
      slots: tools.slots,
      slotsBusy: scheduler.running(),
      bytesInFlight: tools.budget.held(),
      maxBytesInFlight: tools.maxBytesInFlight(),
      sessions: tools.sessions.held(),
      redisReconnects,
    }),
  };
}
