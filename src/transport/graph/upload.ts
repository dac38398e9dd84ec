/**
 * Sends one attachment through an upload session: range after range, and after an interruption from where the server says.
 *
 * The URL of a session, at another host, is its own credential: no token is sent there.
 * https://learn.microsoft.com/graph/outlook-large-attachments
 */
import { HttpFailure, type HttpAnswer, type HttpClient } from '../http.ts';
import { rangeBytes } from './limits.ts';
import { objectOf, readRetryAfter } from '../http-reply.ts';

export type Uploaded =
  | { readonly kind: 'done' }
  /** The session no longer exists; another one may succeed. */
  | { readonly kind: 'session-lost'; readonly text: string }
  | { readonly kind: 'failed'; readonly status: number | null; readonly code: string | null; readonly text: string };

export interface UploadTools {
  readonly http: HttpClient;
  readonly signal: AbortSignal;
  readonly requestMs: number;
  /** ms since the epoch. */
  readonly now: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** In a row, without a byte of progress. With the delays between them: a minute without a connection. */
const maxFailures = 6;
const firstDelayMs = 1_000;
/** A longer pause is a matter of the lane, not of an open session. */
const maxDelayMs = 30_000;

/** The content to upload, read range by range so that it is never in memory as a whole. */
export interface UploadSource {
  /** Bytes. */
  readonly size: number;
  readonly range: (start: number, end: number) => Promise<Buffer>;
}

export async function upload(url: string, source: UploadSource, tools: UploadTools): Promise<Uploaded> {
  let position = 0;
  let failures = 0;
  let last: Uploaded & { kind: 'failed' } = { kind: 'failed', status: null, code: null, text: 'not begun' };
  while (failures < maxFailures && !tools.signal.aborted) {
    const end = Math.min(position + rangeBytes, source.size);
    let bytes: Buffer;
    try {
      bytes = await source.range(position, end);
    } catch (error) {
      const text = `an attachment cannot be read: ${error instanceof Error ? error.message : String(error)}`;
      return { kind: 'failed', status: null, code: null, text };
    }
    const answer = await put(url, bytes, { start: position, total: source.size }, tools);
    if (!(answer instanceof HttpFailure)) {
      if (answer.status === 201) return { kind: 'done' };
      const next = answer.status === 200 ? nextPosition(answer, source.size) : null;
      if (next !== null && next > position) {
        position = next;
        failures = 0;
        continue;
      }
      if (answer.status === 404 || answer.status === 410) {
        return { kind: 'session-lost', text: `the upload session is gone (${answer.status})` };
      }
      last = { kind: 'failed', status: answer.status, code: null, text: `the upload was answered ${answer.status}` };
      if (answer.status < 500 && ![200, 202, 408, 409, 416, 429].includes(answer.status)) return last;
    } else {
      last = { kind: 'failed', status: null, code: answer.code, text: answer.message };
    }
    failures += 1;
    const asked =
      answer instanceof HttpFailure ? null : readRetryAfter(answer.headers['retry-after'] ?? null, tools.now());
    if (asked !== null && asked > maxDelayMs) return last;
    await tools.sleep(asked ?? Math.min(firstDelayMs * 2 ** (failures - 1), maxDelayMs), tools.signal);
    if (tools.signal.aborted) break;
    const state = await ask(url, tools);
    if (state instanceof HttpFailure) continue;
    if (state.status === 404 || state.status === 410) {
      return { kind: 'session-lost', text: `the upload session is gone (${state.status})` };
    }
    const resumed = state.status === 200 ? nextPosition(state, source.size) : null;
    if (resumed !== null && resumed > position) failures = 0;
    if (resumed !== null) position = resumed;
  }
  return last;
}

async function put(
  url: string,
  bytes: Buffer,
  { start, total }: { readonly start: number; readonly total: number },
  tools: UploadTools,
): Promise<HttpAnswer | HttpFailure> {
  const headers = {
    'content-type': 'application/octet-stream',
    'content-range': `bytes ${start}-${start + bytes.length - 1}/${total}`,
  };
  return request(tools, { url, method: 'PUT', headers, body: bytes });
}

/** Asks how far the session has got. */
function ask(url: string, tools: UploadTools): Promise<HttpAnswer | HttpFailure> {
  return request(tools, { url, method: 'GET', headers: {}, body: null });
}

async function request(
  { http, signal, requestMs }: UploadTools,
  what: { url: string; method: string; headers: Record<string, string>; body: Buffer | null },
): Promise<HttpAnswer | HttpFailure> {
  try {
    return await http.request({ ...what, signal, timeoutMs: requestMs });
  } catch (error) {
    if (error instanceof HttpFailure) return error;
    throw error;
  }
}

/** `{ nextExpectedRanges: ["2097152-"] }`; the keys come in two spellings. Null if the answer names no usable position. */
function nextPosition({ text }: HttpAnswer, length: number): number | null {
  const body = objectOf(text);
  const ranges = body?.['nextExpectedRanges'] ?? body?.['NextExpectedRanges'];
  const first: unknown = Array.isArray(ranges) ? ranges[0] : undefined;
  const start = /^(\d{1,12})/.exec(typeof first === 'string' ? first : '')?.[1];
  return start === undefined || Number(start) >= length ? null : Number(start);
}
