/** The settings of everything that asks for access tokens: the OAuth 2.0 providers and an application of Microsoft Entra. */
import type { ProxyRoute } from '../proxy.ts';

export type OAuthSettings =
  | { readonly provider: 'microsoft'; readonly identity: IdentitySettings; readonly scope: string }
  | {
      readonly provider: 'google';
      readonly grant: GoogleGrant;
      readonly tokenUrl: string;
      readonly ca: string | null;
      readonly proxy?: ProxyRoute | null;
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

/** How an application proves its identity to Microsoft Entra. */
export type CredentialSettings =
  | { readonly kind: 'clientSecret'; readonly clientSecret: string }
  /** PEM text of the certificate and its private key; `password` opens an encrypted key. */
  | { readonly kind: 'clientCertificate'; readonly certificate: string; readonly password: string | null }
  /** `clientId` names a user-assigned identity; null: the machine's own. */
  | { readonly kind: 'managedIdentity'; readonly clientId: string | null }
  /** `tokenFile` null: the file that the cluster's environment names. */
  | { readonly kind: 'workloadIdentity'; readonly tokenFile: string | null }
  | { readonly kind: 'default' };

/** An application of Microsoft Entra, and where to ask for its tokens. Ids may be empty if the credential has its own. */
export interface IdentitySettings {
  readonly tenantId: string;
  readonly clientId: string;
  readonly credential: CredentialSettings;
  /** `https://login.microsoftonline.com`. */
  readonly authorityHost: string;
  /** PEM text of private CAs that replace the public ones, for a TLS-inspecting proxy or a private server. */
  readonly ca: string | null;
  /** The way to Entra. Default: directly. */
  readonly proxy?: ProxyRoute | null;
  /** How long a request for a token may take as a whole, in ms. */
  readonly tokenMs: number;
}
