/** Validates an outbound message: fields first, then what they mean together; the normal form, or what is wrong. */
import { z } from 'zod';
import { maxHeaderBytes } from './bounds.ts';
import { inlineHead } from './content.ts';
import { isBytes, isRecord, maxListedIn } from './counts.ts';
import { estimateBytes, headerEstimate, mostHeaderBytes } from './estimate.ts';
import { doubledHeaders } from './field-headers.ts';
import { messageSchema } from './fields.ts';
import { createIssueList, type IssueList } from './issue-list.ts';
import { leastBytes } from './least-bytes.ts';
import type { Attachment, Dsn, Mailbox, Message, MessageLimits } from './message.ts';
import { headBytes, readRawHeader } from './raw.ts';
import { readFields, type Fields } from './read-fields.ts';
import type { MessageIssue } from './rules.ts';

export type ParsedMessage =
  | { readonly ok: true; readonly message: Message }
  | { readonly ok: false; readonly issues: readonly MessageIssue[] };

const contentFields = [
  'sender',
  'subject',
  'text',
  'html',
  'alternatives',
  'calendarEvent',
  'attachments',
  'headers',
  'importance',
  'listUnsubscribe',
  'replyTo',
  'inReplyTo',
  'references',
] as const;
const bodies: ReadonlySet<string> = new Set(['text', 'html', 'alternatives', 'calendarEvent', 'attachments', 'raw']);

const nothing: ReadonlySet<string> = new Set();
const unreadable: MessageIssue = { field: '', rule: 'type', message: 'the message has properties that cannot be read' };

function isGiven(value: unknown): boolean {
  if (value === undefined) return false;
  if (Array.isArray(value)) return value.length > 0;
  // The keys of bytes are their indexes, each of which would become a text.
  if (isBytes(value)) return value.byteLength > 0;
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
  limits: MessageLimits,
  issues: IssueList,
): Parties {
  let from: Mailbox | undefined = fields.from;
  let recipients =
    fields.envelope?.to ??
    [...(fields.to ?? []), ...(fields.cc ?? []), ...(fields.bcc ?? [])].map((each) => each.address);
  const { raw } = fields;
  const header =
    raw === undefined || 'ref' in raw ? null : readRawHeader(inlineHead(raw, headBytes), maxListedIn(limits));
  if (header?.ok === false) issues.say('raw', 'raw-header', header.problem);
  if (header?.ok === true) {
    if (!isGiven(input['from'])) {
      if (header.value.from.ok) from = header.value.from.value ?? undefined;
      else issues.say('raw', 'raw-header', `${header.value.from.problem}; give \`from\` beside it`);
    }
    if (!['to', 'cc', 'bcc'].some((name) => isGiven(input[name])) && !isGiven(fields.envelope?.to)) {
      const listed = header.value.recipients;
      if (listed.ok) recipients = listed.value.map((each) => each.address);
      else issues.say('raw', 'raw-header', `${listed.problem}; give \`to\` beside it`);
    }
  }
  return { from, recipients: [...new Set(recipients)] };
}

/** What the fields mean together. Fields that have issues of their own are not here, so some of this is skipped then. */
function readTogether(
  fields: Partial<Fields>,
  input: Readonly<Record<string, unknown>>,
  limits: MessageLimits,
  issues: IssueList,
): Parties {
  if (isGiven(input['raw'])) {
    for (const name of contentFields) {
      if (isGiven(input[name])) issues.say(name, 'raw-excludes', '`raw` is the whole message; leave this field out');
    }
  }
  for (const { name, property } of doubledHeaders(fields, fields.headers ?? {})) {
    issues.say(`headers.${name}`, 'header-owned', `\`${property}\` writes this header; leave one of them out`);
  }
  const parties = readParties(fields, input, limits, issues);
  const count = parties.recipients.length;
  const where = fields.envelope?.to === undefined ? 'to' : 'envelope.to';
  if (count === 0 && !issues.found.some((found) => /^(?:to|cc|bcc|envelope|raw)\b/.test(found.field))) {
    issues.say(where, 'no-recipient', 'the message has no recipient');
  }
  if (count > limits.maxRecipients) {
    issues.say(where, 'too-many-recipients', `${count} recipients; the limit is ${limits.maxRecipients}`);
  }
  const bytes = estimateBytes(fields, limits.maxBytes);
  if (bytes > limits.maxBytes) sayTooLarge(fields.raw === undefined ? '' : 'raw', bytes, limits, issues);
  const header = mostHeaderBytes(fields) <= maxHeaderBytes ? 0 : headerEstimate(fields, maxHeaderBytes);
  if (header > maxHeaderBytes) {
    issues.say(
      '',
      'too-long',
      `the header would have about ${header} bytes; the limit is ${maxHeaderBytes}: shorten to, cc, replyTo, headers or references`,
    );
  }
  if (fields.sendAt !== undefined && fields.expiresAt !== undefined && fields.expiresAt <= fields.sendAt) {
    issues.say('expiresAt', 'date-order', 'must be after sendAt');
  }
  return parties;
}

function sayTooLarge(field: string, bytes: number, { maxBytes }: MessageLimits, issues: IssueList): void {
  issues.say(field, 'too-large', `about ${bytes} bytes; the limit is ${maxBytes}`);
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
    sender: fields.sender,
    to: fields.to ?? [],
    cc: fields.cc ?? [],
    bcc: fields.bcc ?? [],
    replyTo: fields.replyTo ?? [],
    subject: fields.subject,
    text: fields.text,
    html: fields.html,
    alternatives: isGiven(fields.alternatives) ? fields.alternatives : undefined,
    calendarEvent: fields.calendarEvent,
    attachments: (fields.attachments ?? []).map(normalAttachment),
    headers: fields.headers ?? {},
    importance: fields.importance,
    listUnsubscribe: fields.listUnsubscribe,
    inReplyTo: fields.inReplyTo,
    references: fields.references ?? [],
    raw: fields.raw,
    envelope: withoutUndefined({ from: fields.envelope?.from ?? from?.address, to: recipients }),
    dsn: fields.dsn === undefined ? undefined : withoutUndefined<Dsn>(fields.dsn),
    priority: fields.priority ?? 'normal',
    sendAt: fields.sendAt,
    expiresAt: fields.expiresAt,
    metadata: fields.metadata,
  });
}

/**
 * Validates unknown input and gives its normal form, or what is wrong with it: the first 100 issues, then the work ends. Never
 * throws. `limits` bound the recipients and the estimated bytes of the composed mail.
 */
export function parseMessage(input: unknown, limits: MessageLimits): ParsedMessage {
  const issues = createIssueList();
  try {
    if (!isRecord(input) || isBytes(input)) {
      issues.say('', 'type', 'a message is an object');
      return { ok: false, issues: issues.found };
    }
    const record = input;
    const least = leastBytes(record);
    if (least > limits.maxBytes) sayTooLarge(record['raw'] === undefined ? '' : 'raw', least, limits, issues);
    const fields = readFields(record, limits, least > limits.maxBytes ? bodies : nothing, issues);
    const parties = issues.isFull() ? null : readTogether(fields, record, limits, issues);
    if (parties === null || issues.found.length > 0) return { ok: false, issues: issues.found };
    return { ok: true, message: toMessage(fields, parties) };
  } catch {
    // A getter or a proxy of the caller's that throws, or nesting deeper than the stack.
    return { ok: false, issues: [unreadable] };
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
