/** The transport contract: how a composed mail leaves, and everything that an attempt to send it can come to. */
import type { Content, Envelope, Message } from '../message/message.ts';

/** Whom a failure concerns. */
export type Scope = 'connector' | 'message' | 'recipient';

/** What the server said, or the socket did. `reply` is safe to print and bounded; null where nobody answered. */
export interface Reply {
  /** SMTP reply code or HTTP status as text, or the socket's error code (`ECONNREFUSED`); null if unknown. */
  readonly code: string | null;
  /** RFC 3463 enhanced status code such as `5.1.1`, or a Graph error code. */
  readonly enhancedCode: string | null;
  readonly text: string | null;
}

/** What an attempt came to for one recipient. `accepted` is the server's own word for it; nothing else ever means sent. */
export interface RecipientOutcome {
  readonly address: string;
  readonly outcome: 'accepted' | 'deferred' | 'rejected' | 'uncertain';
  readonly scope: Scope;
  readonly reply: Reply;
  /** Set on `rejected` when the cause is size, so that the dead letter says `too-large`. */
  readonly tooLarge?: boolean;
  /** Delay that the server asked for, in ms; it wins over the retry schedule. */
  readonly retryAfterMs?: number;
}

/** Why a connector cannot send at all. `auth` latches, `throttled` and `quota` wait as told, the rest backs off. */
export type FaultClass = 'unreachable' | 'tls' | 'auth' | 'throttled' | 'quota' | 'blocked' | 'config';

/**
 * The result of one attempt.
 * - `settled`: every recipient has an outcome of its own.
 * - `connector-fault`: the connector failed before the message was handed over. No recipient got it; no attempt is burned.
 * - `stopped`: nothing was sent, and nobody failed: the fence said no, the signal came before the transaction began, or all
 *   sessions that the connector may have are open in other processes.
 */
export type Outcome =
  | { readonly kind: 'settled'; readonly recipients: readonly RecipientOutcome[]; readonly slowDownMs?: number }
  | { readonly kind: 'connector-fault'; readonly fault: FaultClass; readonly reply: Reply; readonly pauseMs?: number }
  | { readonly kind: 'stopped'; readonly why: StopReason };

export type StopReason = 'fence' | 'signal' | 'no-session';

/** One mail, ready to go: envelope and RFC 5322 bytes with CRLF line ends and no Bcc. */
export interface OutgoingMail {
  /** The message's id (for logs, never on the wire). */
  readonly id: string;
  readonly envelope: Envelope;
  readonly bytes: Buffer;
  /** `bytes` ends with the header: only with `structured`, and for a transport whose `wholeBytes` the mail exceeds. */
  readonly headerOnly?: true;
  /** What the bytes were composed of, where somebody composed them: Graph takes a large message only in parts. */
  readonly structured?: Structured;
}

/** Both functions reject as the content store does. */
export interface Structured {
  readonly message: Message;
  readonly contentOf: (content: Content) => Buffer | Promise<Buffer>;
  /** Bytes from `start` up to, but not including, `end`: of content that is too large to be held as a whole. */
  readonly rangeOf: (content: Content, start: number, end: number) => Buffer | Promise<Buffer>;
}

export interface SendContext {
  /** Aborts the attempt. Before the transaction begins it means `stopped`; later, whatever is known by then. */
  readonly signal: AbortSignal;
  /**
   * Called once, when a session is ready and before anything of this mail is on the wire. It resolves to false if this
   * worker may not send any more (lost lock, cancelled); the transport then answers `stopped`.
   */
  readonly fence: () => Promise<boolean>;
}

export type CheckResult =
  | { readonly ok: true; readonly detail: string }
  | { readonly ok: false; readonly fault: FaultClass; readonly reply: Reply };

/**
 * What became of an attempt without a result.
 * - `sent`: the copy was found. `not-sent`: there is none, late enough for one to show, and none will come of what was left.
 * - `unknown`: nothing can be said yet; look again later.
 * - `forbidden`: the connector may not look.
 */
export type Verification = 'sent' | 'not-sent' | 'unknown' | 'forbidden';

export interface VerifyContext {
  readonly signal: AbortSignal;
  /** When the attempt began, in ms since the epoch: what is still on its way looks like what was left behind. */
  readonly attemptedAt: number;
}

/** A place on a session that the next send() takes. */
export interface Reservation {
  /** Gives the place back, unless a send has taken it. */
  cancel(): void;
}

/** One connector's way to send. Never throws: whatever happens is an Outcome. */
export interface Transport {
  readonly kind: 'smtp' | 'graph' | 'recording';
  /**
   * Set where larger mails are sent part by part: one whose contents have more bytes than this need not be composed, and its
   * `bytes` may be its header alone.
   */
  readonly wholeBytes?: number;
  /** Bytes of a mail as the far side counts them against a limit of bytes. Default: those of the mail. */
  countedBytes?(mail: OutgoingMail): number;
  send(mail: OutgoingMail, context: SendContext): Promise<Outcome>;
  /**
   * Makes sure of a session for a message that is not known yet, so that nobody takes one who could not send it; with
   * `connect` the session is open afterwards, so that a message which is paced can leave as soon as it is taken. What fails
   * here is the next send()'s outcome. Null: no session is to be had in this process, or the signal came.
   */
  reserve?(signal: AbortSignal, connect: boolean): Promise<Reservation | null>;
  /** Reaches and authenticates, sends nothing. */
  check(signal: AbortSignal): Promise<CheckResult>;
  /**
   * Looks once whether an attempt without a result has sent the mail after all; clears away what it left unfinished. Absent
   * where the far side cannot be asked. As long as a copy may still show, that there is none is `unknown`.
   */
  verify?(mail: OutgoingMail, context: VerifyContext): Promise<Verification>;
  /** Lets running sends finish, closes idle sessions, refuses new sends. */
  close(): Promise<void>;
}
