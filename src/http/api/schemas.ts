/** Schemas that several routes share. A schema with an `id` in its `meta` is a component of the OpenAPI document. */
import { z } from 'zod';
import { parseMailbox } from '../../message/address.ts';
import type { MessageSummary } from '../../admin/messages.ts';
import type { HistoryEntry, MessageStatus, RecipientState } from '../../producer/producer.ts';
import { ledgerStates, recipientOutcomes } from '../../queue/ledger/ledger.ts';

/** RFC 3339, in UTC. */
export const time = z.iso
  .datetime()
  .meta({ id: 'Time', description: 'RFC 3339, in UTC.', examples: ['2030-01-31T08:00:00.000Z'] });

/** The same from a client, with any offset. */
export const timeInput = z.iso.datetime({ offset: true }).meta({ examples: ['2030-01-31T08:00:00Z'] });

/** An id of a message: as the message schema has it. */
export const messageId = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,128}$/)
  .meta({ description: 'Id of a message.' });

/** An id of a connector. @public */
export const connectorId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,63}$/)
  .meta({ description: 'Id of a connector.' });

export const proxy = z
  .string()
  .nullable()
  .meta({ description: 'On the way to the server, without its login; null: none.' });

export const directHosts = z
  .array(z.string())
  .meta({ description: 'Of several hosts those that are reached without the proxy, `host:port`.' });

/** What is set for the way of a connector's mail. */
export const sending = {
  server: z.string().nullable().meta({ description: '`host:port` of each host, or the mailbox of Graph.' }),
  proxy,
  directHosts,
  localAddress: z
    .string()
    .nullable()
    .meta({ description: 'The local IP address that its connections use; null: the system chooses.' }),
  dkim: z
    .object({ domain: z.string(), selector: z.string() })
    .nullable()
    .meta({ description: 'How its mail is signed here; null: it is not.' }),
  credentialExpiresAt: time.nullable().meta({ description: 'Of its certificate, secret or password.' }),
};

/** An address with or without a display name → the bare address in its normal form. */
export const address = z
  .string()
  .max(1_000)
  .transform((text, context): string => {
    const parsed = parseMailbox(text);
    if (parsed.ok) return parsed.value.address;
    context.addIssue({ code: 'custom', message: parsed.problem, params: { rule: 'address' } });
    return z.NEVER;
  });

/** What a delivery report said after a server had taken the mail. @public */
export const bounce = z
  .object({
    at: time.meta({ description: 'When the report was read.' }),
    action: z.enum(['failed', 'delayed']),
    status: z.string().nullable().meta({ description: 'Enhanced status code (RFC 3463), such as `5.1.1`.' }),
    smtpCode: z.string().nullable().meta({ description: 'Code of the reply in the report, such as `550`.' }),
    permanent: z
      .boolean()
      .nullable()
      .meta({ description: 'Whether the address will fail again; null if nothing says so.' }),
    diagnostic: z.string().nullable().meta({ description: 'The reason, in the words of the server.' }),
  })
  .meta({ id: 'Bounce' });

const recipient = z
  .object({
    address: z.string(),
    outcome: z.enum(recipientOutcomes),
    code: z.string().nullable().meta({ description: 'Of the last reply, such as `250`.' }),
    reply: z.string().nullable().meta({ description: 'Text of the last reply.' }),
    elsewhere: z
      .literal(true)
      .optional()
      .meta({ description: 'Of one who is `uncertain`: the copy, if there is one, went to `delivery.redirectTo`.' }),
    bounce: bounce.optional().meta({ description: 'Missing if nothing came back.' }),
  })
  .meta({ id: 'Recipient' });

function recipientOf({ bounce: back, ...recipientState }: RecipientState): z.input<typeof recipient> {
  return back === undefined ? recipientState : { ...recipientState, bounce: { ...back, at: timeOf(back.at) } };
}

/** One entry of a message's history. */
export const history = z
  .object({
    at: time,
    event: z.string(),
    connector: z.string().optional(),
    attempt: z.int().optional(),
    detail: z.string().optional(),
  })
  .meta({ id: 'HistoryEntry' });

