/** Entra as far as an app needs it: OIDC discovery and tokens for client credentials. */
import { createHash, createPublicKey, randomBytes, verify, X509Certificate } from 'node:crypto';
import { entraError, json } from './answers.ts';
import type { Answer } from './requests.ts';

/** An app registration. What is not `readonly` may be changed while the fake runs. */
export interface FakeApp {
  readonly clientId: string;
  /** Null: no secret is registered. */
  clientSecret: string | null;
  /** The secret has had its day: AADSTS7000222. */
  secretExpired: boolean;
  /** PEM of the certificate whose signatures are good. */
  certificate: string | null;
  /** Assertion of another identity provider that is taken as it is (workload identity). */
  federatedAssertion: string | null;
}

interface Token {
  readonly serial: number;
  readonly app: string;
  /** The resource of its scope, such as `https://graph.microsoft.com`. */
  readonly audience: string;
  readonly expiresAt: number;
  revoked: boolean;
}

export interface Entra {
  discovery(tenant: string): Answer;
  token(tenant: string, form: URLSearchParams): Answer;
  /** The app of a token that is good for `audience` now. */
  appOf(token: string, audience: string): string | null;
  /** `token 2`, or `unknown token`. */
  describe(token: string): string;
  /** Values of all tokens so far, to look for in logs. */
  tokenValues(): string[];
  revokeTokens(): void;
}

export interface EntraOptions {
  readonly tenantId: string;
  readonly apps: ReadonlyMap<string, FakeApp>;
  /** Origin of the authority, no slash at its end. */
  readonly origin: () => string;
  readonly lifetimeSeconds: number;
  readonly now: () => number;
}

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

export function createEntra({ tenantId, apps, origin, lifetimeSeconds, now }: EntraOptions): Entra {
  const tokens = new Map<string, Token>();
  return {
    discovery(tenant) {
      if (tenant.toLowerCase() !== tenantId.toLowerCase()) return unknownTenant(tenant);
      const base = `${origin()}/${tenantId}`;
      return json(200, {
        token_endpoint: `${base}/oauth2/v2.0/token`,
        token_endpoint_auth_methods_supported: ['client_secret_post', 'private_key_jwt', 'client_secret_basic'],
        jwks_uri: `${base}/discovery/v2.0/keys`,
        response_types_supported: ['code', 'id_token', 'code id_token', 'id_token token'],
        subject_types_supported: ['pairwise'],
        id_token_signing_alg_values_supported: ['RS256'],
        scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
        // Clients compare it with the authority that they were given.
        issuer: `${base}/v2.0`,
        authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
        tenant_region_scope: null,
      });
    },
    token(tenant, form) {
      if (tenant.toLowerCase() !== tenantId.toLowerCase()) return unknownTenant(tenant);
      if (form.get('grant_type') !== 'client_credentials') {
        return entraError(400, 'unsupported_grant_type', 70003, 'The app requested an unsupported grant type.');
      }
      const app = apps.get((form.get('client_id') ?? '').toLowerCase());
      if (app === undefined) {
        const text = `Application with identifier '${form.get('client_id')}' was not found in the directory.`;
        return entraError(400, 'unauthorized_client', 700016, text);
      }
      const refused = refusal(app, form, `${origin()}/${tenantId}`, now());
      if (refused !== null) return refused;
      const scope = /^(https:\/\/[^/]+)\/\.default$/.exec(form.get('scope') ?? '');
      if (scope === null) {
        return entraError(
          400,
          'invalid_scope',
          1002012,
          `The provided value for scope ${form.get('scope')} is not valid.`,
        );
      }
      const value = `fake.${randomBytes(48).toString('base64url')}`;
      tokens.set(value, {
        serial: tokens.size + 1,
        app: app.clientId,
        audience: scope[1] ?? '',
        expiresAt: now() + lifetimeSeconds * 1000,
        revoked: false,
      });
      const life = { expires_in: lifetimeSeconds, ext_expires_in: lifetimeSeconds };
      return json(200, { token_type: 'Bearer', ...life, access_token: value });
    },
    appOf(value, audience) {
      const token = tokens.get(value);
      const good = token !== undefined && !token.revoked && token.expiresAt > now() && token.audience === audience;
      return good ? token.app : null;
    },
    describe(value) {
      const token = tokens.get(value);
      return token === undefined ? 'unknown token' : `token ${token.serial}`;
    },
    tokenValues: () => [...tokens.keys()],
    revokeTokens() {
      for (const token of tokens.values()) token.revoked = true;
    },
  };
}

