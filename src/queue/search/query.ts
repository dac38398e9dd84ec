/** A question for messages: its filters, checked before anything is asked of Redis, and what a message has to be to match. */
import { PostlaneError, printable, type Issue } from '../../errors.ts';
import { foldAddress, foldKnown, foldMessageId, metadataValue, type IndexSettings } from '../journal/index-entries.ts';
import { serverIdOf } from '../journal/server-ids.ts';
import type { LedgerRow, LedgerState } from '../ledger/ledger.ts';

/** All filters that are given must match. Letter case does not matter in addresses, Message-IDs and values of metadata. */
export interface MessageQuery {
  readonly recipient?: string | undefined;
  readonly from?: string | undefined;
  readonly connector?: string | undefined;
  readonly state?: LedgerState | undefined;
  /** Only those of which something came back after it was taken. */
  readonly bounced?: true | undefined;
  /** Of acceptance, ms since the epoch, inclusive. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  /** A Message-ID, with or without angle brackets, or the id by which a server took the message. */
  readonly messageId?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** `next` of the page before. */
  readonly cursor?: string | null | undefined;
  /** Messages of a page, at most 500. */
  readonly limit: number;
}

/** Where a page ends. Messages are in this order, from behind. */
export interface Position {
  readonly at: number;
  readonly id: string;
}

/** The same, ready to be looked up and compared. */
export interface Search {
  readonly query: MessageQuery;
  readonly recipient: string | null;
  readonly from: string | null;
  readonly messageId: string | null;
  readonly metadata: readonly (readonly [key: string, value: string])[];
  readonly since: number;
  readonly until: number;
  readonly before: Position | null;
  readonly limit: number;
}

const mostPerPage = 500;
/** Of a filter: an address has 254 octets, a Message-ID 998, a value of metadata 4,096. */
const mostFilterLength = 4_096;
const mostMetadataFilters = 10;

/** @throws PostlaneError `query-invalid`, `not-indexed` */
export function prepare(query: MessageQuery, index: IndexSettings): Search {
  const issues: Issue[] = [];
  const refuse = (field: string, rule: string, message: string): void => void issues.push({ field, rule, message });
  const metadata = Object.entries(query.metadata ?? {});
  const texts = [
    ...(['recipient', 'from', 'connector', 'messageId'] as const).map((name) => [name, query[name]] as const),
    ...metadata.map(([key, value]) => [`metadata.${printable(key, 100)}`, value] as const),
  ];
  for (const [field, value] of texts) {
    if (value === undefined) continue;
    if (value.trim() === '') refuse(field, 'filter', 'is empty');
    else if (value.length > mostFilterLength) refuse(field, 'filter', `has more than ${mostFilterLength} characters`);
  }
  if (metadata.length > mostMetadataFilters) {
    refuse('metadata', 'filter', `has more than ${mostMetadataFilters} keys`);
  }
  if (!Number.isInteger(query.limit) || query.limit < 1 || query.limit > mostPerPage) {
    refuse('limit', 'limit', `must be a whole number from 1 to ${mostPerPage}`);
  }
  const before = query.cursor === undefined || query.cursor === null ? null : decodeCursor(query.cursor);
  if (before === null && query.cursor) refuse('cursor', 'cursor', 'is none that a page ended with');
  if (issues.length > 0) throw invalid('query-invalid', 'The query for messages is not valid', issues);
  requireIndexed(query, index);
  const fold = <T>(value: string | undefined, of: (text: string) => T): T | null =>
    value === undefined ? null : of(value);
  return {
    query,
    recipient: fold(query.recipient, foldAddress),
    from: fold(query.from, foldAddress),
    messageId: fold(query.messageId, foldMessageId),
    metadata: metadata.map(([key, value]) => [key, metadataValue(key, value)] as const),
    since: query.since ?? -Infinity,
    until: query.until ?? Infinity,
    before,
    limit: query.limit,
  };
}

function requireIndexed({ recipient, from, messageId, metadata }: MessageQuery, index: IndexSettings): void {
  const issues: Issue[] = [];
  const need = (field: string, on: boolean, setting: string): void => {
    if (!on) issues.push({ field, rule: 'not-indexed', message: `needs \`${setting}\` in the configuration` });
  };
  if (recipient !== undefined) need('recipient', index.recipients, 'index.recipients: true');
  if (from !== undefined) need('from', index.from, 'index.from: true');
  // A Message-ID that this installation has made names the message.
  if (messageId !== undefined && idIn(messageId) === null) need('messageId', index.messageId, 'index.messageId: true');
  for (const key of Object.keys(metadata ?? {})) {
    const name = printable(key, 100);
    need(`metadata.${name}`, index.metadata.includes(key), `index.metadata: ["${name}"]`);
  }
  if (issues.length > 0) {
    const which = issues.map(({ field, message }) => `${field} ${message}`).join('; ');
    throw invalid('not-indexed', `Messages are not indexed by this: ${which}`, issues);
  }
}

function invalid(code: 'query-invalid' | 'not-indexed', text: string, issues: readonly Issue[]): PostlaneError {
  const which =
    code === 'not-indexed' ? '' : `: ${issues.map(({ field, message }) => `${field} ${message}`).join('; ')}`;
  return new PostlaneError(code, text + which, { issues });
}

/** The id in a Message-ID of this installation's making (message/identity.ts), null if it is none. */
export function idIn(messageId: string): string | null {
  return /^<?([\w-]{1,128})\.[\da-z]{10}@/.exec(messageId.trim())?.[1] ?? null;
}

export function encodeCursor({ at, id }: Position): string {
  return Buffer.from(`${at} ${id}`).toString('base64url');
}

function decodeCursor(cursor: string): Position | null {
  if (cursor.length > 300) return null;
  const [, at, id] = /^(-?\d{1,16}) (\S{1,200})$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  return at === undefined || id === undefined ? null : { at: Number(at), id };
}

/** Negative if `a` comes first: the newer one; of the same millisecond the greater id. */
export function byAge(a: Position, b: Position): number {
  return b.at - a.at || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);
}

export function isAfter({ before }: Search, position: Position): boolean {
  return before === null || byAge(before, position) < 0;
}

export function matches(row: LedgerRow, search: Search): boolean {
  const { query, recipient, from, messageId, metadata, since, until } = search;
  if (query.state !== undefined && row.state !== query.state) return false;
  if (query.connector !== undefined && row.connector !== query.connector) return false;
  if (query.bounced === true && !row.recipients.some(({ bounce }) => bounce?.action === 'failed')) return false;
  if (row.acceptedAt < since || row.acceptedAt > until) return false;
  if (recipient !== null && !row.recipients.some(({ address }) => foldKnown(address) === recipient)) return false;
  if (from !== null && (row.from === null || foldKnown(row.from) !== from)) return false;
  if (messageId !== null && !hasMessageId(row, messageId)) return false;
  return metadata.every(([key, value]) => {
    const found = row.metadata?.[key];
    return found !== undefined && metadataValue(key, found) === value;
  });
}

function hasMessageId(row: LedgerRow, messageId: string): boolean {
  if (row.messageId !== null && foldMessageId(row.messageId) === messageId) return true;
  return row.recipients.some(({ outcome, reply }) => {
    const id = outcome === 'accepted' && reply !== null ? serverIdOf(reply) : null;
    return id !== null && foldMessageId(id) === messageId;
  });
}
