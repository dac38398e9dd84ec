/** What replies of a server have in common: the reply without addresses, numbers and ids, so that a thousand refusals are one line. */
import { printable } from '../errors.ts';

/** Characters of a shape: what tells two kinds of reply apart stands in front. */
const maxShapeChars = 300;

/** The reply code and the enhanced status code (RFC 3463) in front, which say what kind it is. */
const codes = /^\s*\d{3}(?:[ -]\d\.\d{1,3}\.\d{1,3})?(?=\s|$)/;

/**
 * Bounded patterns, each of linear cost. An address first, as its parts would be taken for something else; then words with a digit: ids
 * of a queue, IP addresses, times, counts.
 */
const address = /<?[^\s<>@,;:()"']{1,320}@[^\s<>@,;:()"']{1,255}>?/g;
const numbered = /[A-Za-z0-9._:/+=-]*\d[A-Za-z0-9._:/+=-]*/g;

/** `<>` stands for an address, `#` for what has a digit. null for no reply. */
export function shapeOfReply(reply: string | null): string | null {
  if (reply === null) return null;
  const text = printable(reply, 1_000);
  const head = codes.exec(text)?.[0] ?? '';
  const rest = text.slice(head.length).replace(address, '<>').replace(numbered, '#').replace(/\s+/g, ' ');
  return printable(`${head.trim().replace('-', ' ')}${rest}`, maxShapeChars);
}
