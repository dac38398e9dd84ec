/**
 * What a message is once it has been validated: the normal form that travels in Redis and that every room works on.
 *
 * mailbox    a display name and an address (RFC 5322 section 3.4)
 * address    local-part@domain (RFC 5321 section 4.1.2); the domain is kept as an A-label, in lower case
 * envelope   who the server is told: reverse-path and recipients (RFC 5321 section 3.3); not the same as the header
 * content    text or bytes of a message: inline, or by reference to the content store
 */

export interface Mailbox {
  readonly name?: string;
  readonly address: string;
}

/** Inline content is text or base64; `ref` is the SHA-256 (hex) under which the content store holds it, `size` its bytes. */
export type Content =
  | { readonly content: string; readonly encoding: 'utf8' | 'base64' }
  | { readonly ref: string; readonly size: number };

export type Attachment = Content & {
  readonly filename?: string;
  readonly contentType?: string;
  /** Content-ID without angle brackets, for `cid:` links of the HTML body. */
  readonly cid?: string;
  readonly disposition: 'attachment' | 'inline';
};

/** A further form of the body. Text has `encoding: 'utf8'` and names its charset in the type. */
export interface Alternative {
  readonly contentType: string;
  readonly content: string;
  readonly encoding: 'utf8' | 'base64';
}

/** An invitation, or what is said of one (RFC 6047): an alternative of the body, and the same as a file. */
export interface CalendarEvent {
  /** That of `content` (RFC 5546 section 1.4). */
  readonly method: 'PUBLISH' | 'REQUEST' | 'REPLY' | 'ADD' | 'CANCEL' | 'REFRESH' | 'COUNTER' | 'DECLINECOUNTER';
  readonly filename: string;
  /** With CRLF line ends. */
  readonly content: string;
}

/** `from` is undefined until the router knows the unmonitored address; '' is the null reverse-path (RFC 5321 section 4.5.5). */
export interface Envelope {
  readonly from?: string;
  readonly to: readonly string[];
}

/** On what a server is to tell the sender: nothing at all, or some of these. */
export type DsnEvent = 'success' | 'failure' | 'delay';

/** What is asked of servers about delivery reports (RFC 3461). */
export interface Dsn {
  readonly notify?: 'never' | readonly DsnEvent[];
  /** How much of the mail a report of a failure returns. */
  readonly return?: 'headers' | 'full';
}

/** How the reader's program is to show the mail. */
export type Importance = 'high' | 'normal' | 'low';

/** How the recipient unsubscribes (RFC 2369 section 3.2, RFC 8058). `mailto` is a URL. */
export interface ListUnsubscribe {
  readonly url?: string;
  readonly mailto?: string;
  readonly oneClick: boolean;
}

export type Priority = 'high' | 'normal' | 'low';

/**
 * The normal form. It is itself a valid input (parsing it again yields the same), so that it is also what is on the wire.
 * Everything optional in the input that has a default is present; dates are ISO 8601 in UTC.
 */
export interface Message {
  readonly id?: string;
  readonly from?: Mailbox;
  /** Who sends it in the name of `from` (RFC 5322 section 3.6.2). */
  readonly sender?: Mailbox;
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly bcc: readonly Mailbox[];
  readonly replyTo: readonly Mailbox[];
  readonly subject?: string;
  readonly text?: string;
  readonly html?: string;
  readonly alternatives?: readonly Alternative[];
  readonly calendarEvent?: CalendarEvent;
  readonly attachments: readonly Attachment[];
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly importance?: Importance;
  readonly listUnsubscribe?: ListUnsubscribe;
  readonly inReplyTo?: string;
  readonly references: readonly string[];
  readonly raw?: Content;
  readonly envelope: Envelope;
  readonly dsn?: Dsn;
  readonly priority: Priority;
  readonly sendAt?: string;
  readonly expiresAt?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Limits that validation applies; configurable (`message.maxRecipients`, `message.maxSize`). */
export interface MessageLimits {
  readonly maxRecipients: number;
  readonly maxBytes: number;
}

/** 500 recipients: Exchange Online's default per message. 25 MiB: what most submission servers take (SIZE of Gmail, SES 40). */
export const defaultMessageLimits: MessageLimits = { maxRecipients: 500, maxBytes: 25 * 1024 * 1024 };

/** Content of more than this many bytes is stored once by its hash and referenced, instead of travelling in the job. */
export const inlineContentLimitBytes = 64 * 1024;
