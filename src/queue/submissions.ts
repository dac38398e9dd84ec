/**
 * What processes that take mail by SMTP share beside what all that serve callers do (callers.ts): how often a login failed, and
 * what was submitted and refused.
 */
import { createHash } from 'node:crypto';
import { run, script } from './lua/script.ts';
import type { RedisClient } from './redis/connection.ts';
import type { HomeKeys } from './redis/keys.ts';

/** Failed logins of a user, or from an address, that are answered; further ones are not even looked at. */
const maxLoginFailures = 10;
/** For so long after the first of them, in ms. */
const loginWindowMs = 15 * 60_000;
/** How long an address is known from which a user has logged in, in ms. */
const knownForMs = 30 * 24 * 3_600_000;

/**
 * Counts an attempt to log in before its password is looked at: many at once would all be looked at otherwise. `known`: this user has
 * logged in from this address before, so that what strangers try elsewhere does not lock the user out. → 1, or 0 if there were too
 * many; such an attempt is not counted. @lua
 */
export const loginScript = script(
  { keys: ['address', 'user', 'known'], args: ['most', 'windowMs'], allowOom: true },
  /* lua */ `
local function count(key) return tonumber(redis.call('GET', key) or '0') or 0 end
if count(address) >= tonumber(most) then return 0 end
if count(user) >= tonumber(most) and redis.call('EXISTS', known) == 0 then return 0 end
for _, key in ipairs({ address, user }) do
  if redis.call('INCR', key) == 1 then redis.call('PEXPIRE', key, windowMs) end
end
return 1
`,
);

/** Takes back what was counted for an attempt that succeeded. @lua */
export const loggedInScript = script(
  { keys: ['address', 'user', 'known'], args: ['knownForMs'], allowOom: true },
  /* lua */ `
for _, key in ipairs({ address, user }) do
  local count = tonumber(redis.call('GET', key) or '0') or 0
  if count > 1 then redis.call('DECR', key) elseif count == 1 then redis.call('DEL', key) end
end
redis.call('SET', known, '1', 'PX', knownForMs)
return 1
`,
);

export interface Login {
  readonly user: string;
  readonly address: string;
}

/** What a user, or the clients of a listener without a login, have come to since the last note. */
export interface SubmissionNote {
  readonly user: string;
  /** Outcome → how many. */
  readonly counts: Readonly<Record<string, number>>;
  readonly last: SubmissionTrace;
}

/** Times in ms since the epoch. `refused` is the last reply that was no 250. */
interface SubmissionTrace {
  readonly at: number;
  readonly address: string;
  readonly refused: { readonly at: number; readonly reply: string } | null;
}

/** `count` from `maxLoginFailures` on locks the user out, until `until`, but from addresses that are known. */
export interface LoginFailures {
  readonly count: number;
  readonly isLocked: boolean;
  /** ms since the epoch; null without failures. */
  readonly until: number | null;
}

export interface SubmissionReport {
  readonly user: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly last: SubmissionTrace | null;
}

export interface Submissions {
  /** Counts an attempt to log in. → false if there were too many that failed. */
  attempt(login: Login): Promise<boolean>;
  /** Says that it succeeded. */
  succeeded(login: Login): Promise<void>;
  note(notes: readonly SubmissionNote[]): Promise<void>;
  report(): Promise<readonly SubmissionReport[]>;
  /** Failed logins of these users that still count. */
  failures(users: readonly string[]): Promise<readonly LoginFailures[]>;
}

export function createSubmissions(redis: RedisClient, keys: HomeKeys): Submissions {
  const keysOf = ({ user, address }: Login) => ({
    address: keys.loginAddress(hashOf(networkOf(address))),
    user: keys.loginUser(hashOf(user)),
    known: keys.loginKnown(hashOf(`${user}\n${networkOf(address)}`)),
  });
  return {
    async attempt(login) {
      const args = { most: maxLoginFailures, windowMs: loginWindowMs };
      return Number(await run(redis, loginScript, { keys: keysOf(login), args })) === 1;
    },

    async succeeded(login) {
      await run(redis, loggedInScript, { keys: keysOf(login), args: { knownForMs } });
    },

    async note(notes) {
      const pipeline = redis.pipeline();
      for (const { user, counts, last } of notes) {
        for (const [outcome, count] of Object.entries(counts)) {
          pipeline.hincrby(keys.submissionCounts, `${user} ${outcome}`, count);
        }
        const { refused, ...latest } = last;
        pipeline.hset(keys.submissionLast, user, JSON.stringify(latest));
        if (refused !== null) pipeline.hset(keys.submissionLast, `${user} refused`, JSON.stringify(refused));
      }
      await pipeline.exec();
    },

    async report() {
      const [counts, last] = await Promise.all([
        redis.hgetall(keys.submissionCounts),
        redis.hgetall(keys.submissionLast),
      ]);
      const users = new Map<string, Record<string, number>>();
      for (const [field, count] of Object.entries(counts)) {
        const [user = '', outcome = ''] = field.split(' ');
        const of = users.get(user) ?? {};
        of[outcome] = Number(count) || 0;
        users.set(user, of);
      }
      return [...users].map(([user, of]) => ({
        user,
        counts: of,
        last: traceOf(last[user], last[`${user} refused`]),
      }));
    },

    async failures(users) {
      const pipeline = redis.pipeline();
      for (const user of users) {
        const key = keys.loginUser(hashOf(user));
        pipeline.get(key).pttl(key);
      }
      const now = Date.now();
      const answers = (await pipeline.exec()) ?? [];
      return users.map((_, i) => {
        const [count = 0, leftMs = 0] = answers.slice(2 * i, 2 * i + 2).map(([, value]) => Number(value) || 0);
        return { count, isLocked: count >= maxLoginFailures, until: count > 0 && leftMs > 0 ? now + leftMs : null };
      });
    },
  };
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}

/** An IPv6 host has a whole /64 (RFC 4291 section 2.5.4), so one that guesses passwords changes its address for each guess. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address;
  const [head = '', tail] = address.split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - front.length - back.length);
  const groups = [...front, ...Array.from({ length: zeros }, () => '0'), ...back];
  return `${groups
    .slice(0, 4)
    .map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}

function traceOf(latest: string | undefined, refused: string | undefined): SubmissionTrace | null {
  const { at, address } = mapOf(latest);
  if (typeof at !== 'number' || typeof address !== 'string') return null;
  const { at: refusedAt, reply } = mapOf(refused);
  const isRefused = typeof refusedAt === 'number' && typeof reply === 'string';
  return { at, address, refused: isRefused ? { at: refusedAt, reply } : null };
}

/** What is not ours in Redis counts as nothing. */
function mapOf(text: string | undefined): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(text ?? '{}')) as Record<string, unknown>;
  } catch {
    return {};
  }
}
