/** The schema of an outbound message, field by field: what each may be given as, and its normal form. */
import { z } from 'zod';
import { printable } from '../errors.ts';
import { parseAddress, parseMailbox, type Parsed } from './address.ts';
import {
  maxAlternativeBytes,
  maxAlternatives,
  maxAttachments,
  maxHeaderBytes,
  maxHeaderFields,
  maxHeaderValueBytes,
  maxMetadataBytes,
  maxMetadataKeys,
  maxReferences,
  maxReferencesBytes,
  maxReplyTo,
  maxSubjectBytes,
} from './bounds.ts';
import { alternative } from './alternatives.ts';
import { calendarEvent } from './calendar.ts';
import { attachment, contentKeys, raw } from './content-fields.ts';
import { hasLineControl, hasOverlongWord, headerNameProblem, headerValueProblem } from './header-rules.ts';
import type { DsnEvent } from './message.ts';
import { readMessageIds } from './message-ids.ts';
import { listUnsubscribe } from './list-unsubscribe.ts';
import type { KnownKeys } from './rules.ts';
import { check, line, list, read, text } from './schema-kit.ts';

/** A parser whose problem is put behind the value it is about. */
function quoting<I extends string | { readonly address: string }, O>(
  parse: (input: I) => Parsed<O>,
): (input: I) => Parsed<O> {
  return (input) => {
    const parsed = parse(input);
    const shown = typeof input === 'string' ? input : input.address;
    return parsed.ok ? parsed : { ok: false, problem: `"${printable(shown, 80)}" ${parsed.problem}` };
  };
}

const mailboxForm = z
  .union([text, z.strictObject({ name: text.optional(), address: text })], {
    error: 'must be "Name <a@b>", an address, or { name, address }',
  })
  .meta({
    id: 'Mailbox',
    description: 'One mailbox: "Name <user@example.com>", "user@example.com", or { name, address }.',
    examples: ['Sales <sales@example.com>', { name: 'Sales', address: 'sales@example.com' }],
  });
export const mailbox = read(mailboxForm, 'address', quoting(parseMailbox));

const mailboxes = list(mailbox, 'must be a mailbox or an array of mailboxes');
export const address = read(text, 'address', quoting(parseAddress));
const reversePath = read(text, 'address', (value) =>
  value === '' ? { ok: true, value } : quoting(parseAddress)(value),
);

const subject = check(
  line,
  'line-length',
  'has a word of more than 900 characters',
  (value) => !hasOverlongWord(value),
);
const body = check(text, 'control-character', 'has a NUL character', (value) => !value.includes('\0'));

const idText = check(
  text.overwrite((value) => value.replaceAll(/\r?\n(?=[ \t])/g, '')),
  'control-character',
  'has a line break or a NUL',
  (value) => !hasLineControl(value),
);
const messageIds = idText.transform(readMessageIds);
/** Several where the parent had several: RFC 5322 section 3.6.4 has a list here, too. */
const inReplyTo = messageIds.transform((ids) => (ids.length === 0 ? undefined : ids.join(' ')));
const references = z
  .union(
    [
      messageIds,
      z
        .array(messageIds)
        .max(maxReferences)
        .transform((each) => each.flat()),
    ],
    {
      error: 'must be message ids: an array, or a text with spaces between them',
    },
  )
  .pipe(z.array(z.string()).max(maxReferences));

const headers = z
  .record(z.string(), z.union([text, z.array(text)], { error: 'must be text or an array of texts' }))
  .transform((record, context) => {
    const normal: Record<string, string[]> = {};
    for (const [name, given] of Object.entries(record)) {
      const problem = headerNameProblem(name);
      if (problem !== null) {
        context.addIssue({ code: 'custom', message: problem.message, path: [name], params: { rule: problem.rule } });
        continue;
      }
      const values = Array.isArray(given) ? given : [given];
      for (const [index, value] of values.entries()) {
        const found = headerValueProblem(value);
        const path = Array.isArray(given) ? [name, index] : [name];
        if (found !== null)
          context.addIssue({ code: 'custom', message: found.message, path, params: { rule: found.rule } });
      }
      if (values.length > 0) normal[name] = values;
    }
    return normal;
  });

