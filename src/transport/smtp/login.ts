/** The credentials of an SMTP login: the password, or an access token that is requested, kept, and replaced once it is refused. */
import type { SmtpAuth } from './settings.ts';
import { SmtpFailure } from './failure.ts';
import { readTokenError } from '../oauth/entra-errors.ts';
import { loginSecrets, loginTokens } from '../oauth/login-tokens.ts';
import type { TokenListener } from '../transport.ts';

export interface Login {
  readonly user: string;
  readonly kind: 'password' | 'token';
  readonly secret: string;
}

export interface Logins {
  /** Null for a connector without a login. Rejects with SmtpFailure if no token can be had. */
  next(signal: AbortSignal): Promise<Login | null>;
  /** The server refused the last login: its token is not presented again. */
  refused(): void;
  /** Everything that must not be shown. */
  readonly secrets: readonly string[];
}

/** `now`: ms since the epoch. */
export function createLogins(auth: SmtpAuth | null, now: () => number, onToken?: TokenListener): Logins {
  if (auth === null) return { next: () => Promise.resolve(null), refused: () => undefined, secrets: [] };
  const { user } = auth;
  if (auth.password !== undefined) {
    const login: Login = { user, kind: 'password', secret: auth.password };
    return { next: () => Promise.resolve(login), refused: () => undefined, secrets: [auth.password] };
  }
  const { oauth2 } = auth;
  const tokens = loginTokens(user, oauth2, now, (outcome) => onToken?.(oauth2.provider, outcome));
  const ownSecrets = loginSecrets(oauth2);
  let last: string | null = null;
  let wasRefused = false;
  return {
    async next(signal) {
      try {
        const token = wasRefused && last !== null ? await tokens.renew(last, signal) : await tokens.get(signal);
        [last, wasRefused] = [token, false];
        return { user, kind: 'token', secret: token };
      } catch (error) {
        const { fault, reply, pauseMs } = readTokenError(error);
        const code = reply.enhancedCode ?? reply.code;
        throw new SmtpFailure('auth', { code, text: reply.text ?? 'no token' }, { fault, pauseMs });
      }
    },
    refused() {
      wasRefused = true;
    },
    get secrets() {
      return [...ownSecrets, ...tokens.secrets];
    },
  };
}
