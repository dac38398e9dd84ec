/** A message's identity: its id, its Message-ID header and the time of its acceptance, the same in every process that asks. */
import { hash } from 'node:crypto';
import { asciiDomain, domainOf } from './address.ts';
import type { Message } from './message.ts';

const uuidV4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const uuidV7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/**
 * A producer makes the id right before it enqueues. An id whose time is further off was made elsewhere, for a row of a
 * database perhaps: its time is not that of the acceptance, and a message must not be born expired.
 */
const toleranceMs = 10 * 60_000;

/**
 * A UUIDv7 (RFC 9562 section 5.7). `nowMs`: milliseconds since 1970; `random`: a UUIDv4, whose random digits are kept: `randomUUID`
 * takes entropy for many at once and `randomBytes` for one, at 15 times the price. Ids of one millisecond are in no order.
 */
export function newMessageId(nowMs: number, random: string): string {
  if (!uuidV4.test(random)) throw new RangeError('newMessageId needs a UUIDv4');
  const time = nowMs.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15)}`;
}

/** What a Message-ID is made of; the same in every process that asks. */
export interface MessageIdentity {
  readonly id: string;
  /** The prefix of this installation in Redis. */
  readonly prefix: string;
  /** ms since 1970. */
  readonly acceptedAt: number;
  readonly fromAddress: string;
}

/**
 * The Message-ID header's value, `<id.HASH@domain of From>`. An id is unique in one installation and for as long as its row is kept;
 * the hash of installation and time makes it unique for ever (RFC 5322 section 3.6.4). Mailboxes that drop duplicates by Message-ID
 * would lose the second of two mails. A From whose domain fits into no msg-id gives `postlane.invalid` (RFC 2606 section 2), so
 * that the header is well-formed whatever the address.
 */
export function messageIdHeader({ id, prefix, acceptedAt, fromAddress }: MessageIdentity): string {
  const bits = Number.parseInt(hash('sha256', `${prefix}\n${acceptedAt}`).slice(0, 12), 16);
  // Ten characters: with a UUID and a domain of usual length the field still fits into one line.
  return `<${id}.${bits.toString(36).padStart(10, '0')}@${asciiDomain(domainOf(fromAddress)) ?? 'postlane.invalid'}>`;
}

/** When the message was ready to be sent, in ms since 1970: the value of its Date header (RFC 5322 section 3.6.1). */
export function readyAt({ sendAt }: Pick<Message, 'sendAt'>, acceptedAt: number): number {
  return sendAt === undefined ? acceptedAt : Math.max(acceptedAt, Date.parse(sendAt));
}

/**
 * When the message was accepted, in ms since 1970: the time inside its id if that is a UUIDv7 of the time of enqueueing, else
 * that time itself. Both are fixed in Redis, so every process gets the same time.
 */
export function acceptedAt(id: string, enqueuedAtMs: number): number {
  const parts = uuidV7.exec(id);
  if (parts === null) return enqueuedAtMs;
  const ms = Number.parseInt(`${parts[1]}${parts[2]}`, 16);
  return Math.abs(ms - enqueuedAtMs) <= toleranceMs ? ms : enqueuedAtMs;
}