/** Below this many ms after 1970 (March 1973) a number is a time in seconds by mistake. */
const earliestEpochMs = 1e11;
const latestEpochMs = Date.UTC(9999, 11, 31);
const time = read(
  z.union([z.iso.datetime({ offset: true }), z.number(), z.date()], {
    error: 'must be a Date, an ISO 8601 time with a zone, or milliseconds since 1970',
  }),
  'date',
  (value): Parsed<string> => {
    const ms = value instanceof Date ? value.getTime() : typeof value === 'number' ? value : Date.parse(value);
    if (typeof value === 'number' && Math.abs(ms) < earliestEpochMs) {
      return { ok: false, problem: 'is not in milliseconds since 1970; it looks like seconds' };
    }
    if (!(ms >= 0 && ms <= latestEpochMs)) return { ok: false, problem: 'is not a time between 1970 and 9999' };
    return { ok: true, value: new Date(ms).toISOString() };
  },
);

const metadata = check(
  z.record(z.string(), text),
  'metadata',
  `has more than ${maxMetadataKeys} keys or ${maxMetadataBytes} bytes`,
  (record) => {
    const entries = Object.entries(record);
    const size = entries.reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0);
    return entries.length <= maxMetadataKeys && size <= maxMetadataBytes;
  },
);

const id = check(text, 'id', 'must be 1 to 128 characters of A-Z, a-z, 0-9, _ and -', (value) =>
  /^[A-Za-z0-9_-]{1,128}$/.test(value),
);

const dsnEvents = ['success', 'failure', 'delay'] as const;

function normalNotify(given: 'never' | DsnEvent | DsnEvent[]): 'never' | DsnEvent[] {
  if (given === 'never') return given;
  return [...new Set(Array.isArray(given) ? given : [given])];
}

