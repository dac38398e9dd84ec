/** Content of attachments and raw messages: its input forms, its normal form, its bytes and its size. */
import type { Parsed } from './address.ts';
import type { Content } from './message.ts';

export interface ContentInput {
  readonly content: string | Uint8Array;
  readonly encoding?: 'utf8' | 'base64' | undefined;
}

// Padded, of the standard alphabet (RFC 4648 section 4). One character class and a bounded end: linear.
const base64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Bytes become base64; base64 loses its white space (it is often wrapped at 76 characters) and is checked. */
export function normaliseContent(input: ContentInput): Parsed<Exclude<Content, { readonly ref: string }>> {
  if (typeof input.content !== 'string') {
    const { buffer, byteOffset, byteLength } = input.content;
    return {
      ok: true,
      value: { content: Buffer.from(buffer, byteOffset, byteLength).toString('base64'), encoding: 'base64' },
    };
  }
  if (input.encoding !== 'base64')
    return { ok: true, value: { content: input.content.toWellFormed(), encoding: 'utf8' } };
  const content = withoutBlanks(input.content);
  if (content.length % 4 !== 0 || !base64.test(content)) return { ok: false, problem: 'is not valid base64' };
  return { ok: true, value: { content, encoding: 'base64' } };
}

const space = 0x20;

/** One pass over bytes: a replacement for each line end of 30 MB takes seconds. */
function withoutBlanks(text: string): string {
  // Beyond latin1 two characters would become one byte; what is no base64 is judged as it is.
  if (!/[ \t\r\n]/.test(text) || /[^\0-\u00ff]/.test(text)) return text;
  const bytes = Buffer.from(text, 'latin1');
  let length = 0;
  for (let i = 0; i < bytes.length; i += 1) {
    const byte = bytes[i] ?? 0;
    if (byte <= space && (byte === space || byte === 0x09 || byte === 0x0a || byte === 0x0d)) continue;
    bytes[length] = byte;
    length += 1;
  }
  return bytes.toString('latin1', 0, length);
}

/** The bytes of inline content; null for content that is stored elsewhere. */
export function inlineBytes(content: Content): Buffer | null {
  return 'ref' in content ? null : Buffer.from(content.content, content.encoding);
}

/** At least the first `count` bytes of inline content, or all of it. */
export function inlineHead({ content, encoding }: Exclude<Content, { ref: string }>, count: number): Buffer {
  return Buffer.from(content.slice(0, encoding === 'base64' ? Math.ceil(count / 3) * 4 : count), encoding);
}

/** Bytes that the content has once decoded, without decoding it. */
export function contentSize(content: Content): number {
  if ('ref' in content) return content.size;
  if (content.encoding === 'utf8') return Buffer.byteLength(content.content);
  return Buffer.byteLength(content.content, 'base64');
}
