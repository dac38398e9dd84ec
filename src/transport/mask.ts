/**
 * Takes a connector's own secrets out of everything that leaves its transport. Servers repeat the commands they refuse, cut,
 * folded or encoded, and replies end up in ledgers, logs and terminals.
 *
 * A secret is found as it is, in base64 (at any offset), in quoted-printable and in percent-encoding, in any letter case, and
 * across spaces and line ends: as a whole, or any eight characters of it in a row (of a short one, two thirds).
 */
import type { CheckResult, Outcome, Reply, SenderCheck } from './transport.ts';

export type Mask = (text: string) => string;

const replacement = '***';
/** Shorter ones are no secrets, and would take ordinary words out of replies. */
const minLength = 3;
/** Characters in a row that give a secret away. */
const longestRun = 8;

/** `secrets` is asked each time, because access tokens change. */
export function createMask(secrets: () => readonly string[]): Mask {
  let known: readonly string[] = [];
  let patterns: readonly Pattern[] = [];
  return (text) => {
    const current = secrets();
    if (current.length !== known.length || current.some((secret, index) => secret !== known[index])) {
      known = current;
      patterns = current.filter((secret) => secret.length >= minLength).flatMap(patternsOf);
    }
    return patterns.length === 0 ? text : masked(text, patterns);
  };
}

/** The private keys of PEM text, without its armour and without certificates, which are no secret. */
export function privateKeysOf(pem: string): string[] {
  const blocks = pem.matchAll(/-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----([\s\S]*?)-----END/g);
  return [...blocks].map(([, body = '']) => body.replace(/\s+/g, ''));
}

export function maskOutcome(outcome: Outcome, mask: Mask): Outcome {
  switch (outcome.kind) {
    case 'settled': {
      const recipients = outcome.recipients.map((recipient) => ({
        ...recipient,
        reply: maskReply(recipient.reply, mask),
      }));
      return { ...outcome, recipients };
    }
    case 'connector-fault':
      return { ...outcome, reply: maskReply(outcome.reply, mask) };
    case 'stopped':
      return outcome;
    default:
      return outcome satisfies never;
  }
}

export function maskCheck(result: CheckResult, mask: Mask): CheckResult {
  return result.ok ? { ...result, detail: mask(result.detail) } : { ...result, reply: maskReply(result.reply, mask) };
}

export function maskSender(check: SenderCheck, mask: Mask): SenderCheck {
  return { ...check, reply: maskReply(check.reply, mask) };
}

/** `code` is a number, or a name that Node gives to a fault. */
function maskReply(reply: Reply, mask: Mask): Reply {
  const { enhancedCode, text } = reply;
  return {
    ...reply,
    enhancedCode: enhancedCode === null ? null : mask(enhancedCode),
    text: text === null ? null : mask(text),
  };
}

/** A form of a secret, as bytes in lower case, one character for each. */
interface Pattern {
  readonly form: string;
  /** So many of its characters in a row are masked. */
  readonly run: number;
  /** Bits for the hashes of its runs; its length is a power of two. Most positions of a text need no other comparison. */
  readonly hashes: Uint8Array;
  /** In base64 the characters around it belong to the same value. */
  readonly isBase64: boolean;
}

function patternsOf(secret: string): Pattern[] {
  const bytes = Buffer.from(secret, 'utf8');
  const plain = folded(bytes.toString('latin1'));
  const base64 = [0, 1, 2].map((offset) => folded(base64At(bytes, offset)));
  return [
    ...[...new Set([plain, plain.replace(/\s+/g, '')])].map((form) => patternOf(form, false)),
    ...base64.map((form) => patternOf(form, true)),
  ].filter(({ form }) => form.length >= minLength);
}

function patternOf(form: string, isBase64: boolean): Pattern {
  const run = Math.min(longestRun, Math.max(Math.min(form.length, 4), Math.ceil((form.length * 2) / 3)));
  const hashes = new Uint8Array(2 ** Math.ceil(Math.log2(form.length + 16)));
  for (let at = 0; at + run <= form.length; at += 1) {
    const hash = hashOf(form, at, run);
    const index = (hash >>> 3) & (hashes.length - 1);
    hashes[index] = (hashes[index] ?? 0) | (1 << (hash & 7));
  }
  return { form, run, hashes, isBase64 };
}

