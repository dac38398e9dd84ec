/**
 * The message as a caller writes it: every field with its unit, default, limit, and the rules that can refuse it.
 *
 * `fields.ts` holds the schema that validates it; a type test proves that the two are equal. Arrays may be readonly and
 * bytes may be any `Uint8Array`, such as a `Buffer`: nothing that a caller passes is ever written to.
 */
import type { Importance, Priority } from './message.ts';

/** One mailbox: `"Name <user@example.com>"`, `"user@example.com"`, or its two parts. An address has at most 254 bytes. */
export type MailboxInput =
  | string
  | {
      /** Display name, at most 256 bytes. */
      readonly name?: string | undefined;
      /** `local-part@domain`. International domains may be written in Unicode. */
      readonly address: string;
    };

/** Message-IDs: an array, or one text with spaces between them. Angle brackets are optional. */
export type MessageIdList = string | readonly string[];

/** A point in time: a `Date`, an ISO 8601 text with a time zone (`2030-01-31T08:00:00Z`), or milliseconds since 1970. */
export type TimeInput = string | number | Date;

/** Content that travels with the message. */
export interface InlineContent {
  /** Text, bytes, or base64 text if `encoding` says so. */
  readonly content: string | Uint8Array;
  /** What a `content` of text is. Default: `utf8`. */
  readonly encoding?: 'utf8' | 'base64' | undefined;
}

/** Content that is in Redis already, stored by an earlier message. */
export interface StoredContent {
  /** SHA-256 of the bytes: 64 lower-case hexadecimal digits. Unknown content: `attachment-missing`. */
  readonly ref: string;
  /** Number of bytes. Another one than Redis has is refused: `message-invalid`. */
  readonly size: number;
}

interface AttachmentFields {
  /** Name that the recipient sees, at most 255 characters. Default: `attachment-1` and so on, with an extension. */
  readonly filename?: string | undefined;
  /** Media type such as `application/pdf`, at most 255 characters. Default: guessed from `filename`. */
  readonly contentType?: string | undefined;
  /** Content-ID for `cid:` links of the HTML body: 1 to 200 printable ASCII characters. */
  readonly cid?: string | undefined;
  /** Default: `inline` if there is a `cid`, else `attachment`. */
  readonly disposition?: 'attachment' | 'inline' | undefined;
}

/** A file to send along, with its content: no path and no URL is ever opened (rule `attachment-by-path`). */
export interface InlineAttachment extends AttachmentFields, InlineContent {}

/** A file to send along whose content is in Redis already. */
export interface StoredAttachment extends AttachmentFields, StoredContent {}

/** A form of the body beside text and HTML. */
export interface AlternativeInput extends InlineContent {
  /** Media type such as `text/x-amp-html`, at most 255 characters. Of text, the only charset is utf-8; of a calendar, it names the method. */
  readonly contentType: string;
}

/** One iCalendar object (RFC 5545), at most 256 KiB, with a METHOD. */
export interface CalendarEventInput extends InlineContent {
  /** `REQUEST`, `CANCEL`, …: what the recipient is asked. Default, and the only value that is accepted: the METHOD of the content. */
  readonly method?: string | undefined;
  /** Name of the file that carries the object once more. Default: `invite.ics`. */
  readonly filename?: string | undefined;
}

/** What the servers are told (RFC 5321 section 3.3) where it differs from the header. */
export interface EnvelopeInput {
  /** Reverse-path: where bounces go. `''` is the null reverse-path. Default: the From address. */
  readonly from?: string | undefined;
  /** Who receives the message, instead of `to`, `cc` and `bcc`. */
  readonly to?: string | readonly string[] | undefined;
}

/** How the recipient unsubscribes: by a URL, by a mail, or both (RFC 2369 section 3.2, RFC 8058). */
export interface ListUnsubscribeInput {
  /** An https URL, at most 900 characters. */
  readonly url?: string | undefined;
  /** An address, or a mailto URL with an address and perhaps a subject and a body. */
  readonly mailto?: string | undefined;
  /** A POST to the URL unsubscribes at once. Default: true where there is a URL. */
  readonly oneClick?: boolean | undefined;
}

/** What is asked of servers about delivery reports (RFC 3461). A server that cannot do so sends reports as it always does. */
export interface DsnInput {
  /** When a report is wanted: `never`, or any of the others. Default: as the server decides, mostly on failure and delay. */
  readonly notify?:
    | 'never'
    | 'success'
    | 'failure'
    | 'delay'
    | readonly ('success' | 'failure' | 'delay')[]
    | undefined;
  /** How much of the mail a report of a failure returns. Default: as the server decides. */
  readonly return?: 'headers' | 'full' | undefined;
}

/**
 * One outbound e-mail. It needs a recipient in `to`, `cc`, `bcc`, `envelope.to` or the header of `raw`; everything else
 * is optional. A message that breaks a rule is refused with `message-invalid`, whose `issues` name each field and rule.
 */
