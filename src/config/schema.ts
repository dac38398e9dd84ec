/** The one schema of `postlane.yaml`: source of the validation, the defaults, the JSON Schema and the table in the docs. */
import { z } from 'zod';
import { defaultMessageLimits } from '../message/message.ts';
import { smtpTimeouts } from '../transport/smtp/settings.ts';
import { graph } from './graph.ts';
import { oauth2 } from './oauth.ts';
import { presetNames } from './presets.ts';
import { redis } from './redis.ts';
import { replyRule } from './reply-rules.ts';
import * as value from './values.ts';

/** Queue names are made of it (`lane-<id>`), and BullMQ takes no colon in them. */
export const connectorIdPattern = '^[a-z0-9][a-z0-9_-]{0,63}$';

/** Written with the unit that a person would choose, so that defaults read as they would in the file. */
const written = (ms: number): string => (ms % 60_000 === 0 ? `${ms / 60_000}m` : `${ms / 1000}s`);

const retry = {
  firstDelay: value.duration(20),
  maxDelay: value.duration(20),
  lifetime: value.duration(3650),
};

const timeout = (ms: number, description: string) => value.duration(1).prefault(written(ms)).describe(description);

const smtp = z.strictObject({
  host: value.host.describe('Name or IP address of the SMTP server.'),
  port: value.port.optional().describe('Port. By default 465 for `security: tls`, 25 for `none`, else 587.'),
  security: z
    .enum(['tls', 'starttls', 'none'])
    .optional()
    .describe(
      '`tls`: TLS from the first byte (default for port 465). `starttls`: STARTTLS, required (default for every other port). `none`: plain text.',
    ),
  auth: z
    .strictObject({
      user: value.text.describe('User name.'),
      password: value.secret.optional().describe('Password; normally a reference. Required without `oauth2`.'),
      oauth2: oauth2.optional().describe('Log in with an access token (XOAUTH2) instead of a password.'),
    })
    .optional()
    .describe('Credentials of the server. Left out: those of `incoming`, else none (an open relay inside a network).'),
  allowInsecureAuth: z
    .boolean()
    .default(false)
    .describe('Send credentials although `security` is `none`, for everybody on the way to read.'),
  tls: z
    .strictObject({
      ca: value.certificates
        .optional()
        .describe(
          'Private CAs that replace the public ones: PEM text (normally `${file:ca.pem}`), or the path of a `.pem` or `.crt` file.',
        ),
      servername: value.host.optional().describe('Name that the certificate must carry. Default: `host`.'),
    })
    .prefault({})
    .describe('How the certificate of the server is verified. It always is.'),
  timeouts: z
    .strictObject({
      connect: timeout(smtpTimeouts.connectMs, 'Until the connection stands.'),
      greeting: timeout(smtpTimeouts.greetingMs, 'Until the server has greeted.'),
      command: timeout(smtpTimeouts.commandMs, 'Silence of the server within any later phase.'),
      dataTermination: timeout(
        smtpTimeouts.dataTerminationMs,
        'Between the final dot and its reply. Shorter makes more messages uncertain.',
      ),
      total: timeout(smtpTimeouts.totalMs, 'One attempt up to the end of the message.'),
    })
    .prefault({})
    .describe('How long each phase of a session may take.'),
});

const incoming = z.strictObject({
  protocol: z.enum(['imap', 'pop3']).describe('Protocol of the mailbox.'),
  host: value.host.describe('Server of the mailbox.'),
  port: value.port.optional().describe('Port. By default 993 for `imap` and 995 for `pop3`.'),
  user: value.text.describe('User name; the SMTP session of the same connector uses it too.'),
  password: value.secret.describe('Password, for both as well; normally a reference.'),
});

const limits = z.strictObject({
  preset: z
    .enum(presetNames)
    .optional()
    .describe('Limits of a provider, where the keys beside it do not say otherwise.'),
  concurrency: z
    .int()
    .min(1)
    .max(1000)
    .optional()
    .describe(
      'Messages of this connector on their way at once, and connections to its SMTP server, over all workers. Default: the preset’s, else 5, or 4 for `graph`.',
    ),
  messagesPerMinute: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe(
      'Messages per minute, one by one, over all workers: never more in any 60 seconds. Default: the preset’s, else unlimited.',
    ),
  recipientsPerDay: z
    .int()
    .min(1)
    .max(100_000_000)
    .optional()
    .describe(
      'Recipients within any 24 hours, over all workers; then mail waits. Default: the preset’s, else unlimited.',
    ),
  bytes: value.bytesPerWindow
    .optional()
    .describe(
      'Bytes within any window of a length, over all workers, such as `150MB/5m`; then mail waits. Default: the preset’s, else unlimited.',
    ),
  maxSize: value.size
    .optional()
    .describe(
      'Size of one message as it is sent; a larger one is a dead letter `too-large`. Default: the preset’s, else what the server takes.',
    ),
});

