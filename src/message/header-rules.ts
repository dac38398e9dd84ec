/** What a caller's own header fields may be called and contain. */
import { printable } from '../errors.ts';
import type { MessageRule } from './rules.ts';

/** RFC 5322 section 2.1.1: 998 octets without the line end. Some room for the fold's space and for encoded parts. */
const longestWord = 900;

/**
 * Fields with a field of their own in the message, or that only the sending system or the servers on the way may write:
 * recipients and senders under other names, traces, signatures, the structure of the body.
 */
const ownedNames = new Set(
  (
    'from sender reply-to to cc bcc apparently-to subject date message-id in-reply-to references mime-version return-path ' +
    'received received-spf delivered-to envelope-to x-original-to authentication-results dkim-signature ' +
    'domainkey-signature x-envelope-to x-envelope-from'
  ).split(' '),
);
const ownedPrefixes = ['content-', 'resent-', 'arc-'];

/** Whether only the system may write this header. */
function isOwnedHeader(name: string): boolean {
  const lower = name.toLowerCase();
  return ownedNames.has(lower) || ownedPrefixes.some((prefix) => lower.startsWith(prefix));
}

/** Whether a word of the text would make a header line of more than 998 octets, as lines fold at white space only. */
export function hasOverlongWord(text: string): boolean {
  if (text.length <= longestWord) return false;
  // Text that is not all printable ASCII goes out as encoded words, which are short.
  if (!/^[\t -~]*$/.test(text)) return false;
  return text.split(/[ \t]/).some((word) => word.length > longestWord);
}

export interface HeaderProblem {
  readonly rule: MessageRule;
  readonly message: string;
}

export function headerNameProblem(name: string): HeaderProblem | null {
  // RFC 5322 section 3.6.8: ftext. `__proto__` is ftext too, and a trap in every program that keeps headers in an object.
  if (!/^[!-9;-~]{1,76}$/.test(name) || name === '__proto__') {
    return { rule: 'header-name', message: `"${printable(name, 60)}" is no header name` };
  }
  if (isOwnedHeader(name)) {
    return {
      rule: 'header-owned',
      message: `${name} is not set by hand: it has a field of its own or belongs to the system`,
    };
  }
  return null;
}

export function headerValueProblem(value: string): HeaderProblem | null {
  if (hasLineControl(value)) {
    return { rule: 'control-character', message: 'a header value has no line breaks and no NUL' };
  }
  if (value.trim() === '') return { rule: 'header-value', message: 'is empty' };
  if (hasOverlongWord(value))
    return { rule: 'line-length', message: `has a word of more than ${longestWord} characters` };
  return null;
}

/** CR, LF or NUL: what ends a header field, or a string in another program. */
export function hasLineControl(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  return /[\r\n\u0000]/.test(text);
}
