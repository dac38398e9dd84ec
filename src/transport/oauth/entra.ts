/**
 * Asks Microsoft Entra for one token. The only file that touches @azure/identity.
 *
 * Every call makes a credential of its own, and the token is kept elsewhere. An instance that is kept answers from its cache
 * after a 401, and for a minute or an hour after a failure without asking anybody (msal-node's ThrottlingUtils), so that a
 * repaired secret would not be noticed. The price is one request for the discovery document per token, so per hour.
 */
import type { AccessToken, TokenCredential } from '@azure/identity';
import { unreachable } from '../../errors.ts';
import type { CredentialSettings, IdentitySettings } from './settings.ts';

/** `expiresAt` in ms since the epoch. */
export interface Token {
  readonly token: string;
  readonly expiresAt: number;
}

/** Hosts whose metadata the library knows; any other would be looked up at login.microsoft.com, a host nobody configured. */
const knownAuthorities: ReadonlySet<string> = new Set([
  'login.microsoftonline.com',
  'login.microsoftonline.us',
  'login.chinacloudapi.cn',
]);

/** Rejects with whatever the library throws; `readTokenError` knows what it means. Loads the library when first called. */
export async function requestToken(identity: IdentitySettings, scope: string, signal: AbortSignal): Promise<Token> {
  const credential = await createCredential(identity);
  const answer: AccessToken | null = await credential.getToken(scope, { abortSignal: signal });
  if (answer === null) throw new Error('no token came');
  return { token: answer.token, expiresAt: answer.expiresOnTimestamp };
}

async function createCredential(identity: IdentitySettings): Promise<TokenCredential> {
  // A quarter of a second and 30 MB, which only those pay who use it.
  const azure = await import('@azure/identity');
  const { tenantId, clientId, credential, authorityHost, ca } = identity;
  const options = {
    authorityHost,
    disableInstanceDiscovery: !knownAuthorities.has(new URL(authorityHost).hostname),
    // The queue repeats; a second layer of retries would only hold a slot for longer.
    retryOptions: { maxRetries: 0 },
    ...(ca === null ? {} : { tlsOptions: { ca } }),
  };
  switch (credential.kind) {
    case 'clientSecret':
      return new azure.ClientSecretCredential(tenantId, clientId, credential.clientSecret, options);
    case 'clientCertificate': {
      const { certificate, password } = credential;
      const pem = { certificate, ...(password === null ? {} : { certificatePassword: password }) };
      // The chain lets Entra trust by subject and issuer, so that a renewed certificate needs no new registration.
      return new azure.ClientCertificateCredential(tenantId, clientId, pem, {
        ...options,
        sendCertificateChain: true,
      });
    }
    case 'managedIdentity':
      return credential.clientId === null
        ? new azure.ManagedIdentityCredential({ retryOptions: options.retryOptions })
        : new azure.ManagedIdentityCredential({
            clientId: credential.clientId,
            retryOptions: options.retryOptions,
          });
    case 'workloadIdentity':
      return new azure.WorkloadIdentityCredential({
        ...options,
        ...idsOf(identity),
        ...(credential.tokenFile === null ? {} : { tokenFilePath: credential.tokenFile }),
      });
    case 'default': {
      const { tenantId, clientId } = idsOf(identity);
      return new azure.DefaultAzureCredential({
        ...options,
        ...(tenantId === undefined ? {} : { tenantId }),
        ...(clientId === undefined ? {} : { managedIdentityClientId: clientId, workloadIdentityClientId: clientId }),
      });
    }
    default:
      return unreachable(credential);
  }
}

/** What must never be shown. */
export function secretsOf(credential: CredentialSettings): readonly string[] {
  if (credential.kind === 'clientSecret') return [credential.clientSecret];
  if (credential.kind === 'clientCertificate') return [credential.certificate, credential.password ?? ''];
  return [];
}

/** Without a value the credential takes it from the environment that the cluster gives. */
function idsOf({ tenantId, clientId }: IdentitySettings): { tenantId?: string; clientId?: string } {
  return { ...(tenantId === '' ? {} : { tenantId }), ...(clientId === '' ? {} : { clientId }) };
}
