/** What a mailbox is to who reads it: new mails in order, each with a place to go on from. Servers are IMAP and Microsoft Graph. */
import type { FaultClass } from '../transport/transport.ts';

/** A mail that may be a report. `bytes` are its first ones, at most `maxReadBytes`. */
interface FoundMail {
  readonly kind: 'mail';
  /** Reading goes on after this mail from here. */
  readonly place: string;
  readonly bytes: Uint8Array;
}

/** Mails that are none were passed over; reading goes on from here. */
interface PassedOver {
  readonly kind: 'passed';
  readonly place: string;
}

export type Found = FoundMail | PassedOver;

/**
 * The server could not be asked. `place`: of the mail at which it happened, where it was one. `retryAfterMs`: where the server says so.
 * No secret is in `detail`.
 */
export class MailboxFailure extends Error {
  readonly fault: FaultClass | 'protocol';
  readonly place: string | null;
  readonly retryAfterMs: number | null;

  constructor(
    fault: FaultClass | 'protocol',
    detail: string,
    place: string | null = null,
    retryAfterMs: number | null = null,
  ) {
    super(detail);
    this.fault = fault;
    this.place = place;
    this.retryAfterMs = retryAfterMs;
  }
}

export interface ReadingOptions {
  /** Where to go on; null at the beginning. */
  readonly after: string | null;
  /** At the beginning: mails that came before are left out. */
  readonly since: Date;
  /** Asks for one mail at a time, as a list of them has failed. */
  readonly oneByOne: boolean;
  /** Not to be asked for, as it has failed too often. */
  readonly skip: string | null;
  readonly signal: AbortSignal;
}

export interface MailSource {
  /**
   * New mails, in the order in which they came. Nothing is changed in the mailbox: no mail is marked, moved or deleted. Ends with the
   * last one, or where the signal comes. @throws MailboxFailure
   */
  read(options: ReadingOptions): AsyncGenerator<Found, void>;
  /** Logs in and tries to read. → what was found, for people. @throws MailboxFailure */
  check(signal: AbortSignal): Promise<string>;
}
