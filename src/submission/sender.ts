/**
 * As whom a client may send: every address that a reader could take for the sender must be one of the client's.
 *
 * A check of the envelope alone lets a user write any From; a check of the parsed From alone lets a display name, a comment or an
 * encoded word show another address. So all addresses that stand anywhere in a field that names a sender are looked at.
 */
import { parseMailboxList, routingKey } from '../message/address.ts';
import { decodeEncodedWords } from '../message/encoded-words.ts';
import type { SenderLimits } from '../admin/sender-quota.ts';
import type { HeaderBlock } from '../message/header-block.ts';

/** Who a client is: a user, a token, or the clients of a listener's networks. */
export interface Sender {
  /** For the log, the metrics and the rate. */
  readonly name: string;
  /** Patterns in their compare form; null is every address. */
  readonly from: readonly string[] | null;
  /** Whether X-Postlane- fields count. */
  readonly options: boolean;
  readonly rate: { readonly key: string; readonly perMinute: number } | null;
  readonly quota: { readonly key: string; readonly limits: SenderLimits } | null;
}

export type SenderCheck = { readonly ok: true } | { readonly ok: false; readonly problem: string };

type Fields = HeaderBlock['fields'];

/** Fields that name a sender (RFC 5322 sections 3.6.2 and 3.6.6). A redirected message may have several Resent- blocks. */
const senderFields: ReadonlyMap<string, { readonly many: boolean }> = new Map([
  ['from', { many: false }],
  ['sender', { many: false }],
  ['resent-from', { many: true }],
  ['resent-sender', { many: true }],
]);

/** Name and address have 256 and 254 octets, which encoded words make three times as long. */
const maxFieldLength = 2_000;

/** `address` in normal form. */
export function mayUse(patterns: Sender['from'], address: string): boolean {
  if (patterns === null) return true;
  const key = routingKey(address);
  const at = key.lastIndexOf('@');
  return at > 0 && (patterns.includes(key) || patterns.includes(`*${key.slice(at)}`));
}

/** Header text for reading: UTF-8 if it is that (RFC 6532), else latin1. */
export function headerText(latin1: string): string {
  const utf8 = Buffer.from(latin1, 'latin1').toString('utf8');
  return utf8.includes('\ufffd') ? latin1 : utf8;
}

/** `utf8`: the client has asked for SMTPUTF8. */
export function checkHeaderSenders(fields: Fields, patterns: Sender['from'], utf8: boolean): SenderCheck {
  const seen = new Set<string>();
  for (const { name, value } of fields) {
    const lower = name.toLowerCase();
    const known = senderFields.get(lower);
    if (known === undefined) continue;
    if (seen.has(lower) && !known.many) return refuse(`there are two ${name} fields`);
    seen.add(lower);
    const problem = fieldProblem(headerText(value), patterns, utf8);
    if (problem !== null) return refuse(`${name} ${problem}`);
  }
  return { ok: true };
}

function refuse(problem: string): SenderCheck {
  return { ok: false, problem };
}

function fieldProblem(text: string, patterns: Sender['from'], utf8: boolean): string | null {
  if (text.length > maxFieldLength) return 'is too long';
  const parsed = parseMailboxList(text);
  if (!parsed.ok) return parsed.problem;
  const [mailbox, another] = parsed.value;
  if (mailbox === undefined) return 'names no address';
  if (another !== undefined) return 'names more than one address';
  if (hasGroup(text)) return 'is a group';
  // oxlint-disable-next-line no-control-regex -- the range is ASCII
  if (!utf8 && /[^\x00-\x7f]/.test(mailbox.address)) return 'has a non-ASCII address, which needs SMTPUTF8';
  const foreign = shownAddresses(text).find((address) => !mayUse(patterns, address));
  if (!mayUse(patterns, mailbox.address)) return 'is not an address of yours';
  return foreign === undefined ? null : 'shows an address that is not yours';
}

/** A group (RFC 5322 section 3.4) has a colon or a semicolon outside of quotes and comments. */
function hasGroup(text: string): boolean {
  let quoted = false;
  let comments = 0;
  for (let i = 0; i < text.length; i += 1) {
    const char = text[i];
    if (char === '\\') i += 1;
    else if (char === '"' && comments === 0) quoted = !quoted;
    else if (quoted) continue;
    else if (char === '(') comments += 1;
    else if (char === ')') comments -= 1;
    else if (comments <= 0 && (char === ':' || char === ';')) return true;
  }
  return false;
}

const addressLike = /[^\s<>()[\]:;,"'|/=?]+@[^\s<>()[\]:;,"'|/=?@]+\.[^\s<>()[\]:;,"'|/=?@]+/gu;

/**
 * Everything in the text that looks like an address once encoded words are decoded: also in names, in comments, and what is one only
 * without its comments, quotes, invisible characters or in another width.
 */
function shownAddresses(text: string): string[] {
  const decoded = decodeEncodedWords(decodeEncodedWords(text));
  const plain = decoded
    .normalize('NFKC')
    .replaceAll(/[\p{Cf}\p{Cc}]/gu, '')
    .replaceAll(/["\\]/g, '');
  const forms = [plain, plain.replaceAll(/\([^()]*\)/g, ''), plain.replaceAll(/\s*([@.])\s*/g, '$1')];
  return [...new Set(forms.flatMap((form) => form.match(addressLike) ?? []))].map((address) =>
    address.replace(/\.+$/, ''),
  );
}
