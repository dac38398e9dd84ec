/**
 * Session leases of one worker in one shard. For each connector there is an account: the leases in use here, what Redis was told,
 * and who waits. `reconcile` brings this process and Redis together, one step after the other.
 */
import type { LeaseCalls } from './calls.ts';

/** How often a waiter asks again, in ms: a lease that is given back is announced at once, so this is for one that is not. */
const pollMs = 500;

interface Waiter {
  readonly limit: number;
  /** Not patient: the first answer counts. */
  readonly patient: boolean;
  readonly give: (lease: SessionLease | null) => void;
}

interface Account {
  readonly id: string;
  /** Leases in use here. */
  held: number;
  /** What Redis was told; null if that is not known. */
  reported: number | null;
  /** Redis said no, and nothing has been announced since. */
  refused: boolean;
  working: boolean;
  readonly waiting: Waiter[];
  readonly listeners: Set<(which: 'one' | 'all') => void>;
}

interface State {
  readonly calls: LeaseCalls;
  readonly lifetimeMs: number;
  readonly accounts: Map<string, Account>;
  closed: boolean;
  nextBeat: NodeJS.Timeout | undefined;
  /** Called when an account has given back its last lease. */
  onReturn: () => void;
}

interface SessionLease {
  release(): void;
}

/** What the transport of a connector is handed. */
export interface ConnectorLeases {
  acquire(waitMs: number, signal: AbortSignal): Promise<SessionLease | null>;
  onRecall(listener: (which: 'one' | 'all') => void): () => void;
}

export interface ShardLeases {
  of(connectorId: string, limit: number): ConnectorLeases;
  recall(connectorId: string): Promise<void>;
  /** Leases in use here. */
  held(): number;
  /** A lease of the connector was given back by another worker. */
  onReturned(connectorId: string): void;
  /** Another worker asks this one to end an idle session. */
  onRecall(connectorId: string): void;
  /** Ends the idle sessions, and waits up to `limitMs` until all leases are given back. */
  close(limitMs: number): Promise<void>;
}

export function createShardLeases(calls: LeaseCalls, lifetimeMs: number): ShardLeases {
  const state: State = {
    calls,
    lifetimeMs,
    accounts: new Map(),
    closed: false,
    nextBeat: undefined,
    onReturn: () => undefined,
  };
  return {
    of(connectorId, limit) {
      const account = accountOf(state, connectorId);
      return {
        acquire: (waitMs, signal) => acquire(state, account, limit, waitMs, signal),
        onRecall(listener) {
          account.listeners.add(listener);
          return () => void account.listeners.delete(listener);
        },
      };
    },

    recall: (connectorId) => calls.recall(connectorId),

    held: () => [...state.accounts.values()].reduce((sum, { held }) => sum + held, 0),

    onReturned(connectorId) {
      const account = state.accounts.get(connectorId);
      if (account === undefined) return;
      account.refused = false;
      if (account.waiting.length > 0) void reconcile(state, account);
    },

    onRecall(connectorId) {
      for (const listener of state.accounts.get(connectorId)?.listeners ?? []) listener('one');
    },

    close: (limitMs) => close(state, limitMs),
  };
}

function accountOf({ accounts }: State, id: string): Account {
  const known = accounts.get(id);
  if (known !== undefined) return known;
  const listeners = new Set<(which: 'one' | 'all') => void>();
  const made: Account = { id, held: 0, reported: 0, refused: false, working: false, waiting: [], listeners };
  accounts.set(id, made);
  return made;
}

function holdsAny({ accounts }: State): boolean {
  return [...accounts.values()].some(({ reported }) => reported !== 0);
}

/** This worker counted as dead: others may hold what it does. */
function onExpired(state: State, except: Account | null): void {
  for (const each of state.accounts.values()) {
    if (each === except || (each.held === 0 && each.reported === 0)) continue;
    each.reported = null;
    for (const listener of each.listeners) listener('all');
    void reconcile(state, each);
  }
}

async function heartbeat(state: State): Promise<void> {
  if (!holdsAny(state)) return;
  const { expired } = await state.calls.heartbeat();
  if (expired) onExpired(state, null);
  // What Redis had refused is reported again.
  for (const each of state.accounts.values()) if (each.reported === null) void reconcile(state, each);
}

