/** Makes a message the row of a table: what an application inserts in the transaction that the message belongs to. */
import { defaultMessageLimits, type MessageLimits } from '../message/message.ts';
import type { OutboundMessage } from '../message/outbound.ts';
import { acceptMessage, requireBytes } from '../producer/accept.ts';
import { maxDataBytesOf } from '../queue/jobs.ts';
import { maxRowBytes } from './table.ts';

export interface OutboxInsertOptions {
  /** Limits that are applied now; the relay applies those of its configuration. Default: 500 recipients, 25 MiB. */
  readonly message?: Partial<MessageLimits>;
  /** How `text` marks its values: `$1, $2`, or `?` as Knex has it. Default `$`. */
  readonly placeholders?: '$' | '?';
}

/** One INSERT, for any driver. To be executed in the transaction of the application; nothing is sent before its commit. */
export interface OutboxInsert {
  /** Id of the message, with which its status is asked for. */
  readonly id: string;
  /** The statement. */
  readonly text: string;
  /** Its values: id and message. */
  readonly values: [id: string, message: string];
  /** The same as arguments of a tag for SQL templates: `sql(...template)`. */
  readonly template: [strings: TemplateStringsArray, id: string, message: string];
}

/**
 * Validates the message as `send` does, and gives it an id if it has none. Neither Redis nor the database is asked.
 *
 * @throws PostlaneError `message-invalid`
 */
export function outboxInsert(message: OutboundMessage, options: OutboxInsertOptions = {}): OutboxInsert {
  const limits = { ...defaultMessageLimits, ...options.message };
  const { id, message: accepted, broughtId } = acceptMessage(message, limits);
  const json = JSON.stringify(accepted);
  requireBytes(json, Math.min(maxDataBytesOf(limits, false), maxRowBytes));
  // An id that was made here is no other message's: its content need not be compared with what the id stood for before.
  const pieces = ['INSERT INTO postlane_outbox (id, message, given_id) VALUES (', ', ', `, ${broughtId})`] as const;
  const [first, second] = options.placeholders === '?' ? ['?', '?'] : ['$1', '$2'];
  return {
    id,
    text: `${pieces[0]}${first}${pieces[1]}${second}${pieces[2]}`,
    values: [id, json],
    template: [Object.assign([...pieces], { raw: pieces }), id, json],
  };
}
