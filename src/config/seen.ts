/** The sections about what can be seen of messages: the search index, and events. */
import { z } from 'zod';
import * as value from './values.ts';

export const index = z
  .strictObject({
    recipients: z.boolean().default(true).describe('Messages can be found by recipient.'),
    from: z
      .boolean()
      .default(false)
      .describe('Messages can be found by From address. Addresses that send most of the mail make it large.'),
    metadata: z
      .array(value.text)
      .max(10)
      .default([])
      .describe('Keys of `metadata` that messages can be found by; at most 10.'),
    subject: z
      .boolean()
      .default(false)
      .describe('The first 120 characters of the subject are kept, and shown in results.'),
    messageId: z
      .boolean()
      .default(true)
      .describe(
        'Messages can be found by a Message-ID of their own (`raw`), and by the id under which a server took them.',
      ),
    buckets: z
      .int()
      .min(1)
      .max(1_048_576)
      .default(16_384)
      .describe('Sets of the index for each day, field and shard. The default is for a million messages a day.'),
    recipientsPerMessage: z
      .int()
      .min(1)
      .max(10_000)
      .default(50)
      .describe('Recipients of one message that it can be found by, at most.'),
  })
  .prefault({})
  .describe('What messages can be found by.');

export const events = z
  .strictObject({
    maxBytes: value.size
      .prefault('64MiB')
      .describe(
        'Memory of events that wait to be read, over all shards. Beyond it, the oldest are dropped and counted.',
      ),
  })
  .prefault({})
  .describe('Events for webhooks and live views.');