function keepAlive(state: State): void {
  if (state.nextBeat !== undefined) return;
  state.nextBeat = setTimeout(() => {
    // A Redis that is away keeps this heartbeat waiting, and so all further ones.
    void heartbeat(state)
      .catch(() => undefined)
      .finally(() => {
        state.nextBeat = undefined;
        if (holdsAny(state)) keepAlive(state);
      });
  }, state.lifetimeMs / 3);
  state.nextBeat.unref();
}

function leaseOf(state: State, account: Account): SessionLease {
  let given = false;
  account.held += 1;
  return {
    release() {
      if (given) return;
      given = true;
      account.held -= 1;
      account.refused = false;
      void reconcile(state, account);
    },
  };
}

/** → whether one more lease was granted. */
async function ask(state: State, account: Account, limit: number): Promise<boolean> {
  const wanted = account.held + 1;
  // A worker that held nothing was not counted as alive, and need not have been.
  const counted = holdsAny(state);
  const before = account.reported;
  account.reported = null;
  keepAlive(state);
  const { granted, expired } = await state.calls.acquire(account.id, wanted, limit);
  account.reported = granted ? wanted : before;
  if (expired && counted) onExpired(state, granted ? account : null);
  return granted;
}

async function report(state: State, account: Account): Promise<void> {
  const now = account.held;
  const { expired } = await state.calls.report(account.id, now);
  account.reported = now;
  if (expired) onExpired(state, account);
}

function refuse(account: Account, waiters: readonly Waiter[]): void {
  account.refused = true;
  for (const waiter of waiters.filter(({ patient }) => !patient)) waiter.give(null);
}

async function reconcile(state: State, account: Account): Promise<void> {
  if (account.working) return;
  account.working = true;
  try {
    for (;;) {
      const { reported, held, waiting } = account;
      const [first] = waiting;
      if (reported !== null && reported > held && first !== undefined) {
        // Given back and taken in one: no other worker needs to know.
        waiting.shift()?.give(leaseOf(state, account));
      } else if (first !== undefined && !account.refused && !state.closed) {
        const asking = [...waiting];
        // What was given back meanwhile makes the answer an old one.
        if ((await ask(state, account, first.limit)) || account.held < held) continue;
        refuse(account, asking);
        if (account.waiting.length > 0) state.calls.recall(account.id).catch(() => undefined);
      } else if (reported === null || reported > held) {
        await report(state, account);
      } else break;
    }
  } catch {
    // Redis refuses, or this worker has ended. What was reported is not known; the next heartbeat repeats it.
    account.reported = null;
    refuse(account, account.waiting);
  } finally {
    account.working = false;
  }
  if (account.reported === 0) state.onReturn();
}

function acquire(
  state: State,
  account: Account,
  limit: number,
  waitMs: number,
  signal: AbortSignal,
): Promise<SessionLease | null> {
  if (state.closed || signal.aborted) return Promise.resolve(null);
  return new Promise((resolve) => {
    const end = (): void => waiter.give(null);
    const waiter: Waiter = {
      limit,
      patient: waitMs > 0,
      give(given) {
        const index = account.waiting.indexOf(waiter);
        if (index >= 0) account.waiting.splice(index, 1);
        clearTimeout(limitTimer);
        clearInterval(poll);
        signal.removeEventListener('abort', end);
        resolve(given);
      },
    };
    // An answer that Redis owes is waited for, but no longer than the next one would be.
    const limitTimer = setTimeout(end, Math.max(waitMs, pollMs * 2));
    const poll = setInterval(() => {
      account.refused = false;
      void reconcile(state, account);
    }, pollMs);
    signal.addEventListener('abort', end, { once: true });
    account.waiting.push(waiter);
    if (!waiter.patient) account.refused = false;
    void reconcile(state, account);
  });
}

async function close(state: State, limitMs: number): Promise<void> {
  state.closed = true;
  for (const each of state.accounts.values()) {
    for (const waiter of each.waiting.splice(0)) waiter.give(null);
    for (const listener of each.listeners) listener('all');
  }
  let timer: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve) => {
    state.onReturn = () => {
      if (!holdsAny(state)) resolve();
    };
    timer = setTimeout(resolve, limitMs);
    state.onReturn();
  });
  clearTimeout(timer);
  clearTimeout(state.nextBeat);
}