export interface OutboundMessage {
  /**
   * Id and idempotency key: a second message with the same id is not sent. 1 to 128 characters of `A-Z a-z 0-9 _ -`.
   * Default: a new UUIDv7. Rule: `id`.
   */
  readonly id?: string | undefined;
  /**
   * Decides which connector sends. Default: the `unmonitoredAddress` of the workers' configuration; if that is not set
   * either, the message becomes a dead letter `no-route`. Rule: `address`.
   */
  readonly from?: MailboxInput | undefined;
  /**
   * Who sends the message in the name of `from`: the Sender field, which is left out where it is the same address. It chooses no connector and
   * no mailbox, and a token or user that is limited to some addresses is limited here, too. Rule: `address`.
   */
  readonly sender?: MailboxInput | undefined;
  /**
   * Recipients. `to`, `cc` and `bcc` together have at most 500, or what `message.maxRecipients` says. Rules: `address`,
   * `no-recipient`, `too-many-recipients`.
   */
  readonly to?: MailboxInput | readonly MailboxInput[] | undefined;
  /** Recipients of a copy. */
  readonly cc?: MailboxInput | readonly MailboxInput[] | undefined;
  /** Recipients of a blind copy: they are in the envelope only, never in the header. */
  readonly bcc?: MailboxInput | readonly MailboxInput[] | undefined;
  /** Where replies go, at most 100 mailboxes. Default: no Reply-To field, so to `from`. Rules: `address`, `too-many`. */
  readonly replyTo?: MailboxInput | readonly MailboxInput[] | undefined;
  /** One line of text, at most 10,000 bytes. Default: no Subject field. Rules: `control-character`, `line-length`, `too-long`. */
  readonly subject?: string | undefined;
  /** Body as plain text. With `html`, recipients choose. Line ends of any kind. Rule: `control-character` (NUL). */
  readonly text?: string | undefined;
  /** Body as HTML. Rule: `control-character` (NUL). */
  readonly html?: string | undefined;
  /**
   * Further forms of the body, such as AMP, the best one last: at most 10, of 256 KiB each. Through Microsoft Graph only in mails of up to
   * 3 MB. Rules: `content-type`, `base64`, `calendar` (for `text/calendar`), `too-many`, `too-long`.
   */
  readonly alternatives?: readonly AlternativeInput[] | undefined;
  /**
   * An invitation, or what is said of one: a form of the body that programs show with buttons to accept or decline, and the same as a file.
   * Through Microsoft Graph only in mails of up to 3 MB. Rules: `calendar`, `base64`, `control-character` (filename), `too-long`.
   */
  readonly calendarEvent?: CalendarEventInput | undefined;
  /**
   * Files with their content, at most 1,000. Content of more than 64 KiB is stored in Redis once and referenced. Rules: `base64`,
   * `content-type`, `cid`, `content-ref`, `control-character` (filename), `too-many`.
   */
  readonly attachments?: readonly (InlineAttachment | StoredAttachment)[] | undefined;
  /**
   * Further header fields, name to value or values. Fields that have a property here (`From`, `Subject`, …) and those of
   * the mail system (`Received`, `DKIM-Signature`, `Content-*`, …) are refused. At most 1,000 values of 32 KiB; the whole header of the
   * mail has at most 256 KiB. Rules: `header-name`, `header-value`, `header-owned`, `control-character`, `line-length`, `too-many`, `too-long`.
   */
  readonly headers?: Readonly<Record<string, string | readonly string[]>> | undefined;
  /**
   * How the program of the reader is to show the mail; the place in the queue is `priority`. Default: no field. Rules: `type`, `header-owned`
   * (the same header in `headers`).
   */
  readonly importance?: Importance | undefined;
  /**
   * How the recipient unsubscribes: the fields List-Unsubscribe and List-Unsubscribe-Post. Through Microsoft Graph only in mails that go as
   * MIME. Rules: `list-unsubscribe`, `header-owned`.
   */
  readonly listUnsubscribe?: ListUnsubscribeInput | undefined;
  /** Message-ID of the message that this one answers, however odd: what cannot stand in a header is left out. Rules: `control-character`, `too-long`. */
  readonly inReplyTo?: string | undefined;
  /** Message-IDs of the conversation, oldest first, at most 1,000; read as `inReplyTo` is. Rules: `control-character`, `too-many`, `too-long`. */
  readonly references?: MessageIdList | undefined;
  /**
   * A finished RFC 5322 message instead of sender, subject, bodies, attachments, headers, replyTo, inReplyTo and references. Its
   * Bcc fields are removed, and so is a line `From …` of a mailbox file before its header; it gets a Message-ID and a Date if it has
   * none. What SMTP cannot carry as lines, such as a NUL, is sent as base64. From and recipients are read from its header unless they
   * are given beside it; those of `{ ref, size }` have to be given. Rules: `raw-excludes`, `raw-header`, `base64`, `content-ref`.
   */
  readonly raw?: string | Uint8Array | InlineContent | StoredContent | undefined;
  /** What the servers are told, where it differs from the header. Rule: `address`. */
  readonly envelope?: EnvelopeInput | undefined;
  /**
   * What is asked of servers about delivery reports, by SMTP where they offer DSN. The Message-ID goes along as the id of the envelope,
   * which a report repeats. Microsoft Graph cannot ask. Rule: `type`.
   */
  readonly dsn?: DsnInput | undefined;
  /** Place in the queue. Default: `normal`. */
  readonly priority?: Priority | undefined;
  /** Not sent before this time, which is then its Date. Default: at once. A number is in milliseconds since 1970. Rule: `date`. */
  readonly sendAt?: TimeInput | undefined;
  /**
   * Not sent after this time: what is left then becomes a dead letter `expired`. Must be after `sendAt`. Default: the
   * `retry.lifetime` of the workers' configuration, 24 hours after acceptance. Rules: `date`, `date-order`.
   */
  readonly expiresAt?: TimeInput | undefined;
  /** Your own notes, kept with the message and never sent: at most 50 keys and 4,096 bytes in all. Rule: `metadata`. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}
