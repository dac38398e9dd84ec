/** What a client of the event stream gets: an event as JSON in the form of Server-Sent Events (WHATWG HTML section 9.2). */
import { z } from 'zod';
import type { StoredEvent } from '../../queue/journal/events.ts';
import { bareMessageId, bounce, time, timeOf } from './schemas.ts';

const recipient = z.object({
  address: z.string(),
  outcome: z.string(),
  code: z.string().nullable(),
  reply: z.string().nullable(),
});

/** The JSON in `data` of each event; `event` is its type. */
export const eventSchema = z
  .union([
    z.object({
      type: z.string().meta({ description: '`message.` and what happened to it.' }),
      at: time,
      id: z.string(),
      sequence: z
        .int()
        .meta({ description: 'Rises over the life of a message: of two events the higher one is newer.' }),
      state: z.string(),
      connector: z.string().nullable(),
      attempt: z.int().nullable(),
      detail: z.string().nullable(),
      reason: z.string().nullable(),
      messageId: z.string().nullable(),
      metadata: z.record(z.string(), z.string()),
      recipients: z
        .array(recipient)
        .nullable()
        .meta({ description: 'null: too many for an event; the message has them.' }),
      bounced: z
        .array(z.object({ address: z.string(), bounce }))
        .nullable()
        .optional()
        .meta({ description: 'Of `message.bounced`: whose mail came back, by this report.' }),
    }),
    z.object({
      type: z.string().meta({ description: '`connector.` or `config.` and what happened.' }),
      at: time,
      connector: z.string().nullable(),
      data: z.record(z.string(), z.string()),
    }),
    z.object({
      type: z.literal('gap').meta({ description: 'Events are missing here: read the state of what you follow again.' }),
      at: time,
      dropped: z.int().nullable().meta({ description: 'At most so many; null if that is not known.' }),
    }),
  ])
  .meta({ id: 'Event' });

/**
 * Without the id, which is where the client stands, and differs between clients; that of the event itself is for webhooks, whose receivers
 * have no cursor. JSON has no line ends of its own.
 */
export function textOf(event: StoredEvent): string {
  const { cursor: _cursor, eventId: _eventId, at, type, ...rest } = event;
  const bare = 'messageId' in rest ? { ...rest, messageId: bareMessageId(rest.messageId), ...bouncedOf(rest) } : rest;
  return `event: ${type}\ndata: ${JSON.stringify({ type, at: timeOf(at), ...bare })}\n\n`;
}

function bouncedOf({ bounced }: Pick<Extract<StoredEvent, { messageId: string | null }>, 'bounced'>): object {
  if (bounced === undefined) return {};
  return {
    bounced:
      bounced?.map(({ address, bounce: back }) => ({ address, bounce: { ...back, at: timeOf(back.at) } })) ?? null,
  };
}

/** How many were dropped is not known. */
export function gapText(now: number): string {
  return `event: gap\ndata: ${JSON.stringify({ type: 'gap', at: timeOf(now), dropped: null })}\n\n`;
}
