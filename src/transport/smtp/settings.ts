/** The settings of an SMTP connector, as the configuration hands them over: validated, with defaults, secrets resolved. */
import type { OAuthSettings } from '../oauth/settings.ts';
import type { ProxyRoute } from '../proxy.ts';
import type { SmtpHost } from './hosts.ts';
import type { ReplyRuleSettings } from './reply-rules.ts';

/** `tls`: implicit TLS (RFC 8314). `starttls`: required, never skipped (RFC 3207). `none`: plain text. */
export type SmtpSecurity = 'tls' | 'starttls' | 'none';

/** How long each phase may take, in ms. Defaults and their sources: `smtpTimeouts`. */
export interface SmtpTimeouts {
  readonly connectMs: number;
  readonly greetingMs: number;
  /** How long the server may send nothing in any later phase. */
  readonly commandMs: number;
  /** Between the end of data (the "final dot") and its reply. */
  readonly dataTerminationMs: number;
  /** One attempt up to the end of data, against servers that trickle. The reply to that has `dataTerminationMs` alone. */
  readonly totalMs: number;
}

/**
 * RFC 5321 section 4.5.3.2: 5 minutes for the greeting, MAIL and RCPT, 2 for DATA, 3 for a block of the message, 10 for its end.
 * Servers that delay clients on purpose (tarpits) or verify a recipient at its own server need one to three of them. The price:
 * a server that accepts connections and then never answers holds a slot for 5 minutes at a time. `totalMs` has room for one
 * recipient with every phase at its limit.
 */
export const smtpTimeouts: SmtpTimeouts = {
  connectMs: 30_000,
  greetingMs: 300_000,
  commandMs: 300_000,
  dataTerminationMs: 600_000,
  totalMs: 1_800_000,
};

/** A password, or an access token that has to be requested (XOAUTH2, https://developers.google.com/workspace/gmail/imap/xoauth2-protocol). */
export type SmtpAuth =
  | { readonly user: string; readonly password: string }
  | { readonly user: string; readonly password?: never; readonly oauth2: OAuthSettings };

export interface SmtpSettings {
  readonly host: string;
  readonly port: number;
  /** Several hosts, of which `host` and `port` are the first. Default: that one alone. */
  readonly hosts?: readonly SmtpHost[];
  readonly security: SmtpSecurity;
  /** Where connections come from. Default: what the system chooses. */
  readonly localAddress?: string | null;
  /** The way to the server, and to that of its tokens. Default: directly. */
  readonly proxy?: ProxyRoute | null;
  readonly auth: SmtpAuth | null;
  /** Credentials may be sent over an unencrypted session. */
  readonly allowInsecureAuth: boolean;
  /** `ca`: PEM text of private CAs that replace the public ones; `servername`: the name to verify instead of `host`. */
  readonly tls: { readonly ca: string | null; readonly servername: string | null };
  readonly timeouts: SmtpTimeouts;
  /** The operator's rules, tried in order before the built-in table. */
  readonly replyRules: readonly ReplyRuleSettings[];
}
