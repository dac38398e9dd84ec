/** The settings of each transport, as the configuration hands them over: validated, defaults in, secrets resolved. */
import type { ReplyRuleSettings } from './smtp/reply-rules.ts';

/** `tls`: implicit TLS (RFC 8314). `starttls`: required, never skipped (RFC 3207). `none`: plain text. */
export type SmtpSecurity = 'tls' | 'starttls' | 'none';

/** How long each phase may take, in ms. Defaults and their sources: `smtpTimeouts`. */
export interface SmtpTimeouts {
  readonly connectMs: number;
  readonly greetingMs: number;
  /** Silence of the server within any later phase. */
  readonly commandMs: number;
  /** Between the final dot and its reply. */
  readonly dataTerminationMs: number;
  /** One attempt up to the final dot, against servers that trickle. The reply to the dot has `dataTerminationMs` alone. */
  readonly totalMs: number;
}

/**
 * RFC 5321 section 4.5.3.2 asks for 5 minutes per command and 10 for the final dot. A queue's worker can come back later,
 * and a server that is silent holds one of its slots, so everything before the body is given up sooner; all of that is
 * safe to repeat. The final dot keeps its 10 minutes: giving up there leaves the message uncertain.
 */
export const smtpTimeouts: SmtpTimeouts = {
  connectMs: 30_000,
  greetingMs: 30_000,
  commandMs: 120_000,
  dataTerminationMs: 600_000,
  totalMs: 900_000,
};

/** A password, or an access token that is asked for (XOAUTH2, https://developers.google.com/workspace/gmail/imap/xoauth2-protocol). */
export type SmtpAuth =
  | { readonly user: string; readonly password: string }
  | { readonly user: string; readonly password?: never; readonly oauth2: OAuthSettings };

export type OAuthSettings =
  | { readonly provider: 'microsoft'; readonly identity: IdentitySettings; readonly scope: string }
  | {
      readonly provider: 'google';
      readonly grant: GoogleGrant;
      readonly tokenUrl: string;
      readonly ca: string | null;
      readonly tokenMs: number;
    };

export type GoogleGrant =
  | {
      readonly kind: 'refreshToken';
      readonly clientId: string;
      readonly clientSecret: string;
      readonly refreshToken: string;
    }
  /** A service account with domain-wide delegation, which acts for the user. `privateKey` is PEM text. */
  | { readonly kind: 'serviceAccount'; readonly clientEmail: string; readonly privateKey: string };

export interface SmtpSettings {
  readonly host: string;
  readonly port: number;
  readonly security: SmtpSecurity;
  readonly auth: SmtpAuth | null;
  /** Credentials may go over an unencrypted session. */
  readonly allowInsecureAuth: boolean;
  /** `ca`: PEM text of private CAs that replace the public ones; `servername`: the name to verify, if not `host`. */
  readonly tls: { readonly ca: string | null; readonly servername: string | null };
  readonly timeouts: SmtpTimeouts;
  /** The operator's, asked in order before the built-in table. */
  readonly replyRules: readonly ReplyRuleSettings[];
}

/** How an application proves to Microsoft Entra who it is. */
export type CredentialSettings =
  | { readonly kind: 'clientSecret'; readonly clientSecret: string }
  /** PEM text of the certificate and its private key; `password` opens an encrypted key. */
  | { readonly kind: 'clientCertificate'; readonly certificate: string; readonly password: string | null }
  /** `clientId` names a user-assigned identity; null is the machine's own. */
  | { readonly kind: 'managedIdentity'; readonly clientId: string | null }
  /** `tokenFile` null: where the cluster's environment says. */
  | { readonly kind: 'workloadIdentity'; readonly tokenFile: string | null }
  | { readonly kind: 'default' };

/** An application of Microsoft Entra, and where to ask for its tokens. Ids may be empty where the credential brings its own. */
export interface IdentitySettings {
  readonly tenantId: string;
  readonly clientId: string;
  readonly credential: CredentialSettings;
  /** `https://login.microsoftonline.com`. */
  readonly authorityHost: string;
  /** PEM text of private CAs that replace the public ones, for a proxy that looks into TLS or a server of your own. */
  readonly ca: string | null;
  /** How long a request for a token may take as a whole, in ms. */
  readonly tokenMs: number;
}

/** In ms. */
export interface GraphTimeouts {
  readonly tokenMs: number;
  /** One request to Graph, body and answer. */
  readonly requestMs: number;
  /** One large message with everything it needs. */
  readonly uploadMs: number;
  /** How late a copy may show in Sent Items. Until then, that none is there says nothing of an attempt without a result. */
  readonly sentItemsMs: number;
}

/**
 * A token takes some 200 ms; a slow one holds a slot. A request that carries 4 MB over a slow line needs its minutes, and
 * giving up after its body leaves the message uncertain. 150 MB in ranges of 3 MB within Exchange's 150 MB in 5 minutes.
 * Sent Items are seen within seconds mostly; https://learn.microsoft.com/graph/outlook-immutable-id says they may lag.
 */
export const graphTimeouts: GraphTimeouts = {
  tokenMs: 20_000,
  requestMs: 120_000,
  uploadMs: 1_800_000,
  sentItemsMs: 120_000,
};

/** National clouds: https://learn.microsoft.com/graph/deployments, https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud. */
export const clouds = {
  global: { graphBaseUrl: 'https://graph.microsoft.com', authorityHost: 'https://login.microsoftonline.com' },
  usGovernment: { graphBaseUrl: 'https://graph.microsoft.us', authorityHost: 'https://login.microsoftonline.us' },
  usGovernmentDod: {
    graphBaseUrl: 'https://dod-graph.microsoft.us',
    authorityHost: 'https://login.microsoftonline.us',
  },
  china: {
    graphBaseUrl: 'https://microsoftgraph.chinacloudapi.cn',
    authorityHost: 'https://login.chinacloudapi.cn',
  },
} as const;

export interface GraphSettings {
  readonly tenantId: string;
  readonly clientId: string;
  readonly credential: CredentialSettings;
  /** Origins, without a path: the version is the transport's to add. */
  readonly cloud: { readonly graphBaseUrl: string; readonly authorityHost: string };
  /** Mailbox that everything is sent through, with Send As; null is the From address of each message. */
  readonly mailbox: string | null;
  /** False makes small messages go out without a copy; Graph has no such choice for those that go out as MIME or as drafts. */
  readonly saveToSentItems: boolean;
  /** `ca`: PEM text of private CAs that replace the public ones. */
  readonly tls: { readonly ca: string | null };
  readonly timeouts: GraphTimeouts;
}
