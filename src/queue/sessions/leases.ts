/**
 * Session leases of one worker: before it opens a connection to a connector's server it takes one of as many as the connector
 * may have over all workers, and gives it back when the connection has ended. One round trip each; none for a message.
 *
 * Whoever has leases says so every few seconds. Whoever finds that it was given up meanwhile (it stood still, or Redis was
 * away) ends its idle sessions and says what it holds.
 */
import type { RedisClient } from '../redis/connection.ts';
import type { Keys } from '../redis/keys.ts';
import { run, type Script } from '../lua/script.ts';
import { acquireScript, beatScript, holdScript, recallScript } from './scripts.ts';

interface SessionLease {
  release(): void;
}

/** What the transport of a connector is handed. */
interface ConnectorLeases {
  acquire(waitMs: number, signal: AbortSignal): Promise<SessionLease | null>;
  onRecall(listener: (which: 'one' | 'all') => void): () => void;
}

export interface Sessions {
  /** The leases of a connector that may have `limit` connections over all workers. */
  of(connectorId: string, limit: number): ConnectorLeases;
  /** Asks whoever has most sessions of it to end an idle one. */
  recall(connectorId: string): Promise<void>;
  /** Takes a message of the channel `keys.sessions`. → the connector that has a lease to give, or null. */
  hear(message: string): string | null;
  /** Ends the idle sessions, and waits a while until all leases are given back. */
  close(): Promise<void>;
}

export interface SessionOptions {
  readonly redis: RedisClient;
  readonly keys: Keys;
  /** Name of this worker: no other may have it. */
  readonly worker: string;
  /** A worker that is not heard for so long counts as dead, and its leases as free. Default 6 s. */
  readonly lifetimeMs?: number;
}

/** How often whoever waits asks again, in ms: what is given back is told at once, so this is for what nobody gives back. */
const pollMs = 500;
/** A server that does not let a connection end is not waited for longer. */
const closeMs = 2_500;

interface Waiter {
  readonly limit: number;
  /** Not at all: the first answer counts. */
  readonly patient: boolean;
  readonly give: (lease: SessionLease | null) => void;
}

interface Account {
  readonly id: string;
  /** Leases in use here. */
  held: number;
  /** What Redis was told; null if that is not known. */
  told: number | null;
  /** Redis said no, and nothing has been heard since. */
  denied: boolean;
  working: boolean;
  readonly waiting: Waiter[];
  readonly listeners: Set<(which: 'one' | 'all') => void>;
}

