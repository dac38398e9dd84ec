/** Reads the Inbox of a mailbox through Graph: mails in the order in which they came, with their header, and the octets of one. Only by GET, so nothing is changed. */
import { mapOf, objectOf } from '../http-reply.ts';
import type { FaultClass } from '../transport.ts';
import type { GraphAnswer } from './client.ts';
import { openGraph } from './connection.ts';
import { idOf } from './identifiers.ts';
import { isForbidden } from './lookup.ts';
import { outcomeOf } from './outcome.ts';
import type { GraphSettings } from './settings.ts';

export interface InboxMail {
  readonly id: string;
  /** ms since the epoch; Graph tells whole seconds. */
  readonly receivedAt: number;
  /** As Exchange shows it; null for none. */
  readonly from: string | null;
  /** In the order of the mail, as Exchange keeps it; null if it was not asked for, or has none. */
  readonly header: readonly { readonly name: string; readonly value: string }[] | null;
}

/** The first of these mails is the oldest that came at `from` (ms since the epoch) or later, after `skip` others. */
export interface InboxPage {
  readonly from: number;
  readonly skip: number;
  readonly count: number;
  readonly withHeader: boolean;
}

export interface InboxFailure {
  readonly kind: 'failed';
  readonly fault: FaultClass | 'protocol';
  /** No secret is in it. */
  readonly detail: string;
  /** The server names it; null if it does not. */
  readonly retryAfterMs: number | null;
}

/** `length`: with those that could not be read. `too-long`: fewer mails may fit into an answer. */
type InboxList =
  | { readonly kind: 'mails'; readonly mails: readonly InboxMail[]; readonly length: number; readonly hasMore: boolean }
  | { readonly kind: 'too-long' }
  | InboxFailure;

/** `bytes`: the first mebibyte. `gone`: deleted or moved meanwhile. */
type InboxContent = { readonly kind: 'content'; readonly bytes: Buffer } | { readonly kind: 'gone' } | InboxFailure;

export interface Inbox {
  list(page: InboxPage, signal: AbortSignal): Promise<InboxList>;
  content(id: string, signal: AbortSignal): Promise<InboxContent>;
}

/** A reading is repeated, so it is less patient than an attempt to send. */
const patienceMs = 60_000;
/** Fields of a header that are looked at. */
const maxFields = 2_000;

/** Requests a token and connects when first asked; one request at a time. `now`: ms since the epoch. */
export function openInbox(settings: GraphSettings, mailbox: string, now: () => number): Inbox {
  const { client, mask } = openGraph(settings, 1, now);
  const timeoutMs = Math.min(settings.timeouts.requestMs, patienceMs);
  const failed = (answer: GraphAnswer): InboxFailure => {
    const { detail, ...failure } = failureOf(answer, mailbox, now());
    return { ...failure, detail: mask(detail) };
  };
  return {
    async list({ from, skip, count, withHeader }, signal) {
      const query = {
        // What is sorted by must be filtered by, too: https://learn.microsoft.com/graph/api/user-list-messages
        $filter: `receivedDateTime ge ${new Date(from).toISOString()}`,
        $orderby: 'receivedDateTime asc',
        $select: ['id', 'receivedDateTime', 'from', ...(withHeader ? ['internetMessageHeaders'] : [])].join(','),
        $top: String(count),
        ...(skip === 0 ? {} : { $skip: String(skip) }),
      };
      const path = ['users', mailbox, 'mailFolders', 'inbox', 'messages'];
      const answer = await client.call({ method: 'GET', path, query, timeoutMs }, signal);
      if (answer.kind !== 'answer' || answer.status !== 200 || answer.end === 'broken') return failed(answer);
      if (answer.end === 'cut') return { kind: 'too-long' };
      const body = objectOf(answer.text);
      const value = body?.['value'];
      if (!Array.isArray(value)) return failed(answer);
      // A page may be shorter than `$top`: https://learn.microsoft.com/graph/paging. The link itself is not followed, so the token stays here.
      const hasMore = typeof body?.['@odata.nextLink'] === 'string';
      const mails = value.slice(0, count).flatMap(readMail);
      return { kind: 'mails', mails, length: Math.min(value.length, count), hasMore };
    },
    async content(id, signal) {
      const path = ['users', mailbox, 'messages', id, '$value'];
      const answer = await client.call({ method: 'GET', path, timeoutMs, octets: true }, signal);
      if (answer.kind === 'answer' && answer.status === 404) return { kind: 'gone' };
      if (answer.kind !== 'answer' || answer.status !== 200 || answer.end === 'broken') return failed(answer);
      return { kind: 'content', bytes: Buffer.from(answer.text, 'latin1') };
    },
  };
}

function readMail(item: unknown): InboxMail[] {
  const fields = mapOf(item);
  const id = idOf(fields?.['id']);
  const { receivedDateTime, internetMessageHeaders: header } = fields ?? {};
  const receivedAt = typeof receivedDateTime === 'string' ? Date.parse(receivedDateTime) : Number.NaN;
  if (id === null || Number.isNaN(receivedAt)) return [];
  const address = mapOf(mapOf(fields?.['from'])?.['emailAddress'])?.['address'];
  const from = typeof address === 'string' ? address : null;
  const fieldsOfHeader = Array.isArray(header) ? header.slice(0, maxFields).flatMap(readField) : [];
  return [{ id, receivedAt, from, header: fieldsOfHeader.length === 0 ? null : fieldsOfHeader }];
}

function readField(item: unknown): { name: string; value: string }[] {
  const { name, value } = mapOf(item) ?? {};
  return typeof name === 'string' && typeof value === 'string' ? [{ name, value }] : [];
}

function failureOf(answer: GraphAnswer, mailbox: string, now: number): InboxFailure {
  if (answer.kind === 'answer' && answer.status === 200) {
    const isBroken = answer.end === 'broken';
    const detail = isBroken ? 'the answer broke off' : 'the answer is no list of mails';
    return { kind: 'failed', fault: isBroken ? 'unreachable' : 'protocol', detail, retryAfterMs: null };
  }
  const facts = { recipients: ['-'], mailbox, sender: mailbox, isOneOfMany: false, now };
  const outcome = outcomeOf(answer, 'prepare', facts);
  if (outcome.kind === 'connector-fault') {
    const { fault, reply, pauseMs = null } = outcome;
    const what = isForbidden(answer) ? `mail of ${mailbox} may not be read, which needs Mail.Read: ` : '';
    return { kind: 'failed', fault, detail: `${what}${reply.text ?? 'no answer'}`, retryAfterMs: pauseMs };
  }
  const [said] = outcome.kind === 'settled' ? outcome.recipients : [];
  const detail = said?.reply.text ?? 'no answer';
  const fault = answer.kind !== 'answer' || answer.status >= 500 ? 'unreachable' : 'protocol';
  return { kind: 'failed', fault, detail, retryAfterMs: said?.retryAfterMs ?? null };
}