/** An attempt. What one of an earlier release came to is in the history alone. @public */
export const attempt = z
  .object({
    at: time.meta({ description: 'When the transaction was begun.' }),
    connector: z.string().nullable(),
    server: z.string().nullable().meta({ description: 'Of the connector, as it is configured now.' }),
    worker: z.string(),
    durationMs: z.int(),
    recipients: z.array(
      z.object({
        address: z.string(),
        outcome: recipient.shape.outcome,
        code: recipient.shape.code,
        enhancedCode: z.string().nullable().meta({ description: 'Of the reply (RFC 3463), such as `5.1.1`.' }),
        reply: z.string().nullable().meta({ description: 'null where an attempt had too many different replies.' }),
      }),
    ),
  })
  .meta({ id: 'Attempt' });

/** A message as `status` shows it. */
export const message = z
  .object({
    id: z.string(),
    state: z.enum(ledgerStates),
    connector: z.string().nullable().meta({ description: 'null until it is routed.' }),
    attempts: z.int(),
    recipients: z.array(recipient),
    history: z.array(history),
    messageId: z.string().nullable().meta({ description: 'The header Message-ID, without angle brackets.' }),
    reason: z.string().nullable().meta({ description: 'Of its dead letter.' }),
    retryAt: time.nullable(),
    from: z.string().nullable().meta({ description: 'The From address, where it is known.' }),
    route: z
      .object({ from: z.string().nullable(), connector: z.string(), rule: z.string() })
      .nullable()
      .meta({ description: 'Which rule chose the connector; null until it is routed.' }),
    acceptedAt: time,
    deadline: time.nullable().meta({ description: 'After that no attempt begins; null until it is routed.' }),
    submittedBy: z.string().nullable().meta({ description: 'Id of the token, where that is known.' }),
    size: z.int().nullable().meta({ description: 'Bytes of the mail; null until it has been tried.' }),
  })
  .meta({ id: 'Message' });

export function historyOf(entry: HistoryEntry): z.input<typeof history> {
  return { ...entry, at: timeOf(entry.at) };
}

export function messageOf(status: MessageStatus): z.input<typeof message> {
  const { history: entries, attemptLog: _, messageId: written, recipients, rule, ...rest } = status;
  const { connector, from, retryAt, acceptedAt, deadline } = status;
  return {
    ...rest,
    recipients: recipients.map(recipientOf),
    history: entries.map(historyOf),
    messageId: bareMessageId(written),
    retryAt: retryAt === null ? null : timeOf(retryAt),
    route: connector === null || rule === null ? null : { from, connector, rule },
    acceptedAt: timeOf(acceptedAt),
    deadline: deadline === null ? null : timeOf(deadline),
  };
}

/** `serverOf`: the server of a connector. */
export function attemptsOf(
  { attemptLog }: MessageStatus,
  serverOf: (connector: string | null) => string | null,
): z.input<typeof attempt>[] {
  return attemptLog.map(({ at, connector, worker, durationMs, recipients }) => ({
    at: timeOf(at),
    connector,
    server: serverOf(connector),
    worker,
    durationMs,
    recipients: [...recipients],
  }));
}

/** ms since the epoch → RFC 3339. What came out of Redis may be no time. */
export function timeOf(ms: number): string {
  return new Date(Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? ms : 0).toISOString();
}

/** A message in a list. */
export const found = z
  .object({
    id: z.string(),
    state: z.enum(ledgerStates),
    connector: z.string().nullable(),
    from: z.string().nullable(),
    recipients: z.array(recipient).meta({ description: 'At most 20: those that were asked for, and the first ones.' }),
    recipientCount: z.int(),
    at: time.meta({ description: 'When it was accepted.' }),
    updatedAt: time,
    attempts: z.int(),
    reason: z.string().nullable(),
    retryAt: time.nullable(),
    messageId: z.string().nullable(),
    subject: z.string().nullable().meta({ description: 'Its beginning, with `index.subject`.' }),
    metadata: z.record(z.string(), z.string()),
    erasedAt: time.nullable(),
  })
  .meta({ id: 'FoundMessage' });

export function foundOf({
  at,
  updatedAt,
  retryAt,
  erasedAt,
  messageId: written,
  recipients,
  ...rest
}: MessageSummary): z.input<typeof found> {
  return {
    ...rest,
    recipients: recipients.map(recipientOf),
    at: timeOf(at),
    updatedAt: timeOf(updatedAt),
    retryAt: retryAt === null ? null : timeOf(retryAt),
    messageId: bareMessageId(written),
    erasedAt: erasedAt === null ? null : timeOf(erasedAt),
  };
}

/** Without its angle brackets. */
export function bareMessageId(written: string | null): string | null {
  return written?.replaceAll(/[<>]/g, '') ?? null;
}
