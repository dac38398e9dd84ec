/** Validates an outbound message: fields first, then what they mean together; the normal form, or everything that is wrong. */
import { z } from 'zod';
import { contentSize, inlineBytes } from './content.ts';
import { messageSchema, nestedKeys } from './fields.ts';
import type { Attachment, Mailbox, Message, MessageLimits } from './message.ts';
import { readRawHeader } from './raw.ts';
import { toIssues, unknownKey, type MessageIssue, type MessageRule } from './rules.ts';

export type ParsedMessage =
  | { readonly ok: true; readonly message: Message }
  | { readonly ok: false; readonly issues: readonly MessageIssue[] };

/** More than this many issues help nobody, and fill dead letters. */
const maxIssues = 100;

/** Header fields and MIME structure that the estimate adds per message, and per attachment. */
const structureBytes = 512;

type Fields = z.output<typeof messageSchema>;
const fieldNames = Object.keys(messageSchema.shape) as (keyof Fields)[];
const lists: ReadonlySet<string> = new Set(['to', 'cc', 'bcc', 'replyTo', 'attachments', 'references']);
const contentFields = [
  'subject',
  'text',
  'html',
  'attachments',
  'headers',
  'replyTo',
  'inReplyTo',
  'references',
] as const;

function issue(field: string, rule: MessageRule, message: string): MessageIssue {
  return { field, rule, message };
}

/** The fields that are in order, and the issues of those that are not. */
function readFields(input: Readonly<Record<string, unknown>>): { fields: Partial<Fields>; issues: MessageIssue[] } {
  const issues: MessageIssue[] = [];
  const fields: Record<string, unknown> = {};
  for (const key of Object.keys(input)) {
    if (input[key] !== undefined && !Object.hasOwn(messageSchema.shape, key))
      issues.push(unknownKey([], key, fieldNames));
  }
  for (const name of fieldNames) {
    const value = Object.hasOwn(input, name) ? input[name] : undefined;
    if (value === undefined) continue;
    // The normal form has many of them; nothing is in them that could be wrong.
    if (Array.isArray(value) && value.length === 0 && lists.has(name)) {
      fields[name] = [];
      continue;
    }
    // Zod passes over this key of a record in silence.
    if (
      (name === 'headers' || name === 'metadata') &&
      typeof value === 'object' &&
      value &&
      Object.hasOwn(value, '__proto__')
    ) {
      issues.push(
        issue(`${name}.__proto__`, name === 'headers' ? 'header-name' : 'metadata', '"__proto__" is no name'),
      );
    }
    const result = messageSchema.shape[name].safeParse(value);
    if (result.success) fields[name] = result.data;
    else for (const found of result.error.issues) issues.push(...toIssues(found, [name], nestedKeys));
  }
  return { fields, issues };
}

/** Bytes that the composed mail will have: text as it is, attachments in base64 lines of 76 characters (RFC 2045 section 6.8). */
function estimateBytes(fields: Partial<Fields>): number {
  if (fields.raw !== undefined) return contentSize(fields.raw);
  let bytes = structureBytes;
  for (const text of [fields.subject, fields.text, fields.html])
    bytes += text === undefined ? 0 : Buffer.byteLength(text);
  for (const attachment of fields.attachments ?? []) {
    bytes += structureBytes + Math.ceil((Math.ceil(contentSize(attachment) / 3) * 4 * 78) / 76);
  }
  for (const [name, values] of Object.entries(fields.headers ?? {})) {
    for (const value of values) bytes += name.length + Buffer.byteLength(value) + 4;
  }
  for (const mailbox of [...(fields.to ?? []), ...(fields.cc ?? [])]) {
    bytes += Buffer.byteLength(mailbox.address) + Buffer.byteLength(mailbox.name ?? '') + 4;
  }
  return bytes;
}

function isGiven(value: unknown): boolean {
  if (value === undefined) return false;
  if (Array.isArray(value)) return value.length > 0;
  return typeof value !== 'object' || value === null || Object.keys(value).length > 0;
}

interface Parties {
  readonly from: Mailbox | undefined;
  readonly recipients: readonly string[];
}

/** Who sends and who receives: what the fields say, and from the header of a raw message what they leave open. */
function readParties(
  fields: Partial<Fields>,
  input: Readonly<Record<string, unknown>>,
  issues: MessageIssue[],
): Parties {
  let from: Mailbox | undefined = fields.from;
  let recipients =
    fields.envelope?.to ??
    [...(fields.to ?? []), ...(fields.cc ?? []), ...(fields.bcc ?? [])].map((each) => each.address);
  const bytes = fields.raw === undefined ? null : inlineBytes(fields.raw);
  const header = bytes === null ? null : readRawHeader(bytes);
  if (header?.ok === false) issues.push(issue('raw', 'raw-header', header.problem));
  if (header?.ok === true) {
    if (!isGiven(input['from'])) {
      if (header.value.from.ok) from = header.value.from.value ?? undefined;
      else issues.push(issue('raw', 'raw-header', `${header.value.from.problem}; give \`from\` beside it`));
    }
    if (!['to', 'cc', 'bcc'].some((name) => isGiven(input[name])) && !isGiven(fields.envelope?.to)) {
      if (header.value.recipients.ok) recipients = header.value.recipients.value.map((each) => each.address);
      else issues.push(issue('raw', 'raw-header', `${header.value.recipients.problem}; give \`to\` beside it`));
    }
  }
  return { from, recipients: [...new Set(recipients)] };
}

