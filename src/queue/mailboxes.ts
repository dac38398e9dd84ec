/** What all processes that read delivery reports share of each mailbox: who reads it now, how far it was read, and when it is due. */
import { luaNow, run, script } from './lua/script.ts';
import type { RedisClient } from './redis/connection.ts';
import type { HomeKeys } from './redis/keys.ts';

/** → whether it is ours now, ms until it may be, where it was read to, when that last succeeded, and failures in a row. @lua */
export const takeMailboxScript = script(
  { keys: ['state', 'lease'], args: ['token', 'leaseMs'], allowOom: true },
  /* lua */ `${luaNow}
local found = redis.call('HMGET', state, 'place', 'dueAt', 'readAt', 'failures')
local wait = math.max(0, tonumber(found[2] or '0') - now)
if wait == 0 and not redis.call('SET', lease, token, 'NX', 'PX', leaseMs) then wait = math.max(1, redis.call('PTTL', lease)) end
return { wait, found[1] or '', found[3] or '', found[4] or '0' }
`,
);

/** Where it was read to; '' leaves that as it is. → 1; 0 if another process has it by now, which reads from where that began. @lua */
export const holdMailboxScript = script(
  { keys: ['state', 'lease'], args: ['token', 'leaseMs', 'place'], allowOom: true },
  /* lua */ `
if redis.call('GET', lease) ~= token then return 0 end
redis.call('PEXPIRE', lease, leaseMs)
if place ~= '' then redis.call('HSET', state, 'place', place) end
return 1
`,
);

/** Ends a reading. `failures`: in a row, 0 after a success. @lua */
export const endMailboxScript = script(
  { keys: ['state', 'lease'], args: ['token', 'delayMs', 'failures'], allowOom: true },
  /* lua */ `${luaNow}
if redis.call('GET', lease) ~= token then return 0 end
redis.call('DEL', lease)
redis.call('HSET', state, 'dueAt', string.format('%.0f', now + delayMs), 'failures', failures)
if failures == '0' then redis.call('HSET', state, 'readAt', string.format('%.0f', now)) end
return 1
`,
);

/** `waitMs`: 0 if this process has it now. Times in ms since the epoch; null before the first success. */
interface TakenMailbox {
  readonly waitMs: number;
  /** As it was noted; null before anything was read. */
  readonly place: string | null;
  readonly readAt: number | null;
  /** Readings that failed since the last success. */
  readonly failures: number;
}

/** How it stands with a mailbox. Times in ms since the epoch; null: not yet. */
export interface MailboxView {
  readonly readAt: number | null;
  readonly dueAt: number | null;
  readonly failures: number;
}

/** Names a mailbox in Redis: a connector has one with IMAP, and several by Graph, each with its address. */
export function mailboxKey(connectorId: string, address: string | null): string {
  return address === null ? connectorId : `${connectorId}/${address}`;
}

export interface Mailboxes {
  view(mailbox: string): Promise<MailboxView>;
  /** Takes a mailbox that is due and that no process reads. `token` is of this reading alone. */
  take(connectorId: string, token: string, leaseMs: number): Promise<TakenMailbox>;
  /** Goes on holding it, and notes how far it was read. → false if another process has it. */
  hold(connectorId: string, token: string, leaseMs: number, place: string | null): Promise<boolean>;
  /** Gives it back, to be read again after `delayMs`. */
  end(connectorId: string, token: string, delayMs: number, failures: number): Promise<void>;
}

export function createMailboxes(redis: RedisClient, home: HomeKeys): Mailboxes {
  const keysOf = (id: string) => ({ state: home.mailbox(id), lease: home.mailboxLease(id) });
  return {
    async view(id) {
      const [readAt, dueAt, failures] = await redis.hmget(home.mailbox(id), 'readAt', 'dueAt', 'failures');
      return { readAt: Number(readAt) || null, dueAt: Number(dueAt) || null, failures: Number(failures) || 0 };
    },
    async take(id, token, leaseMs) {
      const answer = await run(redis, takeMailboxScript, { keys: keysOf(id), args: { token, leaseMs } });
      const [waitMs, place, readAt, failures] = answer as [number, string, string, string];
      return {
        waitMs,
        place: place || null,
        readAt: readAt === '' ? null : Number(readAt),
        failures: Number(failures),
      };
    },
    async hold(id, token, leaseMs, place) {
      const args = { token, leaseMs, place: place ?? '' };
      return Number(await run(redis, holdMailboxScript, { keys: keysOf(id), args })) === 1;
    },
    async end(id, token, delayMs, failures) {
      await run(redis, endMailboxScript, { keys: keysOf(id), args: { token, delayMs, failures } });
    },
  };
}
