/**
 * What the scripted SMTP server is told to do, and what it records.
 *
 * `script` maps a verb to the answer that replaces the default:
 *
 *   CONNECT    the greeting                     EHLO HELO STARTTLS AUTH MAIL RCPT DATA RSET NOOP QUIT    that command
 *   .          the reply to the end of data     BODY    when body bytes arrive (see `bodyBytesBefore`)
 *
 * An answer is a reply text (several lines joined by \n; a 421 also closes), an action, a list (one entry per use, then
 * the default again), or a function of the context, which may return undefined for the default and may be asynchronous.
 */
import type { SecureVersion } from 'node:tls';

/**
 * A string is a reply text, or an action: `hang` says nothing and goes on listening; `close` ends the connection
 * politely; `reset` sends RST. `then` follows the reply; `trickle` sends one line every `everyMs` for ever.
 */
export type SmtpAnswer =
  | string
  | { readonly reply: string; readonly then: 'close' | 'reset' }
  | { readonly trickle: string; readonly everyMs: number };

export interface SmtpContext {
  readonly line: string;
  /** The number of the connection, from 1. */
  readonly connection: number;
  readonly from: string | null;
  readonly to: readonly string[];
}

export type SmtpScriptEntry =
  | SmtpAnswer
  | readonly SmtpAnswer[]
  | ((context: SmtpContext) => SmtpAnswer | undefined | Promise<SmtpAnswer | undefined>);

interface SmtpTransaction {
  readonly connection: number;
  readonly from: string;
  readonly to: readonly string[];
  /** What followed the reverse-path: `SIZE=…`, `BODY=8BITMIME`, `SMTPUTF8`. */
  readonly parameters: readonly string[];
  /** The message after dot-unstuffing, with its last CRLF. */
  readonly bytes: Buffer;
  readonly secure: boolean;
  /** The login; null without one. */
  readonly user: string | null;
  /** The reply to the end of data was 2xx. */
  readonly accepted: boolean;
}

export interface SmtpReceived {
  /** Every message whose end of data arrived, in order. */
  readonly transactions: SmtpTransaction[];
  /** Every command line as it came, of all connections. */
  readonly commands: string[];
  readonly authAttempts: { mechanism: string; user: string; password: string }[];
  connections: number;
  openConnections: number;
  /** The most connections that were open at once. */
  highWater: number;
}

export interface SmtpServerOptions {
  /** Of the greeting and the reply to EHLO. */
  readonly hostname?: string;
  readonly script?: Readonly<Record<string, SmtpScriptEntry>>;
  /** EHLO keywords beside STARTTLS and AUTH, which follow from `tls` and `auth`. Default: PIPELINING 8BITMIME SMTPUTF8 SIZE. */
  readonly extensions?: readonly string[];
  /** Key and certificate: offers STARTTLS, or speaks TLS at once with `implicitTls`. */
  readonly tls?: {
    readonly key: string;
    readonly cert: string;
    readonly minVersion?: SecureVersion;
    readonly maxVersion?: SecureVersion;
  };
  readonly implicitTls?: boolean;
  /** Offers AUTH (only over TLS where `tls` is set) and refuses MAIL before a login. Default mechanisms: PLAIN LOGIN. */
  readonly auth?: { readonly user: string; readonly password: string; readonly mechanisms?: readonly string[] };
  /** Body bytes to swallow before `BODY` of the script is played. Default 1. */
  readonly bodyBytesBefore?: number;
  readonly port?: number;
  /** Called with each message that the server accepts, when its reply is written. */
  readonly onMessage?: (transaction: SmtpTransaction) => void;
  /** False keeps neither commands nor messages, for servers that get very many. Default true. */
  readonly record?: boolean;
}
