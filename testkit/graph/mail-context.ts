/** What the handlers of the mail endpoints get: the call, the mailbox, and the parts of the fake that serve it. */
import type { OpenMailbox } from './mailbox.ts';
import type { Outbox } from './outbox.ts';
import type { Operation } from './requests.ts';
import type { Uploads } from './uploads.ts';

export interface MailCall {
  readonly operation: Operation;
  /** Of the path, decoded. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** The body is longer than a request may be, and incomplete. */
  readonly tooLarge: boolean;
}

export interface MailServices {
  readonly mailboxOf: (user: string) => OpenMailbox | null;
  readonly outbox: Outbox;
  readonly uploads: Uploads;
  readonly now: () => number;
  /** The answer to a request that is too large: 413, or, for MIME, 200 with nothing done. */
  readonly oversize: 'refuse' | 'silent';
  readonly origin: () => string;
}

/** Everything a handler needs. */
export interface MailContext extends MailServices {
  readonly call: MailCall;
  readonly mailbox: OpenMailbox;
  /** The body is a MIME message in base64. */
  readonly isMime: boolean;
  /** Ids in answers are immutable (https://learn.microsoft.com/graph/outlook-immutable-id). */
  readonly immutable: boolean;
}