const connector = z.strictObject({
  direction: z.enum(['incoming', 'outgoing', 'both']).describe('Which way mail goes; `incoming` never sends.'),
  address: value.addressPattern.optional().describe('Address that the connector sends for, or `*@domain`.'),
  addresses: z.array(value.addressPattern).optional().describe('The same, several of them.'),
  incoming: incoming.optional().describe('The mailbox that mail is read from.'),
  smtp: smtp.optional().describe('Sends through this SMTP server.'),
  graph: graph.optional().describe('Sends through Microsoft Graph.'),
  limits: limits.prefault({}).describe('How much may be sent at once, and within a minute, a window and a day.'),
  replyRules: z
    .array(replyRule)
    .default([])
    .meta({ title: 'list of reply rules' })
    .describe('As `replyRules`, for this connector; asked before the general ones.'),
  retry: z
    .strictObject({
      firstDelay: retry.firstDelay.optional().describe('As `retry.firstDelay`, for this connector.'),
      maxDelay: retry.maxDelay.optional().describe('As `retry.maxDelay`, for this connector.'),
      lifetime: retry.lifetime.optional().describe('As `retry.lifetime`, for this connector.'),
    })
    .prefault({})
    .describe('When deferred messages of this connector are tried again. Default: as `retry`.'),
  onUncertain: z
    .enum(['retry', 'hold', 'verify'])
    .optional()
    .describe(
      'What follows an attempt whose result is not known, as the answer to a whole message was lost. `retry` (default for `smtp`): it is made again with the same Message-ID, which may give a second copy. `hold`: it waits for an operator. `verify` (default for `graph`): its Message-ID is looked up in the mailbox, then it is settled or made again.',
    ),
  onUnverified: z
    .enum(['retry', 'hold'])
    .default('hold')
    .describe(
      'What follows where `verify` finds out nothing: the connector may not read the mailbox, or several looks came to nothing.',
    ),
});

export const configSchema = z.strictObject({
  redis,
  hostname: value.ehloName.describe('External DNS name of this machine: the name that EHLO gives.'),
  systemDefaultGateway: value.text.describe('Connector that sends where none matches the From address, or `disabled`.'),
  unmonitoredAddress: value.mailbox.optional().describe('From of messages that name none.'),
  connectors: z
    .record(z.string().meta({ pattern: connectorIdPattern }), connector)
    .describe('The connectors by id: lower-case letters, digits, `-` and `_`, at most 64.'),
  message: z
    .strictObject({
      maxRecipients: z
        .int()
        .min(1)
        .max(10_000)
        .default(defaultMessageLimits.maxRecipients)
        .describe('Recipients of one message. Exchange Online takes 500 by default.'),
      maxSize: value.size
        .prefault(`${defaultMessageLimits.maxBytes / 1024 / 1024}MiB`)
        .describe('Size of one message with its attachments; bytes, or `KiB`, `MiB`, `KB`, `MB`.'),
    })
    .prefault({})
    .describe('What a message may be.'),
  retry: z
    .strictObject({
      // Soon enough for a greylisting that ends after a minute; an hour keeps a long outage to 24 attempts a day.
      firstDelay: retry.firstDelay.prefault('30s').describe('Delay of the first retry; each next one is longer.'),
      maxDelay: retry.maxDelay.prefault('1h').describe('Longest delay between two attempts.'),
      // RFC 5321 section 4.5.4.1 says 4 to 5 days; application mail is stale long before.
      lifetime: retry.lifetime
        .prefault('24h')
        .describe('Age at which a message that is still deferred becomes a dead letter.'),
    })
    .prefault({})
    .describe('When deferred messages are tried again.'),
  replyRules: z
    .array(replyRule)
    .default([])
    .describe(
      'What replies of SMTP servers mean; asked in order before the built-in table, the first that fits decides.',
    ),
  retention: z
    .strictObject({
      ledger: value
        .duration(3650)
        .prefault('7d')
        .describe('How long a settled message can be looked up, and its id stays taken.'),
      deadLetters: value.duration(3650).prefault('30d').describe('How long a dead letter is kept.'),
      deadLetterCount: z
        .int()
        .min(1)
        .max(10_000_000)
        .default(100_000)
        .describe('How many dead letters are kept; beyond it the oldest go.'),
    })
    .prefault({})
    .describe('How long what is finished stays.'),
  worker: z
    .strictObject({
      slots: z.int().min(1).max(10_000).default(64).describe('Messages that one process has on their way at once.'),
      maxBytesInFlight: value.size
        .prefault('256MiB')
        .describe('Bytes of mail that one process holds at once, as they are sent; one connector holds at most half.'),
      drain: value.duration(1).prefault('60s').describe('How long a stop waits for running sends.'),
      health: z
        .strictObject({
          port: value.port.optional().describe('Port of the health check. Left out: none.'),
          host: value.host.prefault('127.0.0.1').describe('Address that the health check listens on.'),
        })
        .prefault({})
        .describe('HTTP health check.'),
    })
    .prefault({})
    .describe('The worker process.'),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Least severity that is logged.'),
    })
    .prefault({})
    .describe('The log on standard output.'),
});

/** The file once it is valid, with defaults; durations in ms. */
export type ConfigFile = z.output<typeof configSchema>;
export type ConnectorFile = ConfigFile['connectors'][string];

/** The JSON Schema (draft-07, which editors know best) of the file as it is written: references and all. */
export function configJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(configSchema, {
    target: 'draft-7',
    io: 'input',
    override: ({ jsonSchema }) => {
      if (JSON.stringify(jsonSchema.default) === '{}') delete jsonSchema.default;
      // A reference may stand for a number, a switch or a choice too, and is text.
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
