/** Finds addresses in what servers write: in running text, in brackets, in the fields of a delivery status. Never slower than the text is long. */
import { typed, withoutComments } from './fields.ts';

const maxLocalChars = 128;
const maxAddressChars = 320;
const outside = /[\s<>"(),:;@[\]|\\]/;

export interface FoundAddress {
  readonly address: string;
  readonly start: number;
  readonly end: number;
}

/** All addresses of a line, from left to right. */
export function addressesIn(line: string): FoundAddress[] {
  const found: FoundAddress[] = [];
  for (let at = line.indexOf('@'); at >= 0; at = line.indexOf('@', at + 1)) {
    let start = at;
    let end = at + 1;
    while (start > 0 && at - start < maxLocalChars && !outside.test(line.charAt(start - 1))) start -= 1;
    while (end < line.length && end - at < maxAddressChars && !outside.test(line.charAt(end))) end += 1;
    // Words around an address in quotes, and the dots of Sendmail's `a@b...`.
    while (start < at && /['`*=]/.test(line.charAt(start))) start += 1;
    while (end > at + 1 && /[.'`*!?]/.test(line.charAt(end - 1))) end -= 1;
    const address = line.slice(start, end);
    if (start < at && /^[^@]+@[\p{L}\p{N}](?:[\p{L}\p{N}._-]*[\p{L}\p{N}])?$/u.test(address)) {
      found.push({ address, start, end });
    }
  }
  return found;
}

export function firstAddress(text: string): string | null {
  return addressesIn(text)[0]?.address ?? null;
}

/** The address of a field such as Final-Recipient (RFC 3464 section 2.3.2, RFC 6533 section 3); null for a pipe, an X.400 name or nothing. */
export function recipientOf(field: string): string | null {
  const { type, value } = typed(field);
  if (type !== '' && !/^(?:rfc-?822|utf-?8|smtp|internet|email)$/.test(type)) return null;
  const text = type.startsWith('utf') ? unicode(value) : value;
  if (/^\s*(?:"|<)?\s*[|/]/.test(text)) return null;
  return firstAddress(withoutComments(text));
}

/** `\x{e4}` of a recipient of type utf-8 (RFC 6533 section 3, utf-8-addr-unitext and utf-8-addr-xtext). */
function unicode(value: string): string {
  return value.replaceAll(/\\x\{([0-9a-f]{2,6})\}/gi, (escape: string, hex: string) => {
    const code = Number.parseInt(hex, 16);
    return code > 0x1f && code <= 0x10ffff ? String.fromCodePoint(code) : escape;
  });
}
