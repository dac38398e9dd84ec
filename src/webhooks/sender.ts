/** Sends one delivery over HTTP: one POST, no redirects, TLS verified, and no more time or bytes than are allowed. */
import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { asError, printable } from '../errors.ts';
import type { WebhookEndpoint } from '../config/webhooks.ts';
import { createEgress, RefusedAddress, type Egress } from './egress.ts';
import { sign } from './signature.ts';

/** What came of one request. No text of the receiver is kept: it may be anything. */
export type Answer =
  | { readonly kind: 'answered'; readonly status: number; readonly retryAfterMs: number | null }
  | { readonly kind: 'failed'; readonly why: 'timeout' | 'refused-address' | 'unreachable'; readonly detail: string };

export interface Sender {
  send(endpoint: WebhookEndpoint, delivery: { readonly id: string; readonly body: string }): Promise<Answer>;
  close(): void;
}

/** From the connection to the end of the answer. Standard Webhooks: 15 to 30 s. */
const requestMs = 20_000;
/** Of an answer: what is read, so that the connection can serve again. Beyond it, the connection ends. */
const maxAnswerBytes = 16 * 1024;
const maxHeaderBytes = 16 * 1024;
/** A longer wait is cut: longer than the schedule's own. */
const maxRetryAfterMs = 86_400_000;
const idleMs = 30_000;

export interface SenderOptions {
  readonly now?: () => number;
  readonly egress?: Egress;
  readonly timeoutMs?: number;
}

export function createSender({
  now = Date.now,
  egress = createEgress(),
  timeoutMs = requestMs,
}: SenderOptions = {}): Sender {
  const kept = { keepAlive: true, timeout: idleMs, lookup: egress.lookup };
  const plain = new HttpAgent(kept);
  const secure = new HttpsAgent(kept);
  const once = (endpoint: WebhookEndpoint, headers: Record<string, string>, body: string): Promise<Exchange> =>
    exchange(
      (answered) => {
        const url = new URL(endpoint.url);
        const options = { method: 'POST', headers, maxHeaderSize: maxHeaderBytes };
        return url.protocol === 'http:'
          ? httpRequest(url, { ...options, agent: plain }, answered)
          : httpsRequest(
              url,
              {
                ...options,
                agent: secure,
                // Whatever the environment says (NODE_TLS_REJECT_UNAUTHORIZED).
                rejectUnauthorized: true,
                ...(endpoint.ca === null ? {} : { ca: endpoint.ca }),
              },
              answered,
            );
      },
      body,
      { timeoutMs, now },
    );
  return {
    async send(endpoint, { id, body }) {
      const { hostname } = new URL(endpoint.url);
      if (egress.refuses(hostname)) return refused(new RefusedAddress(hostname));
      const headers = {
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(body)),
        'user-agent': 'postlane-webhooks',
        ...sign(id, body, endpoint.secrets, now()),
      };
      const first = await once(endpoint, headers, body);
      // A connection that the receiver has closed while it was idle says nothing about the receiver: once more, on a new one.
      const { answer } = first.stale ? await once(endpoint, headers, body) : first;
      return answer;
    },
    close() {
      plain.destroy();
      secure.destroy();
    },
  };
}

interface Exchange {
  readonly answer: Answer;
  /** The connection had served before, and was gone. */
  readonly stale: boolean;
}

function exchange(
  begin: (answered: (response: IncomingMessage) => void) => ClientRequest,
  body: string,
  { timeoutMs, now }: { readonly timeoutMs: number; readonly now: () => number },
): Promise<Exchange> {
  return new Promise((resolve) => {
    let request: ClientRequest | null = null;
    let done = false;
    const end = (answer: Answer, stale = false): void => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      resolve({ answer, stale });
    };
    const timer = setTimeout(() => {
      end({ kind: 'failed', why: 'timeout', detail: `no answer within ${timeoutMs} ms` });
      request?.destroy();
    }, timeoutMs);
    let hasAnswer = false;
    const answered = (response: IncomingMessage): void => {
      hasAnswer = true;
      const answer: Answer = {
        kind: 'answered',
        status: response.statusCode ?? 0,
        retryAfterMs: retryAfterOf(response.headers['retry-after'], now()),
      };
      let bytes = 0;
      response.on('data', (piece: Buffer) => {
        bytes += piece.length;
        if (bytes <= maxAnswerBytes) return;
        end(answer);
        response.destroy();
      });
      response.on('error', () => end(answer)).on('close', () => end(answer));
    };
    try {
      request = begin(answered);
      request.on('error', (error) => end(failureOf(error), isStale(error, request)));
      // Also a `101` or a connection that ends without an answer.
      request.on('close', () => {
        if (!hasAnswer) end({ kind: 'failed', why: 'unreachable', detail: 'the connection ended' });
      });
      request.end(body);
    } catch (thrown) {
      end(failureOf(asError(thrown)));
    }
  });
}

function isStale(error: Error & { readonly code?: string }, request: ClientRequest | null): boolean {
  return request?.reusedSocket === true && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

function failureOf(error: Error & { readonly code?: string }): Answer {
  if (error instanceof RefusedAddress) return refused(error);
  const code = error.code ?? '';
  return { kind: 'failed', why: 'unreachable', detail: printable(code === '' ? error.message : code, 200) };
}

function refused({ message }: RefusedAddress): Answer {
  return { kind: 'failed', why: 'refused-address', detail: printable(message, 200) };
}

/** RFC 9110 section 10.2.3: seconds, or a date. null: neither, or in the past. */
function retryAfterOf(text: string | undefined, now: number): number | null {
  if (text === undefined || text.length > 100) return null;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now;
  return Number.isFinite(ms) && ms > 0 ? Math.min(ms, maxRetryAfterMs) : null;
}
