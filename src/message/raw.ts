/** Work on finished RFC 5322 bytes: finds header fields, reads who sends and receives, removes Bcc, makes line ends CRLF. */
import type { Parsed } from './address.ts';
import type { Mailbox } from './message.ts';

export interface HeaderField {
  readonly name: string;
  /** Unfolded, one character per byte (latin1), without white space around it. */
  readonly value: string;
  /** Byte range of the field with its line end. */
  readonly start: number;
  readonly end: number;
}

export interface RawHeader {
  /** First mailbox of From, if there is that field. */
  readonly from: Mailbox | null;
  /** All of To, Cc and Bcc. */
  readonly recipients: readonly Mailbox[];
  /** With its angle brackets. */
  readonly messageId: string | null;
}

/** Reads the header block of a raw message, and refuses one that different programs would read differently. */
export function readRawHeader(bytes: Buffer): Parsed<RawHeader> {
  throw new Error(`not built yet: ${bytes.length}`);
}

/** The message without its Bcc and Resent-Bcc fields; every other byte stays. */
export function removeBcc(bytes: Buffer): Buffer {
  throw new Error(`not built yet: ${bytes.length}`);
}

/** Bare CR and bare LF become CRLF. */
export function normaliseLineEnds(bytes: Buffer): Buffer {
  throw new Error(`not built yet: ${bytes.length}`);
}
