/**
 * Addresses: reads one mailbox, a list of mailboxes or an address pattern, strictly, and gives each address one normal form.
 *
 * One address has one spelling here: the domain as A-label in lower case, quotes around the local part only where it needs them.
 * What two parsers could read as two different addresses is refused instead of guessed: comments, source routes, lists
 * where one mailbox is meant, quoted local parts that hold `@`, brackets or escapes (GHSA-mm7p-fcc7-pg87).
 * Address literals (`user@[192.0.2.1]`) are refused: no mailbox of an organisation is reached that way today, and they
 * open a second syntax for domains (`@` and `>` inside brackets).
 */
import { domainToASCII } from 'node:url';
import addressparser from 'nodemailer/lib/addressparser';
import { maxAddressBytes, maxNameBytes } from './bounds.ts';
import { printable } from '../errors.ts';
import { decodeEncodedWords } from './encoded-words.ts';
import type { Mailbox } from './message.ts';

/** `problem` continues a sentence that begins with the value: `"x" has no @`. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

/** Nothing longer is looked at. U-labels in UTF-16 are never longer than their A-labels. */
const maxAddressLength = 512;

// RFC 5322 section 3.2.3 atext; beyond ASCII as RFC 6531 section 3.3 allows it.
const dotAtom = /^[\w!#$%&'*+\-/=?^`{|}~\u0080-\u{10FFFF}]+(?:\.[\w!#$%&'*+\-/=?^`{|}~\u0080-\u{10FFFF}]+)*$/u;
// The part of RFC 5321's Quoted-string that no parser can take for anything else: atext, dots and spaces. Mobile carriers
// in Japan gave out addresses such as "a..b"@ and "a."@.
const harmlessQuoted = /^[\w!#$%&'*+\-/=?^`{|}~. \u0080-\u{10FFFF}]+$/u;
// Invisible or direction-changing characters, and what a broken decoder left. The joiners U+200C and U+200D carry meaning in some scripts.
const unfitInLocalPart = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufffd\u00a0]|(?! )\p{Zs}/u;
const unfitInDomain = /(?![\u200c\u200d])[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{Cs}\p{Z}\ufffd]/u;
const controlCharacter = /[\p{Cc}\u2028\u2029]/u;
// What is in its normal form and in ASCII: every other step would leave it as it is. Most addresses and domains are, and the
// classes of Unicode take five times as long to say so.
const plainLocalPart = /^[\w!#$%&'*+\-/=?^`{|}~]+(?:\.[\w!#$%&'*+\-/=?^`{|}~]+)*$/;
const plainDomain = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const printableAscii = /^[ -~]*$/;
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

function hasControl(text: string): boolean {
  return !printableAscii.test(text) && controlCharacter.test(text);
}

function isPlainAddress(text: string): boolean {
  if (text.length > maxAddressBytes) return false;
  const at = text.indexOf('@');
  return at > 0 && plainLocalPart.test(text.slice(0, at)) && plainDomain.test(text.slice(at + 1));
}

function fail(problem: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem };
}

/**
 * The domain as A-label in lower case, or null if it is none. Not `domainToASCII` alone: that is a URL host parser, which
 * decodes `%41`, ends at `/`, `?`, `#` and `\`, and turns `0x7f.1` into `127.0.0.1`.
 */
export function asciiDomain(domain: string): string | null {
  if (domain.length <= maxAddressBytes && plainDomain.test(domain)) return domain;
  if (domain.length === 0 || domain.length > maxAddressLength || unfitInDomain.test(domain)) return null;
  let ascii = domain.toLowerCase();
  // oxlint-disable-next-line no-control-regex -- the range is ASCII
  if (!/^[\x00-\x7f]*$/.test(domain)) {
    // oxlint-disable-next-line no-control-regex -- ASCII that is no letter, digit, hyphen or dot
    if (/(?![a-z0-9.-])[\x00-\x7f]/i.test(domain)) return null;
    ascii = domainToASCII(domain);
  }
  const labels = ascii.split('.');
  if (ascii.length > 255 || !labels.every((each) => label.test(each))) return null;
  // No top-level domain is numeric (RFC 3696 section 2): this is an IPv4 address, in one of the spellings of inet_aton.
  if (/^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '')) return null;
  return ascii;
}