function mayContain({ run, hashes }: Pattern, bytes: string, at: number): boolean {
  const hash = hashOf(bytes, at, run);
  return ((hashes[(hash >>> 3) & (hashes.length - 1)] ?? 0) & (1 << (hash & 7))) !== 0;
}

/** The characters of base64 that depend on these bytes alone, where `offset` bytes come before them in the encoded value. */
function base64At(bytes: Buffer, offset: number): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
  return text.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6));
}

/** Lower case, and one spelling for both alphabets of base64. */
function folded(text: string): string {
  return text
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase())
    .replaceAll('-', '+')
    .replaceAll('_', '/');
}

function hashOf(text: string, at: number, length: number): number {
  let hash = 0;
  for (let i = at; i < at + length; i += 1) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** A reading of a text: bytes in lower case, and the place in the text that each comes from. */
interface Reading {
  readonly bytes: string;
  readonly from: readonly number[];
  readonly to: readonly number[];
}

function masked(text: string, patterns: readonly Pattern[]): string {
  const hidden = new Uint8Array(text.length);
  let found = false;
  for (const reading of readingsOf(text)) {
    for (const pattern of patterns) {
      const { form, run, isBase64 } = pattern;
      for (let at = 0; at + run <= reading.bytes.length; at += 1) {
        if (!mayContain(pattern, reading.bytes, at)) continue;
        if (!form.includes(reading.bytes.slice(at, at + run))) continue;
        found = true;
        hide(text, hidden, reading.from[at] ?? 0, reading.to[at + run - 1] ?? text.length, isBase64);
      }
    }
  }
  if (!found) return text;
  let shown = '';
  for (let at = 0; at < text.length; at += 1) {
    if (hidden[at] === 0) shown += text[at];
    else if (at === 0 || hidden[at - 1] === 0) shown += replacement;
  }
  return shown;
}

function hide(text: string, hidden: Uint8Array, from: number, to: number, isBase64: boolean): void {
  let [start, end] = [from, to];
  if (isBase64) {
    while (start > 0 && hidden[start - 1] === 0 && isBase64Char(text, start - 1)) start -= 1;
    while (end < text.length && hidden[end] === 0 && isBase64Char(text, end)) end += 1;
  }
  hidden.fill(1, start, end);
}

function isBase64Char(text: string, at: number): boolean {
  return /[A-Za-z0-9+/=_-]/.test(text[at] ?? '');
}

/** The text as it is, with each character as one byte if it can be (a reply that is no UTF-8), and decoded. */
function readingsOf(text: string): Reading[] {
  const escape = /[=%]([0-9a-f]{2})|=?\s+/iy;
  const escapeAt = (at: number): RegExpExecArray | null => {
    escape.lastIndex = at;
    return escape.exec(text);
  };
  const readings = [readingOf(text, utf8Of, () => null), readingOf(text, utf8Of, escapeAt)];
  if (/[\u0080-\u00ff]/.test(text)) readings.push(readingOf(text, latin1Of, () => null));
  return readings.filter(({ bytes }, index) => index === 0 || bytes !== readings[0]?.bytes);
}

/** `escapeAt` finds the escape at a place of the text: a byte in hexadecimal as its first group, or one that means nothing. */
function readingOf(
  text: string,
  bytesOf: (char: string) => string,
  escapeAt: (at: number) => RegExpExecArray | null,
): Reading {
  let bytes = '';
  const from: number[] = [];
  const to: number[] = [];
  for (let at = 0; at < text.length;) {
    const escape = escapeAt(at);
    const char = String.fromCodePoint(text.codePointAt(at) ?? 0);
    const next = at + (escape === null ? char.length : escape[0].length);
    const hex = escape?.[1];
    const escaped = hex === undefined ? '' : String.fromCharCode(Number.parseInt(hex, 16));
    const read = escape === null ? bytesOf(char) : escaped;
    for (let count = 0; count < read.length; count += 1) {
      from.push(at);
      to.push(next);
    }
    bytes += read;
    at = next;
  }
  return { bytes: folded(bytes), from, to };
}

function utf8Of(char: string): string {
  return char < '\u0080' ? char : Buffer.from(char, 'utf8').toString('latin1');
}

function latin1Of(char: string): string {
  return char <= '\u00ff' ? char : '?';
}
