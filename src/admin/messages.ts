/**
 * What an operator and the HTTP API ask of messages: find them, see what is kept of their content, send it again, erase what is personal.
 * Events and counters are handed on as the queue has them.
 */
import type { EventLog } from '../queue/journal/events.ts';
import type { Counters } from '../queue/journal/stats.ts';
import type { LedgerRow, LedgerState, RecipientState } from '../queue/ledger/ledger.ts';
import type { MessageLimits } from '../message/message.ts';
import type { OpenQueues } from '../queue/open.ts';
import type { MessageQuery } from '../queue/search/search.ts';
import { contentOf, type MessageContent } from './content.ts';
import { eraseMessages, type Erased } from './erase.ts';

/** A row of a list. Times in ms since the epoch. */
export interface MessageSummary {
  readonly id: string;
  readonly state: LedgerState;
  readonly connector: string | null;
  readonly from: string | null;
  /** At most 20: those that were asked for, and the first ones. */
  readonly recipients: readonly RecipientState[];
  readonly recipientCount: number;
  /** When it was accepted. */
  readonly at: number;
  readonly updatedAt: number;
  readonly attempts: number;
  readonly reason: string | null;
  readonly retryAt: number | null;
  /** With its angle brackets. */
  readonly messageId: string | null;
  /** Its beginning; null unless `index.subject` is on. */
  readonly subject: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly erasedAt: number | null;
}

interface MessagePage {
  readonly items: readonly MessageSummary[];
  /** `cursor` of the next page; null if there is none. */
  readonly next: string | null;
  /** false: a message that matches may be missing from the pages (docs/search.md). */
  readonly complete: boolean;
}

/** Recipients of a row that a list shows. */
const mostRecipients = 20;

export interface Seen {
  /** Finds messages, the newest first, a page at a time. Rejects with `query-invalid` or `not-indexed`. */
  messages(query: MessageQuery): Promise<MessagePage>;
  /** What is still there of a message's content; null if nothing is. */
  contentOf(id: string): Promise<MessageContent | null>;
  /** Erases what is personal of messages that have ended; their rows stay, without it. One result for each id. */
  erase(ids: readonly string[]): Promise<readonly Erased[]>;
  /** What happened, for consumers that register. */
  readonly events: EventLog;
  /** Counts of five minutes. */
  readonly counters: Counters;
}

export function seenOf(open: OpenQueues, limits: MessageLimits): Seen {
  const { find, events, counters } = open;
  return {
    contentOf: (id) => contentOf(id, open, limits),
    erase: (ids) => eraseMessages(ids, open, limits),
    events,
    counters,
    async messages(query) {
      const { rows, next, complete } = await find(query);
      return { items: rows.map((row) => summaryOf(row, query.recipient)), next, complete };
    },
  };
}

function summaryOf(row: LedgerRow, recipient: string | undefined): MessageSummary {
  const asked = recipient?.trim().toLowerCase();
  const isAsked = ({ address }: RecipientState): boolean => address.toLowerCase() === asked;
  const { recipients } = row;
  const first =
    recipients.length <= mostRecipients || asked === undefined
      ? recipients
      : [...recipients.filter(isAsked), ...recipients.filter((each) => !isAsked(each))];
  const { id, state, connector, from, acceptedAt: at, updatedAt, attempts, reason, retryAt, messageId } = row;
  return {
    id,
    state,
    connector,
    from,
    recipients: first.slice(0, mostRecipients),
    recipientCount: recipients.length,
    at,
    updatedAt: updatedAt || at,
    attempts,
    reason,
    retryAt,
    messageId,
    subject: row.subject,
    metadata: row.metadata ?? {},
    erasedAt: row.erasedAt,
  };
}