export const messageSchema = z.strictObject({
  id: id.optional().meta({
    description: 'Id and idempotency key: a second message with the same id is not sent. A UUIDv7 by default.',
    pattern: '^[A-Za-z0-9_-]{1,128}$',
  }),
  from: mailbox.optional().meta({
    description:
      'Decides which connector sends. Without it the unmonitored address of the configuration is the sender.',
  }),
  sender: mailbox.optional().meta({
    description:
      'Who sends the message in the name of `from`: the Sender field. It chooses no connector, and no mailbox of Microsoft Graph.',
  }),
  to: mailboxes.optional().meta({ description: 'Recipients: one mailbox or an array.' }),
  cc: mailboxes.optional().meta({ description: 'Recipients of a copy.' }),
  bcc: mailboxes
    .optional()
    .meta({ description: 'Recipients that no recipient can see: they are in the envelope only.' }),
  replyTo: list(mailbox, 'must be a mailbox or an array of mailboxes', maxReplyTo)
    .optional()
    .meta({ description: `Where replies go: at most ${maxReplyTo} mailboxes.` }),
  subject: subject
    .optional()
    .meta({ description: `One line of text, at most ${maxSubjectBytes} bytes.`, maxLength: maxSubjectBytes }),
  text: body.optional().meta({ description: 'The body as plain text.' }),
  html: body.optional().meta({ description: 'The body as HTML.' }),
  alternatives: z
    .array(alternative)
    .max(maxAlternatives)
    .optional()
    .meta({
      description: `Further forms of the body, such as AMP, the best one last: at most ${maxAlternatives}, of ${maxAlternativeBytes} bytes each.`,
    }),
  calendarEvent: calendarEvent.optional().meta({
    description: `An invitation as iCalendar, at most ${maxAlternativeBytes} bytes: readers see buttons to accept or decline, and a file.`,
  }),
  attachments: z
    .array(attachment)
    .max(maxAttachments)
    .optional()
    .meta({ description: 'Files, with their content: nothing is read from a path or URL.' }),
  headers: headers.optional().meta({
    description:
      'Further header fields. Those with a field of their own, and those of the mail system, are refused. ' +
      `At most ${maxHeaderFields} values of ${maxHeaderValueBytes} bytes; the whole header has at most ${maxHeaderBytes}.`,
    maxProperties: maxHeaderFields,
    examples: [{ 'List-Unsubscribe': '<https://example.com/u>' }],
  }),
  importance: z
    .enum(['high', 'normal', 'low'])
    .optional()
    .meta({ description: 'How the program of the reader is to show the mail. The place in the queue is `priority`.' }),
  listUnsubscribe: listUnsubscribe.optional().meta({
    description: 'How the recipient unsubscribes (RFC 8058). Through Microsoft Graph only in mails that go as MIME.',
    examples: [{ url: 'https://example.com/u/4711', mailto: 'unsubscribe@example.com' }],
  }),
  inReplyTo: inReplyTo.optional().meta({
    description: 'Message-ID of the message that this one answers. What cannot stand in a header is left out.',
    examples: ['<id@example.com>'],
    maxLength: maxReferencesBytes,
  }),
  references: references.optional().meta({
    description:
      'Message-IDs of the conversation, oldest first; those that cannot stand in a header are left out. ' +
      `At most ${maxReferences}, and ${maxReferencesBytes} characters in all.`,
  }),
  raw: raw.optional().meta({
    description:
      'A finished RFC 5322 message instead of sender, subject, bodies, attachments, headers, replyTo, inReplyTo and references.',
  }),
  envelope: z
    .strictObject({
      from: reversePath.optional().meta({
        description: 'Reverse-path, where bounces go; "" is the null reverse-path. The From address by default.',
      }),
      to: list(address, 'must be an address or an array of addresses')
        .optional()
        .meta({ description: 'Who receives the message, instead of to, cc and bcc.' }),
    })
    .optional()
    .meta({ description: 'What the servers are told, where it is not what the header says.' }),
  dsn: z
    .strictObject({
      notify: z
        .union([z.literal('never'), z.enum(dsnEvents), z.array(z.enum(dsnEvents)).min(1).max(dsnEvents.length)], {
          error: 'must be "never", or any of "success", "failure" and "delay"',
        })
        .transform(normalNotify)
        .optional()
        .meta({ description: 'When a report is wanted. By default as the server decides.' }),
      return: z
        .enum(['headers', 'full'])
        .optional()
        .meta({ description: 'How much of the mail a report of a failure returns. By default as the server decides.' }),
    })
    .optional()
    .meta({
      description:
        'What is asked of servers about delivery reports (RFC 3461), by SMTP where they offer DSN. Microsoft Graph cannot ask.',
    }),
  priority: z
    .enum(['high', 'normal', 'low'])
    .optional()
    .meta({ description: 'Place in the queue; normal by default.' }),
  sendAt: time.optional().meta({
    description: 'Not before this time: ISO 8601 with a zone, or milliseconds since 1970.',
    examples: ['2030-01-31T08:00:00Z'],
  }),
  expiresAt: time.optional().meta({
    description: 'Not after this time: ISO 8601 with a zone, or milliseconds since 1970.',
    examples: ['2030-02-01T08:00:00Z'],
  }),
  metadata: metadata.optional().meta({
    description: `Your own notes, kept with the message and never sent: up to ${maxMetadataKeys} keys, ${maxMetadataBytes} bytes in all.`,
    maxProperties: maxMetadataKeys,
    examples: [{ orderId: '4711' }],
  }),
});

/** Keys of the objects below each field, for suggestions. */
const mailboxKeys = ['name', 'address'];
export const nestedKeys: KnownKeys = {
  ...Object.fromEntries(['from', 'sender', 'to', 'cc', 'bcc', 'replyTo'].map((field) => [field, mailboxKeys])),
  ...contentKeys,
  envelope: ['from', 'to'],
  dsn: ['notify', 'return'],
  listUnsubscribe: ['url', 'mailto', 'oneClick'],
};