function parseLocalPart(text: string): Parsed<string> {
  const quoted = text.startsWith('"');
  const bare = quoted ? text.slice(1, -1) : text;
  if (bare === '') return fail('has nothing before the @');
  if (unfitInLocalPart.test(bare)) return fail('has an invisible character before the @');
  if (quoted && !harmlessQuoted.test(bare)) {
    return fail('has a quoted local part with characters that mail programs read differently');
  }
  if (!quoted && !dotAtom.test(bare)) return fail('has characters before the @ that do not belong there');
  // "john"@x and john@x are one mailbox (RFC 5321 section 4.1.2): one spelling, so that they compare as one.
  const value = dotAtom.test(bare) ? bare : `"${bare}"`;
  return { ok: true, value };
}

/** An address alone (`a@b`, no name, no brackets) in its normal form. */
export function parseAddress(text: string): Parsed<string> {
  if (isPlainAddress(text)) return { ok: true, value: text };
  if (text.length > maxAddressLength) return fail(`is longer than ${maxAddressBytes} octets`);
  if (hasControl(text)) return fail('has a line break or another control character');
  const closing = text.startsWith('"') ? text.indexOf('"', 1) : -1;
  if (text.startsWith('"') && closing < 0) return fail('has a quote that does not end');
  const at = closing < 0 ? text.indexOf('@') : closing + 1;
  if (text[at] !== '@') return fail('has no @ between a name and a domain');
  const domainText = text.slice(at + 1);
  if (domainText.includes('@')) return fail('has more than one @');
  if (domainText.startsWith('[')) return fail('has an address literal instead of a domain');
  const local = parseLocalPart(text.slice(0, at));
  if (!local.ok) return local;
  const domain = asciiDomain(domainText);
  if (domain === null) return fail('has no valid domain after the @');
  const value = `${local.value}@${domain}`;
  if (Buffer.byteLength(value) > maxAddressBytes) return fail(`is longer than ${maxAddressBytes} octets`);
  return { ok: true, value };
}

/** Reads the phrase before `<`: words and quoted strings (RFC 5322 section 3.2.5). Unquoted `@` and `.` are allowed, because many programs write them. */
function parsePhrase(text: string): Parsed<string> {
  let name = '';
  let inQuotes = false;
  for (let i = 0; i < text.length; i += 1) {
    const char = text.charAt(i);
    if (char === '"') inQuotes = !inQuotes;
    else if (inQuotes && char === '\\') {
      i += 1;
      name += text.charAt(i);
    } else if (!inQuotes && ',;:<>()\\'.includes(char)) {
      return fail(`has a "${char}" where one mailbox is expected; put the name in double quotes if it belongs to it`);
    } else name += char;
  }
  return inQuotes ? fail('has a quote that does not end') : { ok: true, value: name };
}

function buildMailbox(nameText: string, addressText: string): Parsed<Mailbox> {
  if (hasControl(nameText)) return fail('has a line break or another control character in its name');
  const name = nameText.trim();
  if (Buffer.byteLength(name) > maxNameBytes) return fail(`has a name of more than ${maxNameBytes} octets`);
  const address = parseAddress(addressText);
  if (!address.ok) return address;
  return { ok: true, value: name === '' ? { address: address.value } : { name, address: address.value } };
}

/** Reads exactly one mailbox: `a@b`, `<a@b>`, `Name <a@b>`, `"Name, with comma" <a@b>`, or the object form. Linear in the length. */
export function parseMailbox(
  input: string | { readonly name?: string | undefined; readonly address: string },
): Parsed<Mailbox> {
  if (typeof input !== 'string') {
    return buildMailbox((input.name ?? '').toWellFormed(), input.address.toWellFormed());
  }
  if (input.length > 4 * (maxAddressLength + maxNameBytes)) return fail('is too long for a mailbox');
  if (hasControl(input)) return fail('has a line break or another control character');
  const text = input.toWellFormed().trim();
  if (text === '') return fail('is empty');
  if (!text.endsWith('>')) return buildMailbox('', text);
  const open = text.lastIndexOf('<');
  if (open < 0) return fail('has a > without a <');
  const name = parsePhrase(text.slice(0, open));
  return name.ok ? buildMailbox(name.value, text.slice(open + 1, -1)) : name;
}

/** `local@domain` → `domain`. For addresses in normal form; text without `@` gives ''. */
export function domainOf(address: string): string {
  const at = address.lastIndexOf('@');
  return at < 0 ? '' : address.slice(at + 1);
}

/**
 * What two addresses have in common if they are the same for routing: all in lower case, the domain as A-label. Takes any
 * text. U+212A (Kelvin) and U+0130 stay: their lower case is or begins with an ASCII letter, and would make
 * this the address of another person.
 */
