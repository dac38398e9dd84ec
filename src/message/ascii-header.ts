/**
 * Rewrites header fields beyond ASCII for a server that does not take them (no SMTPUTF8, RFC 6531): text and names become
 * encoded words (RFC 2047), parameters get the form of RFC 2231, domains become A-labels.
 *
 * A local part beyond ASCII has no such form. In To and Cc its mailbox becomes a group without members that shows the address
 * (as in RFC 6857), so that the other recipients get their copy. In From, Sender and Reply-To it decides who sends and who
 * gets the answer: such a message is not sent.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { foldLines } from 'nodemailer/lib/mime-funcs';
import { asciiDomain, type Parsed } from './address.ts';
import type { Range } from './part-header.ts';
import { encodedParameter, encodedWords, isAsciiText, isBlank, trimBlanks, type Charset } from './encoded-words.ts';

const addressFields = new Set(
  (
    'from sender reply-to to cc bcc resent-from resent-sender resent-reply-to resent-to resent-cc resent-bcc return-path ' +
    'disposition-notification-to return-receipt-to errors-to mail-followup-to mail-reply-to'
  ).split(' '),
);
const shownFields = new Set(['to', 'cc', 'resent-to', 'resent-cc']);
const idFields = new Set(['message-id', 'resent-message-id', 'content-id']);
const idListFields = new Set(['in-reply-to', 'references']);
const parameterFields = new Set(['content-type', 'content-disposition']);

/** The fields of a header that have a byte beyond ASCII. */
export function fieldsBeyondAscii(bytes: Buffer, start: number, end: number): Range[] {
  const found: Range[] = [];
  let field = start;
  for (let at = start; at < end;) {
    const newline = bytes.indexOf(0x0a, at);
    const next = newline < 0 || newline >= end ? end : newline + 1;
    at = next;
    // The line that comes next continues the field.
    if (at < end && (bytes[at] === 0x20 || bytes[at] === 0x09)) continue;
    if (!isAscii(bytes.subarray(field, at))) found.push({ start: field, end: at });
    field = at;
  }
  return found;
}

/**
 * The field (with its line end) in ASCII; '' leaves it out. `problem` continues a sentence that begins with the message.
 * `isTop`: the header is that of the mail; within an attached mail no address is used, so each may be shown instead.
 */
export function asciiField(field: Buffer, isTop: boolean): Parsed<string> {
  const text = field.toString('latin1').replaceAll(/[\r\n]+/g, '');
  const colon = text.indexOf(':');
  const name = text.slice(0, Math.max(colon, 0)).trimEnd();
  if (!isAsciiText(name)) return { ok: false, problem: 'has a header field whose name is not ASCII' };
  const value = trimBlanks(text.slice(colon + 1));
  const charset: Charset = isUtf8(field) ? 'utf-8' : 'unknown-8bit';
  const rewritten = asciiValue(name.toLowerCase(), value, charset, isTop);
  if (rewritten === null) {
    return { ok: false, problem: `has an address or id in its ${name} field that is not ASCII` };
  }
  const line = `${name}: ${trimBlanks(rewritten.replaceAll(/[ \t]{20,}/g, ' '))}`;
  return { ok: true, value: rewritten === '' ? '' : `${foldLines(line, 76)}\r\n` };
}

/** `value`: one character per byte. → null if it has no form in ASCII. */
function asciiValue(name: string, value: string, charset: Charset, isTop: boolean): string | null {
  if (idFields.has(name)) return isTop ? null : '';
  // RFC 5322 section 3.6.4: a list may be shorter than it could be.
  if (idListFields.has(name))
    return value
      .split(/(?<=>)|[ \t]+/)
      .filter((id) => id !== '' && isAsciiText(id))
      .join(' ');
  if (parameterFields.has(name)) return asciiParameters(value, charset);
  if (addressFields.has(name)) return asciiAddresses(value, charset, !isTop || shownFields.has(name));
  return asciiPhrase(value, charset);
}

/** Words that have a byte beyond ASCII, and the blanks between them, as encoded words. */
function asciiPhrase(text: string, charset: Charset): string {
  let out = '';
  // Of the words beyond ASCII that stand side by side; −1 outside of them.
  let runStart = -1;
  let runEnd = 0;
  let written = 0;
  const flush = (): void => {
    if (runStart < 0) return;
    out += text.slice(written, runStart) + encodedWords(text.slice(runStart, runEnd), charset);
    written = runEnd;
    runStart = -1;
  };
  for (let at = 0; at < text.length;) {
    const start = at;
    let isBeyond = false;
    for (; at < text.length && !isBlank(text.charCodeAt(at)); at += 1) isBeyond ||= text.charCodeAt(at) >= 0x80;
    if (isBeyond) {
      if (runStart < 0) runStart = start;
      runEnd = at;
    } else flush();
    while (at < text.length && isBlank(text.charCodeAt(at))) at += 1;
  }
  flush();
  return out + text.slice(written);
}

