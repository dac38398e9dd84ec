/**
 * Asks Microsoft Entra for one token. The only file that touches @azure/identity.
 *
 * Every call creates its own credential, and the token is kept elsewhere. A credential that is kept would answer from its
 * cache after a 401, and for a minute or an hour after a failure without a request (msal-node's ThrottlingUtils), so a
 * repaired secret would go unnoticed. The price is one request for the discovery document per token, so per hour.
 */
import type { AccessToken, TokenCredential, TokenCredentialOptions } from '@azure/identity';
import { unreachable } from '../../errors.ts';
import { privateKeysOf } from '../mask.ts';
import { createHttpClient, HttpFailure, type HttpClient } from '../http.ts';
import { classifySocketFault } from '../socket-fault.ts';
import { TokenFailure } from './entra-errors.ts';
import type { CredentialSettings, IdentitySettings } from './settings.ts';

/** `expiresAt` in ms since the epoch. */
export interface Token {
  readonly token: string;
  readonly expiresAt: number;
}

/** Hosts whose metadata the library knows. It would look up any other at login.microsoft.com, a host that is not configured. */
const knownAuthorities: ReadonlySet<string> = new Set([
  'login.microsoftonline.com',
  'login.microsoftonline.us',
  'login.chinacloudapi.cn',
]);

/** Rejects with the library's own errors, which `readTokenError` reads. Loads the library when first called. */
export async function requestToken(identity: IdentitySettings, scope: string, signal: AbortSignal): Promise<Token> {
  const { kind } = identity.credential;
  // The endpoints of managed identities are http://169.254.169.254 or on the machine itself.
  const plain = kind === 'managedIdentity' || kind === 'default';
  const http = createHttpClient(identity.ca, 1, { plain, proxy: identity.proxy ?? null });
  let failed = null as HttpFailure | null;
  try {
    const client = pipelineClient(http, identity.tokenMs, signal, (failure) => (failed = failure));
    const credential = await createCredential(identity, client);
    const answer: AccessToken | null = await credential.getToken(scope, { abortSignal: signal });
    if (answer === null) throw new Error('no token came');
    return { token: answer.token, expiresAt: answer.expiresOnTimestamp };
  } catch (error) {
    throw failed === null ? error : ofProxy(failed);
  } finally {
    http.close();
  }
}

/** The library would say that the network failed, and leave out the cause. */
function ofProxy({ code, message }: HttpFailure): TokenFailure {
  const text = `no token from Entra: ${message}`;
  return new TokenFailure(classifySocketFault(code), { code, enhancedCode: null, text });
}

/**
 * The library would read HTTPS_PROXY itself, by rules of its own, and fail where it is no URL. What it is given here makes an agent
 * that is not used: the way is that of the client.
 */
const notItsOwn = { host: 'http://proxy.invalid', port: 1 } as const;

type PipelineClient = NonNullable<TokenCredentialOptions['httpClient']>;

async function createCredential(identity: IdentitySettings, httpClient: PipelineClient): Promise<TokenCredential> {
  // Costs a quarter of a second and 30 MB, so only connectors that need it load it.
  const azure = await import('@azure/identity');
  const { tenantId, clientId, credential, authorityHost, ca } = identity;
  const options = {
    authorityHost,
    disableInstanceDiscovery: !knownAuthorities.has(new URL(authorityHost).hostname),
    // The queue retries; a second layer of retries would only hold a slot for longer.
    retryOptions: { maxRetries: 0 },
    proxyOptions: notItsOwn,
    httpClient,
    ...(ca === null ? {} : { tlsOptions: { ca } }),
  };
  switch (credential.kind) {
    case 'clientSecret':
      return new azure.ClientSecretCredential(tenantId, clientId, credential.clientSecret, options);
    case 'clientCertificate': {
      const { certificate, password } = credential;
      const pem = { certificate, ...(password === null ? {} : { certificatePassword: password }) };
      // With the chain Entra can trust subject and issuer, so a renewed certificate needs no new registration.
      return new azure.ClientCertificateCredential(tenantId, clientId, pem, {
        ...options,
        sendCertificateChain: true,
      });
    }
    case 'managedIdentity':
      return new azure.ManagedIdentityCredential({
        ...(credential.clientId === null ? {} : { clientId: credential.clientId }),
        retryOptions: options.retryOptions,
        proxyOptions: notItsOwn,
        httpClient,
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

/**
 * The library's requests over the bounded client. Its own client decompresses without a limit, fails outside of any promise
 * where an answer does not fit into a string, and goes on after the signal.
 */
function pipelineClient(
  http: HttpClient,
  timeoutMs: number,
  signal: AbortSignal,
  onProxyFailure: (failure: HttpFailure) => void,
): PipelineClient {
  return {
    async sendRequest(request) {
      const { url, method } = request;
      const body = typeof request.body === 'string' ? request.body : null;
      const about = { url, method, headers: request.headers.toJSON(), body, signal, timeoutMs };
      const answer = await http.request(about).catch((error: unknown) => {
        if (error instanceof HttpFailure && error.ofProxy) onProxyFailure(error);
        throw error;
      });
      return { request, status: answer.status, headers: headersOf(answer.headers), bodyAsText: answer.text };
    },
  };
}

type PipelineHeaders = Awaited<ReturnType<PipelineClient['sendRequest']>>['headers'];

function headersOf(headers: Readonly<Record<string, string>>): PipelineHeaders {
  const all = new Headers(headers);
  return {
    get: (name) => all.get(name) ?? undefined,
    has: (name) => all.has(name),
    set: (name, value) => all.set(name, String(value)),
    delete: (name) => all.delete(name),
    toJSON: () => Object.fromEntries(all),
    [Symbol.iterator]: () => all.entries(),
  };
}

/** Values that must never be shown. */
export function secretsOf(credential: CredentialSettings): readonly string[] {
  if (credential.kind === 'clientSecret') return [credential.clientSecret];
  if (credential.kind === 'clientCertificate')
    return [...privateKeysOf(credential.certificate), credential.password ?? ''];
  return [];
}

/** A value left out is taken from the environment that the cluster provides. */
function idsOf({ tenantId, clientId }: IdentitySettings): { tenantId?: string; clientId?: string } {
  return { ...(tenantId === '' ? {} : { tenantId }), ...(clientId === '' ? {} : { clientId }) };
}
