/** Limits of well-known providers, for `limits.preset`. */

export interface Preset {
  readonly concurrency: number;
  readonly messagesPerMinute: number | null;
  /** Recipients in any 24 hours; null if the provider sets it per account. */
  readonly recipientsPerDay: number | null;
  /** Bytes of a message as sent. */
  readonly maxBytes: number | null;
  /** Recipients of one SMTP transaction. */
  readonly recipientsPerMessage: number;
  /** Concurrent requests to Graph, if they differ from concurrent SMTP sessions. */
  readonly graphConcurrency?: number;
  /** Bytes that Graph accepts per mailbox and window; the SMTP server has no such limit. */
  readonly graphBytes?: { readonly bytes: number; readonly windowMs: number };
}

const mib = 1024 * 1024;

export const presetNames = ['exchange-online', 'gmail', 'ses'] as const;

export const presets: Readonly<Record<(typeof presetNames)[number], Preset>> = {
  // SMTP AUTH takes 3 connections per mailbox, the fourth gets `432 4.3.2 … sender thread limit exceeded`; Graph takes 4
  // requests per application and mailbox; 30 messages a minute per mailbox through either.
  // https://learn.microsoft.com/exchange/troubleshoot/send-emails/smtp-submission-improvements
  // https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits
  // 10,000 recipients a day per mailbox; 35 MB a message unless the administrator says otherwise (up to 150).
  // https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits
  // 500 recipients a message is the default of a mailbox; its administrator may set up to 1,000 (the page before).
  // Through Graph, 150 MB of uploads within 5 minutes per application and mailbox (the page of Graph's limits above).
  'exchange-online': {
    concurrency: 3,
    messagesPerMinute: 30,
    recipientsPerDay: 10_000,
    maxBytes: 35 * mib,
    recipientsPerMessage: 500,
    graphConcurrency: 4,
    graphBytes: { bytes: 150_000_000, windowMs: 300_000 },
  },
  // Google publishes limits per day only (2,000 messages per Workspace user) and answers bursts with 421 4.7.0. One a
  // second is our own caution, not Google's number: it uses a day's quota up in 33 minutes and makes no burst.
  // https://knowledge.workspace.google.com/admin/gmail/gmail-sending-limits-in-google-workspace
  // 100 recipients a message over SMTP (the same page).
  // 10,000 recipients a day in all, of whom 3,000 outside of the domain; 25 MB a message.
  gmail: {
    concurrency: 5,
    messagesPerMinute: 60,
    recipientsPerDay: 10_000,
    maxBytes: 25 * mib,
    recipientsPerMessage: 100,
  },
  // An account in the sandbox may send to 1 recipient a second; outside of it the rate is the account's own and belongs
  // into `messagesPerMinute`. SES counts recipients, so a message to many uses more of the rate than this paces.
  // https://docs.aws.amazon.com/ses/latest/dg/quotas.html
  // The number a day is the account's own (200 in the sandbox); 40 MB and 50 recipients a message.
  ses: { concurrency: 5, messagesPerMinute: 60, recipientsPerDay: null, maxBytes: 40 * mib, recipientsPerMessage: 50 },
};

/** Without a preset: as many sessions as nodemailer's pool and most mail clients open to one server. */
export const defaultConcurrency = 5;
/** A fifth request to the same mailbox would be throttled: https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits. */
export const defaultGraphConcurrency = 4;
