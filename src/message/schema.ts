/** The one schema of an outbound message: source of the input type, the validation and `schema/message.schema.json`. */
import { z } from 'zod';
import type { Issue } from '../errors.ts';
import type { Message, MessageLimits } from './message.ts';

const mailbox = z.union([z.string(), z.strictObject({ name: z.string().optional(), address: z.string() })]);
const mailboxes = z.union([mailbox, z.array(mailbox)]);
const bytes = z.instanceof(Uint8Array);
const attachmentNames = {
  filename: z.string().optional(),
  contentType: z.string().optional(),
  cid: z.string().optional(),
  disposition: z.enum(['attachment', 'inline']).optional(),
};
const encoding = z.enum(['utf8', 'base64']).optional();
const stored = { ref: z.string(), size: z.number() };
const when = z.union([z.iso.datetime({ offset: true }), z.number(), z.date()]);

const messageSchema = z.strictObject({
  id: z.string().optional(),
  from: mailbox.optional(),
  to: mailboxes.optional(),
  cc: mailboxes.optional(),
  bcc: mailboxes.optional(),
  replyTo: mailboxes.optional(),
  subject: z.string().optional(),
  text: z.string().optional(),
  html: z.string().optional(),
  attachments: z
    .array(
      z.union([
        z.strictObject({ ...attachmentNames, content: z.union([z.string(), bytes]), encoding }),
        z.strictObject({ ...attachmentNames, ...stored }),
      ]),
    )
    .optional(),
  headers: z.record(z.string(), z.union([z.string(), z.array(z.string())])).optional(),
  inReplyTo: z.string().optional(),
  references: z.union([z.string(), z.array(z.string())]).optional(),
  raw: z
    .union([
      z.string(),
      bytes,
      z.strictObject({ content: z.union([z.string(), bytes]), encoding }),
      z.strictObject(stored),
    ])
    .optional(),
  envelope: z
    .strictObject({ from: z.string().optional(), to: z.union([z.string(), z.array(z.string())]).optional() })
    .optional(),
  priority: z.enum(['high', 'normal', 'low']).optional(),
  sendAt: when.optional(),
  expiresAt: when.optional(),
  metadata: z.record(z.string(), z.string()).optional(),
});

/** What a caller may hand over. */
export type OutboundMessage = z.input<typeof messageSchema>;

export type ParsedMessage =
  | { readonly ok: true; readonly message: Message }
  | { readonly ok: false; readonly issues: readonly Issue[] };

/** Validates unknown input and gives its normal form, or everything that is wrong with it. Never throws. */
export function parseMessage(input: unknown, limits: MessageLimits): ParsedMessage {
  throw new Error(`not built yet: ${typeof input} ${limits.maxBytes}`);
}

/** The JSON Schema of the input, for editors and for producers in other languages. */
export function messageJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(messageSchema, { io: 'input', unrepresentable: 'any' });
}
