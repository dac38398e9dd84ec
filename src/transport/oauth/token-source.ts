/** The access token of one connector: requested once at a time, kept, renewed before it expires, discarded when it is refused. */
import { abortable } from '../../async/abort.ts';
import { withTimeout } from '../../async/timeout.ts';
import type { FaultClass } from '../transport.ts';
import type { Token } from './entra.ts';
import { readTokenError, TokenFailure } from './entra-errors.ts';

export interface TokenSource {
  /** A valid token. Rejects with TokenFailure. The signal ends the wait, not the request, which other callers share. */
  get(signal: AbortSignal): Promise<string>;
  /** Another token, because the server refused this one. Later callers with the same refused token get the same result. */
  renew(token: string, signal: AbortSignal): Promise<string>;
  /** The tokens that servers have seen lately, which must not be shown. */
  readonly secrets: readonly string[];
}

export interface TokenSourceOptions {
  readonly request: (signal: AbortSignal) => Promise<Token>;
  /** How long a request for a token may take. @azure/identity has no limit of its own and ignores its signal. */
  readonly timeoutMs: number;
  /** ms since the epoch. */
  readonly now: () => number;
  /** Told of each request that has ended: `ok`, or the fault. */
  readonly told?: ((outcome: 'ok' | FaultClass) => void) | undefined;
}

/** Tokens live for 60 to 90 minutes; one that expires while a request is on its way would be refused. */
const earlyMs = 10 * 60_000;
const tooLateMs = 60_000;
/** Neither a failing early renewal nor a short-lived token may cause a request per message. */
const betweenEarlyMs = 60_000;

export function createTokenSource({
  request,
  timeoutMs,
  now,
  told = () => undefined,
}: TokenSourceOptions): TokenSource {
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
        (token) => (kept = checked(token)),
        (error: unknown) => {
          throw readTokenError(error);
        },
      )
      .then(
        (token) => {
          told('ok');
          return token;
        },
        (error: unknown) => {
          told(readTokenError(error).fault);
          throw error;
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
          // No caller waits for this one: if it fails, the current token is still valid for a while.
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
    get secrets() {
      return [kept?.token, refused].filter((token) => token !== undefined && token !== null);
    },
  };
}

/** Longer than any real token, and as long as servers take a header line. */
const maxTokenLength = 16 * 1024;

/** A token becomes part of a header and of a command: RFC 6750 section 2.1 has no spaces and no control characters in it. */
function checked(token: Token): Token {
  if (token.token.length <= maxTokenLength && /^[\x21-\x7e]+$/.test(token.token)) return token;
  const text = 'the token that came is none: it is too long, or has characters that no token has';
  throw new TokenFailure('unreachable', { code: null, enhancedCode: null, text });
}

/** A request for a token is shared, so the signal ends only the waiting for it. */
function unlessAborted(work: Promise<Token>, signal: AbortSignal): Promise<Token> {
  return abortable(work, signal, () => {
    const text = 'stopped while waiting for a token';
    throw new TokenFailure('unreachable', { code: null, enhancedCode: null, text });
  });
}