/** What the fields mean together. Fields that have issues of their own are not here, so some of this is skipped then. */
function readTogether(
  fields: Partial<Fields>,
  input: Readonly<Record<string, unknown>>,
  limits: MessageLimits,
  issues: MessageIssue[],
): Parties {
  if (isGiven(input['raw'])) {
    for (const name of contentFields) {
      if (isGiven(input[name]))
        issues.push(issue(name, 'raw-excludes', '`raw` is the whole message; leave this field out'));
    }
  }
  const parties = readParties(fields, input, issues);
  const count = parties.recipients.length;
  if (count === 0 && !issues.some((found) => /^(?:to|cc|bcc|envelope|raw)\b/.test(found.field))) {
    issues.push(
      issue(fields.envelope?.to === undefined ? 'to' : 'envelope.to', 'no-recipient', 'the message has no recipient'),
    );
  }
  if (count > limits.maxRecipients) {
    issues.push(
      issue(
        fields.envelope?.to === undefined ? 'to' : 'envelope.to',
        'too-many-recipients',
        `${count} recipients; the limit is ${limits.maxRecipients}`,
      ),
    );
  }
  const bytes = estimateBytes(fields);
  if (bytes > limits.maxBytes) {
    issues.push(
      issue(
        fields.raw === undefined ? '' : 'raw',
        'too-large',
        `about ${bytes} bytes; the limit is ${limits.maxBytes}`,
      ),
    );
  }
  if (fields.sendAt !== undefined && fields.expiresAt !== undefined && fields.expiresAt <= fields.sendAt) {
    issues.push(issue('expiresAt', 'date-order', 'must be after sendAt'));
  }
  return parties;
}

/** The object without its undefined values, as the normal form has no such keys. */
function withoutUndefined<T>(value: { readonly [K in keyof T]: T[K] | undefined }): T {
  const copy: Record<string, unknown> = {};
  for (const key in value) if (value[key] !== undefined) copy[key] = value[key];
  return copy as T;
}

function normalAttachment(attachment: NonNullable<Fields['attachments']>[number]): Attachment {
  const { filename, disposition, ...rest } = attachment;
  return withoutUndefined<Attachment>({
    ...rest,
    filename: filename === '' ? undefined : filename,
    disposition: disposition ?? (rest.cid === undefined ? 'attachment' : 'inline'),
  });
}

function toMessage(fields: Partial<Fields>, { from, recipients }: Parties): Message {
  return withoutUndefined<Message>({
    id: fields.id,
    from,
    to: fields.to ?? [],
    cc: fields.cc ?? [],
    bcc: fields.bcc ?? [],
    replyTo: fields.replyTo ?? [],
    subject: fields.subject,
    text: fields.text,
    html: fields.html,
    attachments: (fields.attachments ?? []).map(normalAttachment),
    headers: fields.headers ?? {},
    inReplyTo: fields.inReplyTo,
    references: fields.references ?? [],
    raw: fields.raw,
    envelope: withoutUndefined({ from: fields.envelope?.from ?? from?.address, to: recipients }),
    priority: fields.priority ?? 'normal',
    sendAt: fields.sendAt,
    expiresAt: fields.expiresAt,
    metadata: fields.metadata,
  });
}

/**
 * Validates unknown input and gives its normal form, or everything that is wrong with it (at most 100 issues). Never
 * throws. `limits` bound the recipients and the estimated bytes of the composed mail.
 */
export function parseMessage(input: unknown, limits: MessageLimits): ParsedMessage {
  try {
    if (typeof input !== 'object' || input === null || Array.isArray(input)) {
      return { ok: false, issues: [issue('', 'type', 'a message is an object')] };
    }
    const record = input as Readonly<Record<string, unknown>>;
    const { fields, issues } = readFields(record);
    const parties = readTogether(fields, record, limits, issues);
    if (issues.length > 0) return { ok: false, issues: issues.slice(0, maxIssues) };
    return { ok: true, message: toMessage(fields, parties) };
  } catch {
    // A getter or a proxy of the caller's that throws, or nesting deeper than the stack.
    return { ok: false, issues: [issue('', 'type', 'the message has properties that cannot be read')] };
  }
}

/**
 * The schema without what JSON has no form for (dates, bytes: empty forms beside others of the same value) and without the
 * 300 characters of pattern that say what `format: date-time` says. Done on the finished schema: while zod builds it, forms
 * that are not built yet are empty too.
 */
function forJson(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(forJson);
  if (typeof node !== 'object' || node === null) return node;
  const entries = Object.entries(node).filter(([key]) => key !== 'pattern' || !('format' in node));
  const copy = Object.fromEntries(entries.map(([key, value]) => [key, forJson(value)]));
  const forms = copy['anyOf'];
  if (Array.isArray(forms)) copy['anyOf'] = forms.filter((form) => Object.keys(form as object).length > 0);
  return copy;
}

/** The JSON Schema (2020-12) of the input as JSON, for editors and for producers in other languages. */
export function messageJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(messageSchema, { io: 'input', unrepresentable: 'any' });
  return {
    ...(forJson(schema) as Record<string, unknown>),
    title: 'Postlane outbound message',
    description: 'One outbound e-mail, as `producer.send` takes it and as it travels in the queue.',
  };
}
