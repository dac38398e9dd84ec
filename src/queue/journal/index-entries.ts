/**
 * Entries of the search index: which messages have this recipient, sender, Message-ID or metadata. A sorted set per field, day of
 * acceptance and bucket, all with score 0, so that it is sorted by its members:
 *
 *   find:FIELD:DAY.BUCKETS:BUCKET    hash of the value, 8 characters · time within the day, 5 · id of the message
 *
 * A look-up is a range of members that begin with the hash, from behind: the newest first, whatever the ids are. A bucket has some 64
 * entries at a million a day, which Redis keeps as a listpack: about 60 bytes for each, where one set a day would take 160. The hash finds
 * candidates; the row of the message decides.
 */
import { hash } from 'node:crypto';
import { parseAddress } from '../../message/address.ts';

/** What is indexed. */
export interface IndexSettings {
  readonly recipients: boolean;
  readonly from: boolean;
  /** Keys of metadata. */
  readonly metadata: readonly string[];
  /** Not an index: it is kept in the row, and shown. */
  readonly subject: boolean;
  /** Also the ids by which servers take messages. */
  readonly messageId: boolean;
  readonly buckets: number;
  /** Recipients of one message that are indexed, at most. */
  readonly recipientsPerMessage: number;
}

export const defaultIndex: IndexSettings = {
  recipients: true,
  from: false,
  metadata: [],
  subject: false,
  messageId: true,
  buckets: 16_384,
  recipientsPerMessage: 50,
};

/** `mid`: Message-IDs that are not made of the message's id, and ids by which servers took a message. */
export const indexFields = ['to', 'from', 'mid', 'meta'] as const;
export type IndexField = (typeof indexFields)[number];

const dayMs = 86_400_000;

/** In the order of their bytes, as Redis sorts members; those of base64url are not. */
const digits = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz';
const valueOf = new Map(Array.from(digits, (digit, i) => [digit.charCodeAt(0), i]));

const hashLength = 8;
const timeLength = 5;

export function dayOf(at: number): number {
  return Math.floor(at / dayMs);
}

// oxlint-disable-next-line no-control-regex -- the range is ASCII
const ascii = /^[\x00-\x7f]*$/;

/** The same for an address as a message has it, whose spelling is the one there is. */
export function foldKnown(address: string): string {
  return ascii.test(address) ? address.toLowerCase() : foldAddress(address);
}

/** Letter case is folded, also before the @: a person who asks does not know how it was written. */
export function foldAddress(address: string): string {
  const parsed = parseAddress(address.trim());
  return (parsed.ok ? parsed.value : address.trim()).normalize('NFC').toLowerCase();
}

/** A message of this installation is found by the id in its Message-ID; angle brackets do not matter. */
export function foldMessageId(messageId: string): string {
  return messageId.trim().replace(/^<|>$/g, '').toLowerCase();
}

/** The value of a metadata key as the index has it. */
export function metadataValue(key: string, value: string): string {
  return `${key}\n${value.normalize('NFC').toLowerCase()}`;
}

/** Where entries of a value are. `salt` differs between installations, so that their sets do. */
export interface Place {
  readonly prefix: string;
  readonly bucket: (buckets: number) => number;
}

export function placeOf(salt: string, field: IndexField, value: string): Place {
  const text = hash('sha256', `${salt}\n${field}\n${value}`, 'base64url');
  let bits = 0;
  for (let i = hashLength; i < hashLength + 4; i += 1) bits = bits * 64 + (valueOf.get(text.charCodeAt(i)) ?? 0);
  return { prefix: text.slice(0, hashLength), bucket: (buckets) => bits % buckets };
}

/** The part of a set's name after `find:`. */
export function setName(field: IndexField, day: number, buckets: number, bucket: number): string {
  return `${field}:${day}.${buckets}:${bucket}`;
}

export function encodeTime(at: number): string {
  let rest = Math.max(0, Math.floor(at - dayOf(at) * dayMs));
  let text = '';
  for (let i = 0; i < timeLength; i += 1) {
    text = digits.charAt(rest % 64) + text;
    rest = Math.floor(rest / 64);
  }
  return text;
}

/** The beginning of a member; the id follows. */
export function memberOf({ prefix }: Place, at: number): string {
  return prefix + encodeTime(at);
}

/** What a member of a day says. Null for what no release wrote. */
export function readMember(member: string, day: number): { readonly at: number; readonly id: string } | null {
  let ms = 0;
  for (let i = hashLength; i < hashLength + timeLength; i += 1) {
    const value = valueOf.get(member.charCodeAt(i));
    if (value === undefined) return null;
    ms = ms * 64 + value;
  }
  return { at: day * dayMs + ms, id: member.slice(hashLength + timeLength) };
}
