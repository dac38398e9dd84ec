/** The transport contract: how a composed mail is sent, and every possible result of an attempt. */
import type { Content, Dsn, Envelope, Message } from '../message/message.ts';

/** Whom a failure concerns. */
export type Scope = 'connector' | 'message' | 'recipient';

/** The reply of the server, or the fault of the socket. `text` is safe to print and bounded; null without an answer. */
export interface Reply {
  /** SMTP reply code or HTTP status as text, or the socket's error code (`ECONNREFUSED`); null if unknown. */
  readonly code: string | null;
  /** RFC 3463 enhanced status code such as `5.1.1`, or a Graph error code. */
  readonly enhancedCode: string | null;
  readonly text: string | null;
}

/** The result of an attempt for one recipient. `accepted` is the server's own word; nothing else ever means sent. */
export interface RecipientOutcome {
  readonly address: string;
  readonly outcome: 'accepted' | 'deferred' | 'rejected' | 'uncertain';
  readonly scope: Scope;
  readonly reply: Reply;
  /** Set on `rejected` if the cause is size, so that the dead letter says `too-large`. */
  readonly tooLarge?: boolean;
  /** Set on `rejected` if the cause is another limit of this connector, so that one with other limits may take the mail. */
  readonly unfit?: boolean;
  /** The delay that the server asked for, in ms; it overrides the retry schedule. */
  readonly retryAfterMs?: number;
  /**
   * Set where the reply does not show whether it concerns this mail or the connector: `outcome` is then what follows if it concerns
   * the mail. Other messages show it. Without it, the outcome is believed.
   */
  readonly open?: OpenRefusal;
}

/** A refusal within a transaction whose cause is open. */
export interface OpenRefusal {
  /** The connector's fault, if it is one by the words of the reply or because the connection was lost; null if nothing names one. */
  readonly suspect: FaultClass | null;
  /** Said before any recipient was named: of the mail, only its sender is known. */
  readonly atSender: boolean;
  /** The delay that the server asked for, in ms. */
  readonly pauseMs?: number;
}

/** Why a connector cannot send at all. Each pauses the lane, as docs/retries.md lists; a delay that the server asks for wins. */
export type FaultClass = 'unreachable' | 'tls' | 'auth' | 'throttled' | 'quota' | 'blocked' | 'config';

/**
 * The result of one attempt.
 * - `settled`: every recipient has its own outcome.
 * - `connector-fault`: the connector failed before the message was handed over. No recipient got it; no attempt is counted.
 * - `stopped`: nothing was sent and nothing failed: the fence refused, the signal came before the transaction began, or other
 *   processes hold all sessions that the connector may have.
 */
export type Outcome =
  | (Asked & {
      readonly kind: 'settled';
      readonly recipients: readonly RecipientOutcome[];
      readonly slowDownMs?: number;
    })
  | (Asked & {
      readonly kind: 'connector-fault';
      readonly fault: FaultClass;
      readonly reply: Reply;
      readonly pauseMs?: number;
    })
  | { readonly kind: 'stopped'; readonly why: StopReason };

interface Asked {
  /** `host:port` of the server that was asked last, for the log: a connector may have several. */
  readonly server?: string;
}

export type StopReason = 'fence' | 'signal' | 'no-session';

/** What the servers are asked about delivery reports, and the id that a report repeats: null for none. */
export interface DsnRequest extends Dsn {
  readonly envelopeId: string | null;
}

/** One mail, ready to send: envelope and RFC 5322 bytes with CRLF line ends and no Bcc. */
export interface OutgoingMail {
  /** The id of the message, for logs; never on the wire. */
  readonly id: string;
  readonly envelope: Envelope;
  /** By SMTP, where the server offers it. */
  readonly dsn?: DsnRequest;
  readonly bytes: Buffer;
  /** `bytes` is the header alone: only with `structured`, and if the mail exceeds the transport's `maxInMemoryBytes`. */
  readonly headerOnly?: true;
  /** What the bytes were composed from, unless they came finished: Graph takes a large message only in parts. */
  readonly structured?: Structured;
}

/** Both functions reject as the content store does. */
export interface Structured {
  readonly message: Message;
  readonly contentOf: (content: Content) => Buffer | Promise<Buffer>;
  /** Bytes from `start` up to, but not including, `end`, for content that is too large for memory. */
  readonly rangeOf: (content: Content, start: number, end: number) => Buffer | Promise<Buffer>;
}

export interface SendContext {
  /** Aborts the attempt. Before the transaction begins the result is `stopped`; later it is what is known by then. */
  readonly signal: AbortSignal;
  /**
   * Called once, when a session is ready and before anything of this mail is on the wire. It resolves to false if this
   * worker may no longer send (lost lock, cancelled message); the result is then `stopped`.
   */
  readonly fence: () => Promise<boolean>;
  /** The place that `warm` gave: it is this mail's. */
  readonly place?: Reservation;
  /** Takes the spans of what is asked of servers. Absent without an SDK. */
  readonly trace?: AttemptTrace;
}

