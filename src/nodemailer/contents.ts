/** Reads the contents of a mail within bounds: text, bytes, streams, files, URLs and data URLs, as nodemailer takes them. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { asError } from '../errors.ts';
import { download } from './download.ts';
import { mailError } from './failures.ts';

export interface Reading {
  /** Bytes that may still be read for this mail. */
  leftBytes: number;
  readonly maxBytes: number;
  readonly disableFileAccess: boolean;
  readonly disableUrlAccess: boolean;
  readonly signal: AbortSignal;
}

type Given = Readonly<Record<string, unknown>>;

export function isRecord(value: unknown): value is Given {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isStream(value: unknown): value is NodeJS.ReadableStream {
  return isRecord(value) && typeof value['pipe'] === 'function';
}

export function isDataUrl(text: unknown): boolean {
  return typeof text === 'string' && /^data:/i.test(text);
}

/** What is no text, number or truth value has no text. */
export function plainText(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

/** Where a content is to be read from, if it is not there itself. */
export function placeOf(given: Given): string {
  const { path, href } = given;
  return typeof path === 'string' && path !== '' ? path : typeof href === 'string' ? href : '';
}

/** The content of `given`, which is text, bytes, a stream, or an object that has or names one of these. `field` is for errors. */
export async function readContent(given: unknown, field: string, reading: Reading): Promise<string | Buffer> {
  if (given === undefined || given === null || given === false) return '';
  if (typeof given === 'string') return given;
  if (ArrayBuffer.isView(given)) return Buffer.from(given.buffer, given.byteOffset, given.byteLength);
  if (isStream(given)) return readStream(given, field, reading);
  if (!isRecord(given)) return plainText(given);
  const { content, encoding } = given;
  if (typeof content === 'string') return decoded(content, encoding, field);
  if (content !== undefined && content !== null && content !== false) return readContent(content, field, reading);
  const place = placeOf(given);
  if (place === '') return '';
  if (isDataUrl(place)) return bytesOfDataUrl(place);
  const isUrl = given['path'] !== place || /^https?:\/\//i.test(place);
  return isUrl ? readUrl(place, given, field, reading) : readFile(place, field, reading);
}

/** The content if it need not be read from anywhere, else null. */
export function contentAtHand(given: unknown, field: string): string | Buffer | null {
  if (typeof given === 'string') return given;
  if (ArrayBuffer.isView(given)) return Buffer.from(given.buffer, given.byteOffset, given.byteLength);
  if (!isRecord(given)) return null;
  const { content, encoding } = given;
  if (typeof content === 'string') return decoded(content, encoding, field);
  return ArrayBuffer.isView(content) ? contentAtHand(content, field) : null;
}

/** What nodemailer takes for text in UTF-8. */
const plainEncodings: ReadonlySet<string> = new Set(['utf8', 'usascii', 'ascii']);

function decoded(content: string, encoding: unknown, field: string): string | Buffer {
  if (typeof encoding !== 'string') return content;
  const plain = encoding.toLowerCase().replaceAll(/[-_\s]/g, '');
  if (plainEncodings.has(plain)) return content;
  if (Buffer.isEncoding(plain)) return Buffer.from(content, plain);
  throw mailError('EMESSAGE', `${field}.encoding: is no encoding of text`);
}

export async function readStream(stream: NodeJS.ReadableStream, field: string, reading: Reading): Promise<Buffer> {
  const { signal } = reading;
  // Streams of old libraries have no iterator.
  const readable = stream instanceof Readable ? stream : new Readable().wrap(stream);
  const stop = (): void => void readable.destroy(asError(signal.reason));
  signal.addEventListener('abort', stop, { once: true });
  const chunks: Buffer[] = [];
  try {
    if (signal.aborted) throw asError(signal.reason);
    for await (const chunk of readable as AsyncIterable<string | Uint8Array>) {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : Buffer.from(chunk);
      reading.leftBytes -= bytes.length;
      if (reading.leftBytes < 0) throw tooLarge(field, reading);
      chunks.push(bytes);
    }
  } catch (error) {
    throw unreadable(error, field, reading);
  } finally {
    signal.removeEventListener('abort', stop);
    readable.destroy();
  }
  return Buffer.concat(chunks);
}

async function readFile(path: string, field: string, reading: Reading): Promise<Buffer> {
  if (reading.disableFileAccess) throw mailError('EFILEACCESS', `${field}: File access rejected for ${path}`);
  try {
    const file = await stat(path);
    // A pipe or a device may never end, and a folder is none.
    if (!file.isFile()) throw new Error('is no regular file');
    if (file.size > reading.leftBytes) throw tooLarge(field, reading);
  } catch (error) {
    throw unreadable(error, field, reading);
  }
  return readStream(createReadStream(path), field, reading);
}

async function readUrl(url: string, given: Given, field: string, reading: Reading): Promise<Buffer> {
  if (reading.disableUrlAccess) throw mailError('EURLACCESS', `${field}: Url access rejected for ${url}`);
  const { httpHeaders, tls } = given;
  try {
    const body = await download(url, {
      headers: isRecord(httpHeaders) ? (httpHeaders as Record<string, string>) : {},
      tls: isRecord(tls) ? tls : {},
      signal: reading.signal,
    });
    if (Number(body.headers['content-length'] ?? 0) > reading.leftBytes) {
      body.destroy();
      throw tooLarge(field, reading);
    }
    return await readStream(body, field, reading);
  } catch (error) {
    throw unreadable(error, field, reading);
  }
}

/** RFC 2397: percent-encoded text, or base64. */
function bytesOfDataUrl(url: string): Buffer {
  const comma = url.indexOf(',');
  if (comma < 0) return Buffer.alloc(0);
  const data = url.slice(comma + 1);
  if (/;\s*base64\s*$/i.test(url.slice(0, Math.min(comma, 1_000)))) return Buffer.from(data, 'base64');
  try {
    return Buffer.from(decodeURIComponent(data));
  } catch {
    return Buffer.from(data);
  }
}

/** The media type that a data URL names, with its parameters; undefined without one. */
export function typeOfDataUrl(url: string): string | undefined {
  const type = /^data:([^,]{0,255}),/i.exec(url)?.[1]?.replace(/;\s*base64\s*$/i, '');
  return type === undefined || type === '' || type.startsWith(';') ? undefined : type;
}

function tooLarge(field: string, { maxBytes }: Reading): Error {
  return mailError('EMESSAGE', `${field}: the contents of the mail have more than ${maxBytes} bytes`);
}

function unreadable(error: unknown, field: string, { signal }: Reading): Error {
  if (error instanceof Error && 'code' in error && error.code === 'EMESSAGE') return error;
  const { reason } = signal as { readonly reason: unknown };
  const isLate = reason instanceof Error && reason.name === 'TimeoutError';
  if (signal.aborted && !isLate) {
    return mailError('EABORT', 'The signal came while the contents of the mail were read', { cause: reason });
  }
  const why = signal.aborted ? 'was not there in time (readTimeoutMs)' : asError(error).message;
  return mailError('ESTREAM', `${field}: cannot be read: ${why}`, { cause: error });
}