/** `; name="é"` → `; name*=utf-8''%C3%A9`. */
function asciiParameters(value: string, charset: Charset): string {
  const [type = '', ...parameters] = splitOutside(value, ';');
  const rewritten = parameters.map((parameter) => {
    if (isAsciiText(parameter)) return parameter;
    const equals = parameter.indexOf('=');
    const name = trimBlanks(parameter.slice(0, Math.max(equals, 0)));
    if (equals < 0 || !isAsciiText(name)) return ' x-unreadable=""';
    const text = trimBlanks(parameter.slice(equals + 1));
    const bare = /^"(.*)"$/.exec(text)?.[1]?.replaceAll(/\\(.)/g, '$1') ?? text;
    return encodedParameter(name.replace(/\*$/, ''), bare, charset);
  });
  return [asciiPhrase(type, charset), ...rewritten].join(';');
}

/** The parts between the separators that stand in no quoted string. */
function splitOutside(text: string, separator: string): string[] {
  const parts: string[] = [];
  let quoted = false;
  let start = 0;
  for (let i = 0; i < text.length; i += 1) {
    const char = text[i];
    if (char === '\\' && quoted) i += 1;
    else if (char === '"') quoted = !quoted;
    else if (char === separator && !quoted) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  return [...parts, text.slice(start)];
}

/** → null if an address that decides who sends or who gets the answer has no form in ASCII. */
function asciiAddresses(value: string, charset: Charset, isShown: boolean): string | null {
  const out: string[] = [];
  let inGroup = false;
  for (const { text, end } of mailboxes(value)) {
    const isGroupName = end === ':';
    const rewritten = isGroupName ? asciiName(text, charset) : asciiMailbox(text, charset, isShown && !inGroup);
    if (rewritten === null) return null;
    inGroup = isGroupName || (inGroup && end !== ';');
    out.push(`${trimBlanks(rewritten)}${end}`);
  }
  return out.join(' ');
}

interface Segment {
  readonly text: string;
  /** What ends it: `,` between mailboxes, `:` behind the name of a group, `;` behind its last member, '' at the end. */
  readonly end: string;
}

/** Cut at what stands in no quoted string, comment and angle brackets. */
function mailboxes(value: string): Segment[] {
  const segments: Segment[] = [];
  let quoted = false;
  let comments = 0;
  let angle = false;
  let start = 0;
  for (let i = 0; i < value.length; i += 1) {
    const char = value.charAt(i);
    if (char === '\\') i += 1;
    else if (char === '"' && comments === 0) quoted = !quoted;
    else if (quoted) continue;
    else if (char === '(') comments += 1;
    else if (char === ')') comments = Math.max(comments - 1, 0);
    else if (comments > 0) continue;
    else if (char === '<') angle = true;
    else if (char === '>') angle = false;
    else if (!angle && (char === ',' || char === ':' || char === ';')) {
      segments.push({ text: value.slice(start, i), end: char });
      start = i + 1;
    }
  }
  const rest = value.slice(start);
  return trimBlanks(rest) === '' ? segments : [...segments, { text: rest, end: '' }];
}

function asciiMailbox(text: string, charset: Charset, mayHide: boolean): string | null {
  if (isAsciiText(text)) return text;
  const open = text.lastIndexOf('<');
  const close = text.indexOf('>', open);
  const isNamed = open >= 0 && close > open;
  // Without brackets, the address is what is left beside the comments.
  const pieces = isNamed
    ? [text.slice(0, open), text.slice(open + 1, close), text.slice(close + 1)]
    : bareAddress(text);
  const [before = '', bare = '', behind = ''] = pieces;
  const address = asciiAddress(bare);
  if (address !== null) {
    const words = [asciiName(before, charset), isNamed ? `<${address}>` : address, asciiName(behind, charset)];
    return words.map(trimBlanks).join(' ');
  }
  if (!mayHide || charset !== 'utf-8') return null;
  return `${encodedWords(trimBlanks(text), charset)} :;`;
}

/** `(a) b@c (d)` → `(a)`, `b@c`, `(d)`. */
function bareAddress(text: string): readonly string[] {
  const pieces = text.split(/(\([^()]*\))/).map(trimBlanks);
  const at = pieces.findIndex((piece) => piece !== '' && !piece.startsWith('('));
  return [pieces.slice(0, at).join(' '), pieces[at] ?? '', pieces.slice(at + 1).join(' ')];
}

/** With the domain as A-label; null if the local part is not ASCII. */
function asciiAddress(address: string): string | null {
  const at = address.lastIndexOf('@');
  const local = address.slice(0, Math.max(at, 0));
  if (at < 0 || !isAsciiText(local)) return null;
  const domain = asciiDomain(Buffer.from(address.slice(at + 1), 'latin1').toString('utf8'));
  return domain === null ? null : `${local}@${domain}`;
}

/** A name in front of an address, with its quoted strings and comments. */
function asciiName(text: string, charset: Charset): string {
  const pieces = text.split(/("(?:[^"\\]|\\.)*"|\((?:[^()\\]|\\.)*\))/);
  return pieces
    .map((piece) => {
      if (isAsciiText(piece)) return piece;
      if (!/^["(]/.test(piece)) return asciiPhrase(piece, charset);
      const words = encodedWords(piece.slice(1, -1).replaceAll(/\\(.)/g, '$1'), charset);
      return piece.startsWith('(') ? `(${words})` : words;
    })
    .filter((piece) => piece !== '')
    .join(' ');
}