/** Spans below that of the attempt, as OpenTelemetry has them. Attributes and errors are words of few: never an address, a subject or a reply. */
export interface AttemptTrace {
  /** Begins one. `startedAt` in ms since the epoch; default: now. */
  child(name: string, attributes: Readonly<Record<string, string | number | boolean>>, startedAt?: number): AttemptSpan;
  /** Something that has happened within the attempt. */
  event(name: string): void;
}

export interface AttemptSpan extends AttemptTrace {
  set(attributes: Readonly<Record<string, string | number | boolean>>): void;
  /** `error`: the class of a failure, if there was one. `endedAt` in ms since the epoch; default: now. */
  end(error?: string | null, endedAt?: number): void;
}

export type CheckResult =
  | { readonly ok: true; readonly detail: string }
  | { readonly ok: false; readonly fault: FaultClass; readonly reply: Reply };

/** What is missing, if a server refuses a sender. `relay`: it takes no mail of this connector for others. */
export type MissingRight = 'Mail.Send' | 'Send As' | 'login' | 'relay';

/**
 * What a server shows of a sender without a mail.
 * - `ok`: it refused nothing, and would have. `unproven`: it refused nothing, and may yet refuse a mail.
 * - `refused`: it refuses the sender. `unknown`: nothing was learned.
 */
export interface SenderCheck {
  readonly address: string;
  readonly result: 'ok' | 'unproven' | 'refused' | 'unknown';
  readonly right: MissingRight | null;
  readonly reply: Reply;
  /** What follows from it, or what to do. */
  readonly advice: string;
}

/**
 * What verification found about an attempt without a result.
 * - `sent`: a copy exists. `not-sent`: there is none, enough time has passed for one to appear, and none can come any more.
 * - `unknown`: nothing is known yet; verify again later.
 * - `forbidden`: the connector may not read the mailbox.
 */
export type Verification = 'sent' | 'not-sent' | 'unknown' | 'forbidden';

export interface VerifyContext {
  readonly signal: AbortSignal;
  /** When the attempt began, in ms since the epoch: a mail still on its way looks like one left behind. */
  readonly attemptedAt: number;
}

/** A place on a session, which the next send() takes. */
export interface Reservation {
  /** Gives the place back, unless a send() has taken it. */
  cancel(): void;
}

/** One connector's way to send. Never throws: every result is an Outcome. */
/** Told of each request for an access token that has ended: `ok`, or the fault. */
export type TokenListener = (provider: 'microsoft' | 'google', outcome: 'ok' | FaultClass) => void;

export interface Transport {
  /** For logs and tables: `smtp`, `graph`, `recording`, or a word of its author's. */
  readonly kind: string;
  /**
   * Set if larger mails are sent part by part: a mail whose contents have more bytes than this need not be composed, and its
   * `bytes` may be its header alone.
   */
  readonly maxInMemoryBytes?: number;
  /** The bytes of a mail as the server counts them against a limit. Default: the bytes of the mail. */
  countedBytes?(mail: OutgoingMail): number;
  send(mail: OutgoingMail, context: SendContext): Promise<Outcome>;
  /**
   * Secures a session before a message is taken from the queue, so that no process takes one that it could not send. With
   * `connect` the session is open afterwards, so that a paced message can leave as soon as it is taken. A failure here becomes
   * the outcome of the next send(). Null: this process can get no session, or the signal came.
   */
  reserve?(signal: AbortSignal, connect: boolean): Promise<Reservation | null>;
  /**
   * A place on a session that is open, idle and needs no command before the next mail: for a message that is in hand already, and must
   * not wait for a network. Null if there is none now. Absent: the transport knows none, and each message waits in its lane first.
   */
  warm?(): Reservation | null;
  /** Reaches and authenticates, sends nothing. */
  check(signal: AbortSignal): Promise<CheckResult>;
  /**
   * Asks the server whether it would take mail from each of these senders, sends nothing, and tells of each as soon as it is known. After
   * the signal, the rest is not told of. Absent: the server cannot be asked.
   */
  trySenders?(senders: readonly string[], signal: AbortSignal, told: (check: SenderCheck) => void): Promise<void>;
  /**
   * Looks once whether an attempt without a result has sent the mail, and removes what it left unfinished. Absent if the
   * server cannot be asked. While a copy may still appear, a missing one is `unknown`.
   */
  verify?(mail: OutgoingMail, context: VerifyContext): Promise<Verification>;
  /** How late after an attempt a copy may appear, in ms: until then a missing one is `unknown` to verify(). */
  readonly copyWithinMs?: number;
  /** Lets running sends finish, closes idle sessions, refuses new sends. */
  close(): Promise<void>;
}
