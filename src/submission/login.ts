/**
 * Who logs in with which password. Failures are counted over all processes, by user and by address, before a password is looked at.
 *
 * A hash takes a tenth of a second of a processor on purpose. So few are computed at once, and a login that has succeeded is remembered
 * for a while: as a keyed hash that is of no use elsewhere.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { createKeyedSemaphore } from '../async/semaphore.ts';
import type { ApiToken } from '../config/api.ts';
import type { SubmissionUser } from '../config/submission.ts';
import { checkToken } from '../config/token-check.ts';
import type { Login, SubmissionStore } from '../admin/submissions.ts';
import { maxPasswordBytes, unknownHash, verifyPassword } from './password.ts';
import type { Sender } from './sender.ts';

type LoginFailure = 'wrong-login' | 'login-blocked' | 'login-busy' | 'unavailable';

type LoginResult =
  | { readonly ok: true; readonly sender: Sender }
  /** `user`: null if there is none of that name. */
  | { readonly ok: false; readonly reason: LoginFailure; readonly user: string | null };

export interface LoginOptions {
  /** In force now. */
  readonly users: () => readonly SubmissionUser[];
  readonly tokens: () => readonly ApiToken[];
  readonly store: Pick<SubmissionStore, 'attempt' | 'succeeded'>;
  /** In ms. */
  readonly monotonic: () => number;
  /** ms since the epoch. */
  readonly now: () => number;
}

export interface Logins {
  check(login: Login, password: string): Promise<LoginResult>;
  /** The sender of that name as it is now; null if it is gone. */
  current(name: string): Sender | null;
}

/** How long a login that has succeeded is remembered, in ms: a user who is removed is gone at once all the same. */
const rememberMs = 10 * 60_000;
const maxRemembered = 10_000;
/** Hashes at once; each takes 32 MiB and a processor. */
const maxHashes = 2;
/** Logins that wait for one. */
const maxWaiting = 100;
const maxUserBytes = 200;

export function createLogins({ users, tokens, store, monotonic, now }: LoginOptions): Logins {
  const secret = randomBytes(32);
  const unknown = unknownHash();
  const semaphore = createKeyedSemaphore(maxHashes);
  const never = new AbortController().signal;
  /** Keyed hash of user and password → until when it is remembered. */
  const proven = new Map<string, { readonly hash: string; readonly until: number }>();
  const checking = new Map<string, Promise<LoginResult>>();
  let waiting = 0;

  const userOf = (name: string): SubmissionUser | undefined => users().find(({ user }) => user === name);

  const isRight = async (password: string, hash: string): Promise<boolean> => {
    waiting += 1;
    const release = await semaphore.acquire('', never);
    try {
      return await verifyPassword(password, hash);
    } finally {
      waiting -= 1;
      release?.();
    }
  };

  const remember = (key: string, hash: string): void => {
    const [oldest] = proven.keys();
    if (proven.size >= maxRemembered && oldest !== undefined) proven.delete(oldest);
    proven.set(key, { hash, until: monotonic() + rememberMs });
  };

  const look = async (login: Login, password: string, key: string): Promise<LoginResult> => {
    const user = userOf(login.user);
    const failed = (reason: LoginFailure): LoginResult => ({ ok: false, reason, user: user?.user ?? null });
    if (waiting >= maxWaiting) return failed('login-busy');
    try {
      if (!(await store.attempt(login))) return failed('login-blocked');
      const right = await isRight(password, user?.password ?? unknown);
      if (!right || user === undefined) return failed('wrong-login');
      await store.succeeded(login);
      remember(key, user.password);
      return { ok: true, sender: senderOf(user) };
    } catch {
      return failed('unavailable');
    }
  };

  /** A token is random: it is not found by guessing, so it is neither counted nor hashed slowly. */
  const tokenSender = ({ user }: Login, password: string): Sender | null => {
    const checked = checkToken(tokens(), password, now());
    return checked.kind === 'token' && checked.token.id === user && maySend(checked.token, now())
      ? senderOfToken(checked.token)
      : null;
  };

  return {
    current(name) {
      const user = userOf(name);
      if (user !== undefined) return senderOf(user);
      const token = tokens().find(({ id }) => id === name);
      return token !== undefined && maySend(token, now()) ? senderOfToken(token) : null;
    },

    async check(login, password) {
      const user = userOf(login.user);
      if (Buffer.byteLength(login.user) > maxUserBytes || Buffer.byteLength(password) > maxPasswordBytes) {
        return { ok: false, reason: 'wrong-login', user: user?.user ?? null };
      }
      const byToken = user === undefined ? tokenSender(login, password) : null;
      if (byToken !== null) return { ok: true, sender: byToken };
      const key = createHmac('sha256', secret).update(`${login.user}\0${password}`).digest('base64');
      const known = proven.get(key);
      if (user !== undefined && known?.hash === user.password && known.until > monotonic()) {
        return { ok: true, sender: senderOf(user) };
      }
      // Fifty connections that are opened at once are one login, not fifty attempts.
      const at = `${login.address} ${key}`;
      const running = checking.get(at) ?? look(login, password, key).finally(() => checking.delete(at));
      checking.set(at, running);
      return running;
    },
  };
}

function senderOf({ user, from, options, ratePerMinute, quota: limits }: SubmissionUser): Sender {
  // No id of a token has a colon.
  const key = `user:${user}`;
  const rate = ratePerMinute === null ? null : { key, perMinute: ratePerMinute };
  return { name: user, from, options, rate, quota: { key, limits } };
}

/** It has one rate and one quota here and at the HTTP API. */
function senderOfToken({ id, from, ratePerMinute, quota: limits }: ApiToken): Sender {
  return {
    name: id,
    from,
    options: false,
    rate: ratePerMinute === null ? null : { key: id, perMinute: ratePerMinute },
    quota: { key: id, limits },
  };
}

function maySend({ scopes, expiresAt }: ApiToken, now: number): boolean {
  return scopes.has('messages:send') && (expiresAt === null || now <= expiresAt);
}
