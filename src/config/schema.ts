/** The schema of `postlane.yaml`: the single source of validation, defaults, JSON Schema and the table in the docs. */
import { z } from 'zod';
import { defaultMessageLimits } from '../message/message.ts';
import { api } from './api.ts';
import { reportKeys } from './report-keys.ts';
import { delivery } from './delivery.ts';
import { fallbackKeys } from './fallback-keys.ts';
import { encryption } from './encryption.ts';
import { graph } from './graph.ts';
import { metrics, worker } from './processes.ts';
import { incoming } from './incoming.ts';
import { groupOfConnector, limitGroups } from './limit-groups.ts';
import { outbox } from './outbox.ts';
import { presetNames } from './presets.ts';
import { proxy } from './proxy.ts';
import { redis } from './redis.ts';
import { replyRule } from './reply-rules.ts';
import { events, index } from './seen.ts';
import { smtp } from './smtp.ts';
import { submission } from './submission.ts';
import { tracing } from './tracing.ts';
import { suppressions } from './suppressions.ts';
import { ui } from './ui.ts';
import * as value from './values.ts';
import { webhooks } from './webhooks.ts';

/** The id is part of a queue's name (`lane-<id>`), in which BullMQ allows no colon. */
export const connectorIdPattern = '^[a-z0-9][a-z0-9_-]{0,63}$';

const retry = {
  firstDelay: value.duration(20),
  maxDelay: value.duration(20),
  lifetime: value.duration(3650),
  attributeWithin: value.duration(20),
};

const limits = z.strictObject({
  preset: z.enum(presetNames).optional().describe('Limits of a provider; the other keys of `limits` override them.'),
  concurrency: z
    .int()
    .min(1)
    .max(1000)
    .optional()
    .describe(
      'Messages of this connector that are sent at once, and connections to its SMTP server, across all workers. Default: the preset’s, otherwise 5, or 4 for `graph` (3 if `bounces` reads by `graph`, too).',
    ),
  messagesPerMinute: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe(
      'Messages per minute, evenly spaced, across all workers: never more in any 60 seconds. Default: the preset’s, otherwise unlimited.',
    ),
  recipientsPerDay: z
    .int()
    .min(1)
    .max(100_000_000)
    .optional()
    .describe(
      'Recipients in any 24 hours, across all workers; more mail waits. Default: the preset’s, otherwise unlimited.',
    ),
  bytes: value.bytesPerWindow
    .optional()
    .describe(
      'Bytes in any window of a given length, across all workers, such as `150MB/5m`; more mail waits. Default: the preset’s, otherwise unlimited.',
    ),
  maxSize: value.size
    .optional()
    .describe(
      'Size of one message as sent; a larger one becomes a dead letter `too-large`. Default: the preset’s, otherwise what the server accepts.',
    ),
  recipientsPerMessage: z
    .int()
    .min(1)
    .max(100_000)
    .optional()
    .describe(
      'Recipients of one SMTP transaction; a message to more is sent in several. Default: the preset’s, otherwise what the server is found to accept.',
    ),
  messagesPerSession: z
    .int()
    .min(1)
    .max(100)
    .optional()
    .describe(
      'Messages of one SMTP session; the next is sent on a new one. Default: what the server is found to accept, 100 at most.',
    ),
  group: groupOfConnector,
});

const connector = z.strictObject({
  direction: z
    .enum(['incoming', 'outgoing', 'both'])
    .describe('Direction of mail. An `incoming` connector never sends.'),
  address: value.addressPattern.optional().describe('Address that the connector sends for, or `*@domain`.'),
  addresses: z.array(value.addressPattern).optional().describe('Several addresses or patterns.'),
  incoming: incoming.optional().describe('Mailbox that mail is read from.'),
  ...reportKeys,
  smtp: smtp.optional().describe('Sends through this SMTP server.'),
  graph: graph.optional().describe('Sends through Microsoft Graph.'),
  proxy,
  limits: limits.prefault({}).describe('How much may be sent at once, per minute, per window and per day.'),
  ...fallbackKeys,
  expires: value.date
    .optional()
    .describe(
      'Last day (UTC) of the client secret or password, for warnings and metrics. The end of a certificate is read from it.',
    ),
  replyRules: z
    .array(replyRule)
    .default([])
    .meta({ title: 'list of reply rules' })
    .describe('As `replyRules`, for this connector; they are tried before the general ones.'),
  retry: z
    .strictObject({
      firstDelay: retry.firstDelay.optional().describe('As `retry.firstDelay`, for this connector.'),
      maxDelay: retry.maxDelay.optional().describe('As `retry.maxDelay`, for this connector.'),
      lifetime: retry.lifetime.optional().describe('As `retry.lifetime`, for this connector.'),
      attributeWithin: retry.attributeWithin.optional().describe('As `retry.attributeWithin`, for this connector.'),
    })
    .prefault({})
    .describe('When deferred messages of this connector are retried. Default: as `retry`.'),
  onUncertain: z
    .enum(['retry', 'hold', 'verify'])
    .optional()
    .describe(
      'What to do after an attempt whose result is unknown because the reply was lost. `retry` (default for `smtp`): send again with the same Message-ID, which may deliver a second copy. `hold`: wait for an operator. `verify` (default for `graph`): look the Message-ID up in the mailbox, then settle the message or send it again.',
    ),
  onUnverified: z
    .enum(['retry', 'hold'])
    .default('hold')
    .describe(
      'What to do if `verify` is inconclusive: the connector may not read the mailbox, or several look-ups found nothing certain.',
    ),
});