export function createSessions({ redis, keys, worker, lifetimeMs = 6_000 }: SessionOptions): Sessions {
  const accounts = new Map<string, Account>();
  let closed = false;
  let beating: NodeJS.Timeout | undefined;
  let onReturn = (): void => undefined;

  const account = (id: string): Account => {
    const known = accounts.get(id);
    if (known !== undefined) return known;
    const made: Account = {
      id,
      held: 0,
      told: 0,
      denied: false,
      working: false,
      waiting: [],
      listeners: new Set(),
    };
    accounts.set(id, made);
    return made;
  };

  const call = (script: Script, id: string, args: readonly (string | number)[]): Promise<unknown> =>
    run(redis, script, [keys.sessions, keys.sessionsOf(id), keys.connector(id)], [worker, lifetimeMs, ...args]);

  /** Others have taken us for dead: they may hold what we do. */
  const onLapse = (except: Account | null): void => {
    for (const each of accounts.values()) {
      if (each === except || (each.held === 0 && each.told === 0)) continue;
      each.told = null;
      for (const listener of each.listeners) listener('all');
      void work(each);
    }
  };

  const holdsAny = (): boolean => [...accounts.values()].some(({ told }) => told !== 0);

  const beat = async (): Promise<void> => {
    if (holdsAny()) {
      const lapsed = Number(await run(redis, beatScript, [keys.sessions], [worker, lifetimeMs]));
      if (lapsed === 1) onLapse(null);
      // What Redis had refused is said again.
      for (const each of accounts.values()) if (each.told === null) void work(each);
    }
  };

  const beatOn = (): void => {
    if (beating !== undefined) return;
    beating = setTimeout(() => {
      // A Redis that is away keeps the beat waiting, and so all further ones.
      void beat()
        .catch(() => undefined)
        .finally(() => {
          beating = undefined;
          if (holdsAny()) beatOn();
        });
    }, lifetimeMs / 3);
    beating.unref();
  };

  const lease = (from: Account): SessionLease => {
    let given = false;
    from.held += 1;
    return {
      release() {
        if (given) return;
        given = true;
        from.held -= 1;
        from.denied = false;
        void work(from);
      },
    };
  };

  const ask = async (from: Account, limit: number): Promise<boolean> => {
    const wanted = from.held + 1;
    // A worker that held nothing was no news to anybody.
    const known = holdsAny();
    const before = from.told;
    from.told = null;
    beatOn();
    const [granted, lapsed] = (await call(acquireScript, from.id, [wanted, limit])) as unknown[];
    from.told = Number(granted) === 1 ? wanted : before;
    if (Number(lapsed) === 1 && known) onLapse(Number(granted) === 1 ? from : null);
    return Number(granted) === 1;
  };

  const tell = async (from: Account): Promise<void> => {
    const now = from.held;
    const lapsed = Number(await call(holdScript, from.id, [now, keys.sessionsChannel, `+${from.id}`]));
    from.told = now;
    if (lapsed === 1) onLapse(from);
  };

  const recall = async (connectorId: string): Promise<void> => {
    await call(recallScript, connectorId, [keys.sessionsChannel, `?${connectorId}`]);
  };

  const deny = (to: Account, waiters: readonly Waiter[]): void => {
    to.denied = true;
    for (const waiter of waiters.filter(({ patient }) => !patient)) waiter.give(null);
  };

  /** Brings Redis and this process together, one step after the other. */
  const work = async (on: Account): Promise<void> => {
    if (on.working) return;
    on.working = true;
    try {
      for (;;) {
        if (on.told !== null && on.told > on.held && on.waiting.length > 0) {
          // Given back and taken in one: nobody needs to be told.
          on.waiting.shift()?.give(lease(on));
          continue;
        }
        const [first] = on.waiting;
        if (first !== undefined && !on.denied && !closed) {
          const asking = [...on.waiting];
          const before = on.held;
          // What was given back meanwhile makes the answer an old one.
          if ((await ask(on, first.limit)) || on.held < before) continue;
          deny(on, asking);
          if (on.waiting.length > 0) recall(on.id).catch(() => undefined);
        } else if (on.told === null || on.told > on.held) {
          await tell(on);
        } else break;
      }
    } catch {
      // Redis refuses, or this worker has ended. What was told is not known; the next beat says it again.
      on.told = null;
      deny(on, on.waiting);
    } finally {
      on.working = false;
    }
    if (on.told === 0) onReturn();
  };

  const acquire = (from: Account, limit: number, waitMs: number, signal: AbortSignal): Promise<SessionLease | null> => {
    if (closed || signal.aborted) return Promise.resolve(null);
    return new Promise((resolve) => {
      const end = (): void => waiter.give(null);
      const waiter: Waiter = {
        limit,
        patient: waitMs > 0,
        give(given) {
          const index = from.waiting.indexOf(waiter);
          if (index >= 0) from.waiting.splice(index, 1);
          clearTimeout(limitTimer);
          clearInterval(poll);
          signal.removeEventListener('abort', end);
          resolve(given);
        },
      };
      // An answer that Redis owes is waited for, but no longer than the next one would be.
      const limitTimer = setTimeout(end, Math.max(waitMs, pollMs * 2));
      const poll = setInterval(() => {
        from.denied = false;
        void work(from);
      }, pollMs);
      signal.addEventListener('abort', end, { once: true });
      from.waiting.push(waiter);
      if (!waiter.patient) from.denied = false;
      void work(from);
    });
  };

  return {
    of(connectorId, limit) {
      const from = account(connectorId);
      return {
        acquire: (waitMs, signal) => acquire(from, limit, waitMs, signal),
        onRecall(listener) {
          from.listeners.add(listener);
          return () => void from.listeners.delete(listener);
        },
      };
    },

    recall,

    hear(message) {
      const [connectorId = '', holder] = message.slice(1).split(' ');
      const about = accounts.get(connectorId);
      if (message.startsWith('?')) {
        if (holder === worker) for (const listener of about?.listeners ?? []) listener('one');
        return null;
      }
      if (about !== undefined) {
        about.denied = false;
        if (about.waiting.length > 0) void work(about);
      }
      return connectorId;
    },

    async close() {
      closed = true;
      for (const each of accounts.values()) {
        for (const waiter of each.waiting.splice(0)) waiter.give(null);
        for (const listener of each.listeners) listener('all');
      }
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        onReturn = () => {
          if (!holdsAny()) resolve();
        };
        timer = setTimeout(resolve, closeMs);
        onReturn();
      });
      clearTimeout(timer);
      clearTimeout(beating);
    },
  };
}
