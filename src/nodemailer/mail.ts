/** What nodemailer hands to a transport and expects back, as far as all releases from 6 on agree; and what Postlane adds. */
import type { Readable } from 'node:stream';
import type { MessageLimits, Priority } from '../message/message.ts';
import type { TimeInput } from '../message/outbound.ts';
import type { Producer, ProducerOptions } from '../producer/producer.ts';

/** A mail as nodemailer's `Mail` hands it to a transport (its `MailMessage`). */
export interface NodemailerMail {
  /** What the application gave, with the transporter's defaults and the access flags. */
  readonly data: object;
  /** The compiled mail. */
  readonly message: {
    getEnvelope(): { from: string | false; to: string[] };
    messageId(): string;
    createReadStream(): Readable;
  };
  readonly mailer: object;
}

/** What may be said to Postlane beside the mail, in its field `postlane`. */
export interface PostlaneFields {
  /** Id and idempotency key of the message. Default: a new UUIDv7. */
  readonly id?: string | undefined;
  /** As of `producer.send`: the same key and mail again are the same message. */
  readonly idempotencyKey?: string | undefined;
  /** Place in the queue. nodemailer's own `priority` is a header field. */
  readonly priority?: Priority | undefined;
  /** Not sent before this time. */
  readonly sendAt?: TimeInput | undefined;
  /** Not sent after this time. */
  readonly expiresAt?: TimeInput | undefined;
  /** Your own notes, kept with the message and never sent. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** Who submits the message; shown with it. */
  readonly submittedBy?: string | undefined;
  /** Id of the connector to use in place of that of the From address. */
  readonly via?: string | undefined;
}

/**
 * How a mail travels. `structured`: field by field, so that each connector composes it in its own form. `raw`: as the mail that
 * nodemailer composed. `auto`: structured if the message schema has all of its fields, else raw.
 */
export type TransportMode = 'auto' | 'structured' | 'raw';

interface CommonOptions {
  /** Default: `auto`. */
  readonly mode?: TransportMode | undefined;
  /** Limits that `sendMail` applies; the workers apply their own. Default: 500 recipients, 25 MiB. */
  readonly message?: Partial<MessageLimits> | undefined;
  /** Files, URLs and streams of one mail are read within this time, in ms. Default 120,000. */
  readonly readTimeoutMs?: number | undefined;
}

/** The transport opens a connection for the first mail, and closes it when it was idle. */
interface OwnProducer extends CommonOptions, Omit<ProducerOptions, 'message'> {
  readonly producer?: undefined;
  /** The connection to Redis is closed after so long without a mail, so that a program can end. Default 5,000 ms. */
  readonly idleMs?: number | undefined;
}

/** The application has a producer, and closes it. */
interface GivenProducer extends CommonOptions {
  readonly producer: Pick<Producer, 'send' | 'status'>;
  /** The producer's prefix, of which Message-IDs are made. Default `{postlane}`. */
  readonly prefix?: string | undefined;
}

export type PostlaneTransportOptions = OwnProducer | GivenProducer;

/** What `sendMail` resolves to. Every recipient is `accepted`: the message is in Redis, and what comes of it is in its status. */
export interface PostlaneMailInfo {
  readonly envelope: { from: string | false; to: string[] };
  /** The Message-ID of the mail; '' where it is not known yet, because the workers' `unmonitoredAddress` becomes its From. */
  readonly messageId: string;
  readonly accepted: string[];
  readonly rejected: string[];
  readonly pending: string[];
  /** `250 2.0.0 queued as ID`. */
  readonly response: string;
  readonly id: string;
  /** The id was in use: nothing was stored, the earlier message stands. */
  readonly duplicate: boolean;
}

/** Why `sendMail` failed, in the form in which nodemailer reports errors. */
export interface PostlaneMailError extends Error {
  /**
   * `EENVELOPE`: an address is refused. `EMESSAGE`: another field is. `EABORT`: the signal came. `EFILEACCESS`, `EURLACCESS`: access is
   * disabled. `ESTREAM`: content cannot be read. `ECONNECTION`: Redis did not take the message, or its answer was lost.
   */
  readonly code: 'EENVELOPE' | 'EMESSAGE' | 'EABORT' | 'EFILEACCESS' | 'EURLACCESS' | 'ESTREAM' | 'ECONNECTION';
  /** After `ECONNECTION`: send again with this as `postlane.id`, and the mail is not sent twice. */
  readonly id?: string | undefined;
}

export interface PostlaneTransport {
  readonly name: string;
  readonly version: string;
  /** nodemailer leaves a mail's `signal` to the transport. */
  readonly supportsAbortSignal: boolean;
  send(mail: NodemailerMail, callback: (error: PostlaneMailError | null, info: PostlaneMailInfo) => void): void;
  /** Whether Redis answers. */
  verify(): Promise<true>;
  verify(callback: (error: PostlaneMailError | null, ready: true) => void): void;
  close(): Promise<void>;
  isIdle(): boolean;
}
