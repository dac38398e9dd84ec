/** The token of one connector: asked for once at a time, kept, renewed before it ends, thrown away when it is refused. */
import { abortable } from '../../async/abort.ts';
import { withTimeout } from '../../async/timeout.ts';
import type { Token } from './entra.ts';
import { readTokenError, TokenFailure } from './entra-errors.ts';

export interface TokenSource {
  /** A token that is good now. Rejects with TokenFailure. The signal ends the waiting, not the request that others share. */
  get(signal: AbortSignal): Promise<string>;
  /** The server refused `token`: another one. Whoever comes later with the same refused token gets what the first got. */
  renew(token: string, signal: AbortSignal): Promise<string>;
  /** A text of the far side, without a token that it repeats. */
  hide(text: string): string;
}

export interface TokenSourceOptions {
  readonly request: (signal: AbortSignal) => Promise<Token>;
  /** How long a request for a token may take. @azure/identity has no limit of its own and ignores its signal. */
  readonly timeoutMs: number;
  /** ms since the epoch. */
  readonly now: () => number;
  /** Never part of an error's text, even if the far side repeats them. */
  readonly secrets?: readonly string[];
}

/** Tokens live for 60 to 90 minutes; one that ends while a request is on its way would be refused. */
const earlyMs = 10 * 60_000;
const tooLateMs = 60_000;
/** An early renewal that fails, and a token that is short-lived, must not make a request for each message. */
const betweenEarlyMs = 60_000;

export function createTokenSource({ request, timeoutMs, now, secrets = [] }: TokenSourceOptions): TokenSource {
  let kept: Token | null = null;
  let refused: string | null = null;
  let running: Promise<Token> | null = null;
  let earlyAt = 0;

  const ask = (): Promise<Token> => {
    running ??= withTimeout(request, timeoutMs, () => {
      const text = `no token within ${timeoutMs} ms`;
      return new TokenFailure('unreachable', { code: 'ETIMEDOUT', enhancedCode: null, text });
    })
      .then(
        (token) => (kept = token),
        (error: unknown) => {
          throw readTokenError(error, secrets);
        },
      )
      .finally(() => {
        running = null;
      });
    return running;
  };

  return {
    async get(signal) {
      if (kept !== null) {
        const left = kept.expiresAt - now();
        if (left > earlyMs) return kept.token;
        if (left > tooLateMs) {
          if (now() < earlyAt) return kept.token;
          earlyAt = now() + betweenEarlyMs;
          // Nobody waits for this one: should it fail, the token that is there is good for a while.
          ask().catch(() => undefined);
          return kept.token;
        }
      }
      return (await unlessAborted(ask(), signal)).token;
    },
    async renew(token, signal) {
      if (kept !== null && kept.token !== token && kept.token !== refused) return kept.token;
      refused = token;
      kept = null;
      return (await unlessAborted(ask(), signal)).token;
    },
    hide: (text) =>
      [kept?.token, refused].reduce<string>((shown, token) => (token ? shown.replaceAll(token, '…') : shown), text),
  };
}

/** A request for a token is shared, so the signal ends only the waiting for it. */
function unlessAborted(work: Promise<Token>, signal: AbortSignal): Promise<Token> {
  return abortable(work, signal, () => {
    const text = 'stopped while waiting for a token';
    throw new TokenFailure('unreachable', { code: null, enhancedCode: null, text });
  });
}
