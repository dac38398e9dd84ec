/** The settings of a Graph connector, as the configuration hands them over: validated, with defaults, secrets resolved. */
import type { CredentialSettings } from '../oauth/settings.ts';

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
