/** The notes that scripts take (lua.ts): what is indexed and counted of a message, as one text. */
import type { ShardKeys } from '../redis/keys.ts';
import type { NoteDay } from './days.ts';
import { dayOf, foldKnown, foldMessageId, memberOf, metadataValue, placeOf, setName } from './index-entries.ts';
import type { IndexField, IndexSettings } from './index-entries.ts';
import { serverIdOf } from './server-ids.ts';

/** What is noted of a message. Times in ms since the epoch. */
interface NotedMessage {
  readonly id: string;
  readonly connector: string | null;
  readonly messageId: string;
  readonly recipients: readonly { readonly address: string }[];
  readonly acceptedAt: number;
  readonly deadline: number;
  readonly from?: string | null;
  readonly metadata?: Readonly<Record<string, string>> | null;
}

/** `-`: not counted, and no event. The others are names of counters, and of events after `message.`. */
export type ResultKind =
  | '-'
  | 'sent'
  | 'partial'
  | 'deferred'
  | 'set-aside'
  | 'uncertain'
  | 'held'
  | 'dead'
  | 'cancelled'
  | 'replayed';

export interface Notes {
  /** Of a message that enters its lane, or gets its row otherwise. */
  ofRow(keys: ShardKeys, message: NotedMessage): string;
  /** Of a result. `replies` are those of servers that took the message. `withRow`: there was no row yet. */
  ofResult(
    keys: ShardKeys,
    message: NotedMessage,
    result: { readonly kind: ResultKind; readonly soon: boolean; readonly connector: string | null },
    replies: readonly string[],
    withRow: boolean,
  ): string;
}

/** Ids of servers that are indexed for one result: a message that is sent in several transactions has several. */
const mostServerIds = 5;
/** A connector's id, as it may stand in a note. */
const connectorId = /^[a-z0-9][a-z0-9_-]{0,63}$/;

export interface NoteOptions {
  /** The prefix of the installation. */
  readonly salt: string;
  readonly index: () => IndexSettings;
  /** How long a row is kept after its end, in ms. */
  readonly retentionMs: () => number;
  readonly noteDay: NoteDay;
}

/** Without an index: what producers and operators write is counted and told all the same. */
export const plainNotes: Notes = {
  ofRow: (_keys, { connector }) => `accepted 0 ${nameOf(connector)}`,
  ofResult: (_keys, _message, { kind, soon, connector }) => `${kind} ${soon ? 1 : 0} ${nameOf(connector)}`,
};

export function createNotes({ salt, index, retentionMs, noteDay }: NoteOptions): Notes {
  const entry = (field: IndexField, value: string, at: number, buckets: number): string => {
    const place = placeOf(salt, field, value);
    return ` ${setName(field, dayOf(at), buckets, place.bucket(buckets))} ${memberOf(place, at)}`;
  };

  const entriesOf = (keys: ShardKeys, message: NotedMessage): string => {
    const settings = index();
    const { buckets, recipientsPerMessage } = settings;
    const { id, acceptedAt: at, messageId } = message;
    let entries = '';
    let partial = false;
    if (settings.recipients) {
      const addresses = new Set<string>();
      for (const { address } of message.recipients) {
        if (addresses.size >= recipientsPerMessage) {
          partial = true;
          break;
        }
        addresses.add(foldKnown(address));
      }
      for (const address of addresses) entries += entry('to', address, at, buckets);
    }
    if (settings.from && message.from) entries += entry('from', foldKnown(message.from), at, buckets);
    for (const key of settings.metadata) {
      const value = message.metadata?.[key];
      if (value !== undefined) entries += entry('meta', metadataValue(key, value), at, buckets);
    }
    // One that is made of the id needs no entry.
    if (settings.messageId && messageId !== '' && !messageId.startsWith(`<${id}.`)) {
      entries += entry('mid', foldMessageId(messageId), at, buckets);
    }
    if (entries !== '') noteDay(keys, dayOf(at), buckets, message.deadline + retentionMs(), partial);
    return entries;
  };

  const serverEntriesOf = (keys: ShardKeys, message: NotedMessage, replies: readonly string[]): string => {
    const { messageId, buckets } = index();
    if (!messageId || replies.length === 0) return '';
    const ids = new Set<string>();
    for (const reply of new Set(replies)) {
      const id = serverIdOf(reply);
      if (id !== null && ids.size < mostServerIds) ids.add(id);
    }
    if (ids.size === 0) return '';
    noteDay(keys, dayOf(message.acceptedAt), buckets, message.deadline + retentionMs(), false);
    return [...ids].map((id) => entry('mid', foldMessageId(id), message.acceptedAt, buckets)).join('');
  };

  return {
    ofRow: (keys, message) => plainNotes.ofRow(keys, message) + entriesOf(keys, message),
    ofResult: (keys, message, result, replies, withRow) =>
      plainNotes.ofResult(keys, message, result, replies, withRow) +
      (withRow ? entriesOf(keys, message) : '') +
      serverEntriesOf(keys, message, replies),
  };
}

function nameOf(connector: string | null): string {
  return connector !== null && connectorId.test(connector) ? connector : '-';
}