function unknownTenant(tenant: string): Answer {
  return entraError(
    400,
    'invalid_tenant',
    90002,
    `Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID.`,
  );
}

/** What is wrong with the proof of a client's identity; null if nothing is. */
function refusal(app: FakeApp, form: URLSearchParams, authority: string, now: number): Answer | null {
  const assertion = form.get('client_assertion');
  if (assertion !== null) {
    if (form.get('client_assertion_type') !== assertionType) {
      return entraError(400, 'invalid_request', 90014, 'The required field client_assertion_type is wrong.');
    }
    return assertionRefusal(app, assertion, authority, now);
  }
  const secret = form.get('client_secret');
  if (secret === null) {
    const text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
    return entraError(401, 'invalid_client', 7000218, text);
  }
  if (app.secretExpired) {
    return entraError(
      401,
      'invalid_client',
      7000222,
      `The provided client secret keys for app '${app.clientId}' are expired.`,
    );
  }
  if (secret !== app.clientSecret) {
    return entraError(401, 'invalid_client', 7000215, 'Invalid client secret provided.');
  }
  return null;
}

/** RFC 7523 section 3: signed by the registered key, for this endpoint, by this client, and not too old. */
function assertionRefusal(app: FakeApp, assertion: string, authority: string, now: number): Answer | null {
  if (app.federatedAssertion !== null && assertion === app.federatedAssertion) return null;
  if (app.certificate === null) {
    const text = 'No matching federated identity record found for presented assertion.';
    return entraError(401, 'invalid_client', 700213, text);
  }
  const [head = '', payload = '', signature = ''] = assertion.split('.');
  const header = readPart(head);
  const claims = readPart(payload);
  const key = createPublicKey(app.certificate);
  const padding = header['alg'] === 'PS256' ? { padding: 6, saltLength: 32 } : {};
  const signed = verify(
    'sha256',
    Buffer.from(`${head}.${payload}`),
    { key, ...padding },
    Buffer.from(signature, 'base64url'),
  );
  if (!signed || !namesCertificate(header, app.certificate)) {
    return entraError(
      401,
      'invalid_client',
      700027,
      'The certificate with identifier used to sign the client assertion is not registered on application.',
    );
  }
  const audiences = [`${authority}/oauth2/v2.0/token`, `${authority}/v2.0`];
  if (claims['iss'] !== app.clientId || claims['sub'] !== app.clientId || !audiences.includes(String(claims['aud']))) {
    return entraError(401, 'invalid_client', 700023, 'Client assertion audience claim does not match Realm issuer.');
  }
  if (Number(claims['exp']) * 1000 <= now || Number(claims['nbf']) * 1000 > now + 300_000) {
    return entraError(401, 'invalid_client', 700024, 'Client assertion is not within its valid time range.');
  }
  return null;
}

/** `x5t` is the SHA-1, `x5t#S256` the SHA-256 of the DER form (RFC 7515 section 4.1.7 and 4.1.8). */
function namesCertificate(header: Readonly<Record<string, unknown>>, pem: string): boolean {
  const { raw } = new X509Certificate(pem);
  const of = (hash: string): string => createHash(hash).update(raw).digest('base64url');
  return header['x5t#S256'] === undefined ? header['x5t'] === of('sha1') : header['x5t#S256'] === of('sha256');
}

function readPart(part: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