export function routingKey(address: string): string {
  const at = address.lastIndexOf('@');
  const written = address.slice(0, Math.max(at, 0));
  const local = printableAscii.test(written)
    ? written.toLowerCase()
    : written.replaceAll(/[^\u212a\u0130]+/g, (run) => run.toLowerCase());
  const domain = address.slice(at + 1);
  return `${local}@${asciiDomain(domain) ?? domain.toLowerCase()}`;
}

/** Reads an address or `*@domain` of the configuration as a pattern in its compare form (as `routingKey` gives it). */
export function parseAddressPattern(text: string): Parsed<string> {
  if (text.startsWith('*@')) {
    const domain = asciiDomain(text.slice(2));
    return domain === null ? fail('has no valid domain after the *@') : { ok: true, value: `*@${domain}` };
  }
  if (text.includes('*')) return fail('may have a * only alone before the @, as in *@example.com');
  const address = parseAddress(text);
  return address.ok ? { ok: true, value: routingKey(address.value) } : address;
}

/** Whether an address fits one of the patterns, which are in their compare form. */
export function matchesPattern(patterns: Pick<ReadonlySet<string>, 'has'>, address: string): boolean {
  const key = routingKey(address);
  return patterns.has(key) || patterns.has(`*@${domainOf(key)}`);
}

/** How often each of `@`, `<` and `>` stands outside of quoted strings and comments. */
function countSigns(text: string): { readonly at: number; readonly open: number; readonly close: number } {
  const count = { at: 0, open: 0, close: 0 };
  let quoted = false;
  let comments = 0;
  for (let i = 0; i < text.length; i += 1) {
    const char = text[i];
    if (char === '\\') i += 1;
    else if (char === '"' && comments === 0) quoted = !quoted;
    else if (quoted) continue;
    else if (char === '(') comments += 1;
    else if (char === ')') comments -= 1;
    else if (comments > 0) continue;
    else if (char === '@') count.at += 1;
    else if (char === '<') count.open += 1;
    else if (char === '>') count.close += 1;
  }
  return count;
}

/** The splitter takes the quotes off `"a..b"@c.d`, which needs them. */
function requoted(address: string, list: string): string {
  const at = address.lastIndexOf('@');
  const local = address.slice(0, Math.max(at, 0));
  if (dotAtom.test(local) || local.startsWith('"')) return address;
  const quoted = `"${local}"${address.slice(at)}`;
  return list.includes(quoted) ? quoted : address;
}

/** A name to be shown. Well-formed last: the cut may go through a surrogate pair. */
function shownName(name: string): string {
  return printable(name, 80).toWellFormed();
}

/** A name to be sent. The message's schema judges it. */
export function fullName(name: string): string {
  return name.trim();
}

/**
 * Reads an address list of a header or of the command line: commas, groups, comments, encoded words (RFC 5322 section
 * 3.4). Every address is judged as strictly as by `parseMailbox`; names are by default only made printable, as nothing is sent from them.
 */
export function parseMailboxList(text: string, nameOf = shownName): Parsed<readonly Mailbox[]> {
  // The splitter passes over control characters, so `a@b\r\nRCPT TO:<c@d>` would be an address of a group.
  if (controlCharacter.test(text.replaceAll('\t', ' '))) return fail('has a line break or another control character');
  const mailboxes: Mailbox[] = [];
  for (const entry of addressparser(text.toWellFormed())) {
    for (const member of entry.group ?? [entry]) {
      // What the splitter finds no address in is a name alone; to pass over it would lose a recipient in silence.
      const split = member.address ?? '';
      const address = split === '' ? fail('is no address') : parseAddress(requoted(split, text));
      if (!address.ok) return fail(`holds "${printable(split || member.name, 80)}", which ${address.problem}`);
      const name = nameOf(decodeEncodedWords(member.name));
      mailboxes.push(name === '' ? { address: address.value } : { name, address: address.value });
    }
  }
  // The splitter takes `a@b c@d` and `x <a@b> y <c@d>` for one mailbox with a strange name: a recipient would be lost, or another one meant. An address as its own name, without quotes, is common and harmless.
  const signs = countSigns(text);
  const named = mailboxes.filter(
    ({ name, address }) => name !== undefined && routingKey(name.replaceAll("'", '')) === routingKey(address),
  );
  const tooManySigns = signs.at < mailboxes.length || signs.at > mailboxes.length + named.length;
  if (tooManySigns || signs.open > mailboxes.length || signs.open !== signs.close) {
    return fail('does not have exactly one address between its commas');
  }
  return { ok: true, value: mailboxes };
}
