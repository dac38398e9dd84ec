/** Encoded words (RFC 2047) and encoded parameters (RFC 2231): reads those of names in address lists, and writes both. */

const encodedWord = /=\?([\w-]{1,40})(?:\*[\w-]{0,20})?\?([QB])\?([^?\s]{0,4096})\?=/gi;

function decodeWord(charset: string, encoding: string, text: string): string | null {
  let bytes: Buffer;
  if (encoding.toUpperCase() === 'B') bytes = Buffer.from(text, 'base64');
  else {
    const unescaped = text
      .replaceAll('_', ' ')
      .replaceAll(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    bytes = Buffer.from(unescaped, 'latin1');
  }
  try {
    return new TextDecoder(charset).decode(bytes);
  } catch {
    return null; // A charset that this Node does not know: the word stays as it is.
  }
}

/** The text with its encoded words decoded. White space between two encoded words disappears (RFC 2047 section 6.2). */
export function decodeEncodedWords(text: string): string {
  return text
    .replaceAll(/\?=[ \t\r\n]{1,10}(?==\?)/g, '?=')
    .replaceAll(
      encodedWord,
      (word, charset: string, encoding: string, body: string) => decodeWord(charset, encoding, body) ?? word,
    );
}

/** `unknown-8bit` (RFC 1428): bytes that are no UTF-8, from a program that did not say what they are. */
export type Charset = 'utf-8' | 'unknown-8bit';

/** A word has at most 75 characters (RFC 2047 section 2); this leaves room for the name of the field before the first. */
const bytesPerWord = 33;

/** Without blanks at its ends. `trim()` would take the last byte of an `à` for a no-break space. */
export function trimBlanks(latin1: string): string {
  let start = 0;
  let end = latin1.length;
  while (start < end && isBlank(latin1.charCodeAt(start))) start += 1;
  while (end > start && isBlank(latin1.charCodeAt(end - 1))) end -= 1;
  return latin1.slice(start, end);
}

export function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

export function isAsciiText(latin1: string): boolean {
  for (let i = 0; i < latin1.length; i += 1) if (latin1.charCodeAt(i) >= 0x80) return false;
  return true;
}

/** `text` has one character per byte. A character of UTF-8 is never divided between two words. */
export function encodedWords(text: string, charset: Charset): string {
  return slices(Buffer.from(text, 'latin1'), bytesPerWord, charset)
    .map((bytes) => `=?${charset}?B?${bytes.toString('base64')}?=`)
    .join(' ');
}

/** `; name*=utf-8''%C3%A9` without the semicolon, in sections if it is long (RFC 2231 sections 3 and 4). */
export function encodedParameter(name: string, text: string, charset: Charset): string {
  const sections = slices(Buffer.from(text, 'latin1'), 15, charset).map((bytes) =>
    [...bytes].map((byte) => percentEncoded(byte)).join(''),
  );
  const prefix = charset === 'utf-8' ? "utf-8''" : "''";
  if (sections.length <= 1) return ` ${name}*=${prefix}${sections.join('')}`;
  return sections.map((section, i) => ` ${name}*${i}*=${i === 0 ? prefix : ''}${section}`).join(';');
}

function percentEncoded(byte: number): string {
  const char = String.fromCharCode(byte);
  return /[A-Za-z0-9._-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}

function slices(bytes: Buffer, size: number, charset: Charset): Buffer[] {
  const found: Buffer[] = [];
  for (let start = 0; start < bytes.length;) {
    const limit = Math.min(start + size, bytes.length);
    const end = charset === 'utf-8' ? characterStart(bytes, limit) : limit;
    found.push(bytes.subarray(start, end));
    start = end;
  }
  return found;
}

/** 10xxxxxx continues a character, which has at most four bytes. */
function characterStart(bytes: Buffer, at: number): number {
  let start = at;
  while (start > at - 3 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start -= 1;
  return start;
}
