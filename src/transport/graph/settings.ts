/** The settings of a Graph connector, as the configuration hands them over: validated, with defaults, secrets resolved. */
import type { CredentialSettings } from '../oauth/settings.ts';
import type { ProxyRoute } from '../proxy.ts';

/** In ms. */
export interface GraphTimeouts {
  readonly tokenMs: number;
  /** One request to Graph, with its body and answer. */
  readonly requestMs: number;
  /** One large message with all its requests. */
  readonly uploadMs: number;
  /** How late a copy may appear in Sent Items. Until then, a missing copy proves nothing about an attempt without a result. */
  readonly sentItemsMs: number;
}

/**
 * A token takes some 200 ms; a slow one holds a slot. A request that carries 4 MB over a slow line needs minutes, and giving
 * up after its body leaves the message uncertain. An upload has 150 MB at most, and Exchange allows 150 MB in 5 minutes. Sent
 * Items mostly appear within seconds; https://learn.microsoft.com/graph/outlook-immutable-id says they may lag.
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
  /** Origins without a path; the transport adds the version. */
  readonly cloud: { readonly graphBaseUrl: string; readonly authorityHost: string };
  /** The mailbox to send everything through, with Send As; null: the mailbox of each message's From address. */
  readonly mailbox: string | null;
  /** False sends small messages without a copy; Graph offers no such choice for MIME and drafts. */
  readonly saveToSentItems: boolean;
  /** `ca`: PEM text of private CAs that replace the public ones. */
  readonly tls: { readonly ca: string | null };
  /** The way to Graph and to Entra. Default: directly. */
  readonly proxy?: ProxyRoute | null;
  readonly timeouts: GraphTimeouts;
}
