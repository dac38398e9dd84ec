/** The settings of an SMTP connector, as the configuration hands them over: validated, with defaults, secrets resolved. */
import type { OAuthSettings } from '../oauth/settings.ts';
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
 * RFC 5321 section 4.5.3.2 asks for 5 minutes per command and 10 for the end of data. A queue's worker can come back later,
 * and a server that does not answer holds one of its slots, so everything before the body is given up sooner; all of that is
 * safe to repeat. The end of data keeps its 10 minutes: giving up there leaves the message uncertain.
 */
export const smtpTimeouts: SmtpTimeouts = {
  connectMs: 30_000,
  greetingMs: 30_000,
  commandMs: 120_000,
  dataTerminationMs: 600_000,
  totalMs: 900_000,
};

/** A password, or an access token that has to be requested (XOAUTH2, https://developers.google.com/workspace/gmail/imap/xoauth2-protocol). */
export type SmtpAuth =
  | { readonly user: string; readonly password: string }
  | { readonly user: string; readonly password?: never; readonly oauth2: OAuthSettings };

export interface SmtpSettings {
  readonly host: string;
  readonly port: number;
  readonly security: SmtpSecurity;
  readonly auth: SmtpAuth | null;
  /** Credentials may be sent over an unencrypted session. */
  readonly allowInsecureAuth: boolean;
  /** `ca`: PEM text of private CAs that replace the public ones; `servername`: the name to verify instead of `host`. */
  readonly tls: { readonly ca: string | null; readonly servername: string | null };
  readonly timeouts: SmtpTimeouts;
  /** The operator's rules, tried in order before the built-in table. */
  readonly replyRules: readonly ReplyRuleSettings[];
}