export const configSchema = z.strictObject({
  redis,
  hostname: value.ehloName.describe('External DNS name of this machine, sent in EHLO.'),
  systemDefaultGateway: value.text.describe(
    'Connector that sends if no other matches the From address, or `disabled`.',
  ),
  unmonitoredAddress: value.mailbox.optional().describe('From address of messages without one.'),
  connectors: z
    .record(z.string().meta({ pattern: connectorIdPattern }), connector)
    .describe('Connectors by id: lower-case letters, digits, `-` and `_`, at most 64 characters.'),
  message: z
    .strictObject({
      maxRecipients: z
        .int()
        .min(1)
        .max(10_000)
        .default(defaultMessageLimits.maxRecipients)
        .describe('Recipients of one message. Exchange Online accepts 500 by default.'),
      maxSize: value.size
        .prefault(`${defaultMessageLimits.maxBytes / 1024 / 1024}MiB`)
        .describe('Size of one message with its attachments, in bytes or with `KiB`, `MiB`, `KB` or `MB`.'),
    })
    .prefault({})
    .describe('Limits of a message.'),
  retry: z
    .strictObject({
      // 30 s suits greylisting that ends after a minute; 1 h keeps a long outage at 24 attempts a day.
      firstDelay: retry.firstDelay
        .prefault('30s')
        .describe('Delay before the first retry; each further delay is longer.'),
      maxDelay: retry.maxDelay.prefault('1h').describe('Longest delay between two attempts.'),
      // RFC 5321 section 4.5.4.1 says 4 to 5 days; mail of applications is stale long before.
      lifetime: retry.lifetime
        .prefault('24h')
        .describe('Age at which a message that is still deferred becomes a dead letter.'),
      attributeWithin: retry.attributeWithin
        .prefault('1h')
        .describe(
          'How long a permanent refusal waits for other messages to show whether it concerns the message or the connector. After that it is believed.',
        ),
    })
    .prefault({})
    .describe('When deferred messages are retried.'),
  delivery,
  limitGroups,
  replyRules: z
    .array(replyRule)
    .default([])
    .describe(
      'What replies of SMTP servers mean. Rules are tried in order, before the built-in table; the first match decides.',
    ),
  suppressions,
  retention: z
    .strictObject({
      ledger: value
        .duration(3650)
        .prefault('7d')
        .describe('How long a settled message can be looked up and its id stays in use.'),
      content: value
        .durationOrNone(3650)
        .prefault('0s')
        .describe(
          'How long the content of a sent message is kept, so that it can be seen and sent again; `0s` is not at all.',
        ),
      deadLetters: value.duration(3650).prefault('30d').describe('How long a dead letter is kept.'),
      deadLetterCount: z
        .int()
        .min(1)
        .max(10_000_000)
        .default(100_000)
        .describe('How many dead letters are kept; beyond this number, the oldest are removed.'),
    })
    .prefault({})
    .describe('How long finished messages are kept.'),
  encryption,
  index,
  events,
  worker,
  metrics,
  tracing,
  api,
  submission,
  outbox,
  ui,
  webhooks,
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Lowest level that is logged.'),
    })
    .prefault({})
    .describe('The log on standard output.'),
});

/** A valid file with defaults; durations in ms. */
export type ConfigFile = z.output<typeof configSchema>;
export type ConnectorFile = ConfigFile['connectors'][string];

/** The JSON Schema of the file as written, references included. Draft-07 is what editors support best. */
export function configJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(configSchema, {
    target: 'draft-7',
    io: 'input',
    override: ({ jsonSchema }) => {
      if (JSON.stringify(jsonSchema.default) === '{}') delete jsonSchema.default;
      // A reference is text, and may stand for a number, a boolean or a choice.
      if (jsonSchema.type !== 'integer' && jsonSchema.type !== 'boolean' && jsonSchema.enum === undefined) return;
      const { description, default: fallback, ...plain } = jsonSchema;
      for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
      jsonSchema.anyOf = [plain, { type: 'string', pattern: '^\\$\\{[^}]+\\}$' }];
      if (description !== undefined) jsonSchema.description = description;
      if (fallback !== undefined) jsonSchema.default = fallback;
    },
  });
  return { ...schema, title: 'Postlane configuration', description: 'postlane.yaml' };
}
