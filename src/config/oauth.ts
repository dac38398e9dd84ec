/** The `oauth2` section of an SMTP login: its schema, the settings it becomes, and the rules between its keys. */
import { z } from 'zod';
import { clouds, graphTimeouts } from '../transport/graph/settings.ts';
import type { OAuthSettings } from '../transport/oauth/settings.ts';
import type { ProxyRoute } from '../transport/proxy.ts';
import { buildIdentity, cloudNames, identityKeys, identityProblems } from './identity.ts';
import type { Path, Problem } from './issues.ts';
import * as value from './values.ts';

/**
 * The scope of a token for SMTP. https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth
 */
const scopes: Readonly<Record<(typeof cloudNames)[number], string>> = {
  global: 'https://outlook.office365.com/.default',
  usGovernment: 'https://outlook.office365.us/.default',
  usGovernmentDod: 'https://outlook-dod.office365.us/.default',
  china: 'https://partner.outlook.cn/.default',
};

const serviceAccountKey = z.object({
  client_email: z.string(),
  private_key: z.string(),
  token_uri: z.string().optional(),
});
const googleTokenUrl = 'https://oauth2.googleapis.com/token';

export const oauth2 = z.strictObject({
  provider: z.enum(['microsoft', 'google']).describe('Provider that issues the tokens.'),
  ...identityKeys,
  credential: identityKeys.credential.optional(),
  cloud: z.enum(cloudNames).default('global').describe('`microsoft`: national cloud of the tenant.'),
  authorityHost: value.httpsOrigin.optional().describe('`microsoft`: Entra endpoint, if not that of `cloud`.'),
  clientSecret: value.secret.optional().describe('`google`: secret of the OAuth client, used with `refreshToken`.'),
  refreshToken: value.secret.optional().describe('`google`: refresh token of the user.'),
  serviceAccount: value.serviceAccount
    .optional()
    .describe(
      '`google`: JSON key of a service account with domain-wide delegation (`${file:key.json}`). It acts for `user`.',
    ),
  tokenHost: value.httpsOrigin.optional().describe('`google`: token endpoint, if not Google’s.'),
  ca: value.certificates
    .optional()
    .describe(
      'Private CAs instead of the public ones, for token requests: PEM text, or the path of a `.pem` or `.crt` file.',
    ),
});

export function buildOAuth(file: z.output<typeof oauth2>, proxy: ProxyRoute | null): OAuthSettings {
  const ca = file.ca ?? null;
  const { tokenMs } = graphTimeouts;
  if (file.provider === 'microsoft') {
    const authorityHost = file.authorityHost ?? clouds[file.cloud].authorityHost;
    const identity = buildIdentity({ ...file, credential: file.credential ?? {} });
    const settings = { ...identity, authorityHost, ca, proxy, tokenMs };
    return { provider: 'microsoft', identity: settings, scope: scopes[file.cloud] };
  }
  const tokenUrl = file.tokenHost === undefined ? googleTokenUrl : `${file.tokenHost}/token`;
  const common = { provider: 'google', tokenUrl, ca, proxy, tokenMs } as const;
  if (file.serviceAccount !== undefined) {
    const key = serviceAccountKey.parse(JSON.parse(file.serviceAccount));
    const grant = { kind: 'serviceAccount', clientEmail: key.client_email, privateKey: key.private_key } as const;
    return { ...common, grant };
  }
  const { clientId = '', clientSecret = '', refreshToken = '' } = file;
  return { ...common, grant: { kind: 'refreshToken', clientId, clientSecret, refreshToken } };
}

const microsoftKeys = ['tenantId', 'credential', 'cloud', 'authorityHost'];
const googleKeys = ['clientSecret', 'refreshToken', 'serviceAccount', 'tokenHost'];

/** Checks `auth` as written in the file; the schema reports invalid values itself. */
export function authProblems(auth: unknown, path: Path): Problem[] {
  const map = mapOf(auth);
  if (map === null) return [];
  const problem = (where: Path, message: string): Problem => ({ path: where, rule: 'credential', message, on: 'key' });
  if (!('oauth2' in map)) {
    const missing = 'is missing; set it, or oauth2';
    return 'password' in map ? [] : [{ path: [...path, 'password'], rule: 'required', message: missing, on: 'key' }];
  }
  if ('password' in map)
    return [problem([...path, 'password'], 'cannot be combined with oauth2; remove one of the two')];
  const oauth2 = mapOf(map['oauth2']);
  if (oauth2 === null) return [];
  const at = [...path, 'oauth2'];
  const foreign =
    oauth2['provider'] === 'google' ? microsoftKeys : oauth2['provider'] === 'microsoft' ? googleKeys : [];
  const wrong = foreign.filter((key) => key in oauth2);
  if (wrong.length > 0) {
    return wrong.map((key) =>
      problem([...at, key], `does not apply to provider ${String(oauth2['provider'])}; remove it`),
    );
  }
  if (oauth2['provider'] === 'microsoft') {
    return 'credential' in oauth2 ? identityProblems(oauth2, at) : [problem(at, 'must have a credential')];
  }
  if (oauth2['provider'] !== 'google') return [];
  const refresh = ['clientId', 'clientSecret', 'refreshToken'].filter((key) => key in oauth2).length;
  const good = 'serviceAccount' in oauth2 ? refresh === 0 : refresh === 3;
  return good ? [] : [problem(at, 'must have clientId, clientSecret and refreshToken, or serviceAccount alone')];
}

function mapOf(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}
