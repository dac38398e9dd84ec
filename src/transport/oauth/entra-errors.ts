/** What a refusal by Microsoft Entra means and what to do about it: a table of its codes. Pure. */
import { printable } from '../../errors.ts';
import type { FaultClass, Reply } from '../transport.ts';

/** There is no token, so the connector cannot send; `reply` says why. Never leaves the transport. */
export class TokenFailure extends Error {
  readonly fault: FaultClass;
  readonly reply: Reply;
  readonly pauseMs: number | undefined;

  constructor(fault: FaultClass, reply: Reply, pauseMs?: number) {
    super(`no token: ${reply.text ?? ''}`);
    this.name = 'TokenFailure';
    this.fault = fault;
    this.reply = reply;
    this.pauseMs = pauseMs;
  }
}

interface TokenRule {
  readonly codes: readonly number[];
  readonly fault: FaultClass;
  readonly hint: string;
  readonly pauseMs?: number;
  readonly source: string;
}

const codesPage = 'https://learn.microsoft.com/entra/identity-platform/reference-error-codes';
const certificates = 'https://learn.microsoft.com/entra/identity-platform/certificate-credentials';
const federation = 'https://learn.microsoft.com/entra/workload-id/workload-identity-federation';
const conditionalAccess = 'https://learn.microsoft.com/entra/identity/conditional-access/workload-identity';
const consent = 'https://learn.microsoft.com/entra/identity/enterprise-apps/grant-admin-consent';
const secrets = 'https://learn.microsoft.com/entra/identity-platform/how-to-add-credentials';

export const tokenRules: readonly TokenRule[] = [
  // Entra's own faults.
  {
    codes: [90006, 90012, 90024, 90033, 90090, 90091, 70012, 50000],
    fault: 'unreachable',
    hint: 'Entra has a temporary fault',
    source: codesPage,
  },
  { codes: [90055], fault: 'throttled', hint: 'Entra throttles the tenant', pauseMs: 60_000, source: codesPage },
  {
    codes: [50196],
    fault: 'throttled',
    hint: 'the application asks Entra for tokens too often',
    pauseMs: 300_000,
    source: codesPage,
  },
  {
    codes: [700024],
    fault: 'auth',
    hint: 'the signed assertion is outside its validity: check the clock of this machine',
    source: certificates,
  },
  // The secret or the certificate.
  {
    codes: [7000222],
    fault: 'auth',
    hint: 'the client secret has expired: create a new one under "Certificates & secrets" of the app registration',
    source: secrets,
  },
  {
    codes: [7000215],
    fault: 'auth',
    hint: 'the client secret is wrong: use the value of the secret, not its id',
    source: secrets,
  },
  {
    codes: [7000216, 7000218, 70002],
    fault: 'auth',
    hint: 'the application has not proved its identity: check the credential',
    source: codesPage,
  },
  {
    codes: [700027],
    fault: 'auth',
    hint: 'the certificate is not one of the app registration’s: upload it under "Certificates & secrets"',
    source: certificates,
  },
  {
    codes: [700211, 700213, 70021],
    fault: 'config',
    hint: 'no federated credential of the app registration fits the token of this workload: compare issuer, subject and audience',
    source: federation,
  },
  // The application and its tenant.
  {
    codes: [700016],
    fault: 'config',
    hint: 'the tenant has no application with this clientId: check both ids, and grant admin consent',
    source: codesPage,
  },
  {
    codes: [7000112, 70001],
    fault: 'config',
    hint: 'the application is disabled in this tenant',
    source: codesPage,
  },
  {
    codes: [90002, 90013, 900023],
    fault: 'config',
    hint: 'there is no such tenant: check tenantId, and the cloud it is in',
    source: codesPage,
  },
  { codes: [90038], fault: 'config', hint: 'the tenant is in another national cloud: set cloud', source: codesPage },
  {
    codes: [500011, 1002012, 70011],
    fault: 'config',
    hint: 'the tenant does not know the service that the token is for: check cloud',
    source: codesPage,
  },
  {
    codes: [65001, 90094],
    fault: 'config',
    hint: 'an administrator has not consented: grant admin consent under "API permissions"',
    source: consent,
  },
  {
    codes: [53003],
    fault: 'config',
    hint: 'a Conditional Access policy for workload identities blocks this application, or this address',
    source: conditionalAccess,
  },
];

/** How much of Entra's own text is kept. */
const maxTextLength = 300;
/** How much of an error is read: the body of an answer may be part of it. */
const maxReadLength = 10_000;

/** What an error of @azure/identity means. An unknown one counts as temporary: trying later loses nothing. */
export function readTokenError(thrown: unknown): TokenFailure {
  if (thrown instanceof TokenFailure) return thrown;
  const text = (thrown instanceof Error ? thrown.message : String(thrown)).slice(0, maxReadLength);
  const found = /AADSTS(\d{4,8})/.exec(text);
  if (found === null) return withoutCode(thrown, text);
  const code = `AADSTS${found[1]}`;
  const said = printable(descriptionOf(text), maxTextLength);
  const rule = tokenRules.find(({ codes }) => codes.includes(Number(found[1])));
  const reply = { code: null, enhancedCode: code, text: rule === undefined ? said : `${rule.hint} (${said})` };
  return new TokenFailure(rule?.fault ?? 'unreachable', reply, rule?.pauseMs);
}

/** The error's description, without the ids of the request behind it. */
function descriptionOf(text: string): string {
  const begin = text.indexOf('Description:');
  const rest = begin < 0 ? text : text.slice(begin + 'Description:'.length);
  if (begin < 0) return rest;
  const ends = ['Correlation ID:', 'Trace ID:'].map((label) => rest.indexOf(label)).filter((at) => at >= 0);
  return rest.slice(0, Math.min(rest.length, ...ends)).replace(/[-\s]{0,20}$/, '');
}

function withoutCode(thrown: unknown, text: string): TokenFailure {
  const said = printable(text, maxTextLength);
  const reply = { code: socketCode(thrown), enhancedCode: null, text: `no token from Entra: ${said}` };
  // A constructor throws for a missing value; an unreadable certificate fails when it is first used.
  if (/"alg" parameter for "ec" key/.test(text)) {
    return new TokenFailure('auth', {
      ...reply,
      text: 'the client certificate cannot be used: Entra accepts RSA keys only',
    });
  }
  if (/certificate|PEM|private key|passphrase|decrypt/i.test(text) && !/network|self.signed|unable to/i.test(text)) {
    return new TokenFailure('auth', { ...reply, text: `the client certificate cannot be used: ${said}` });
  }
  if (
    /required parameter|is unavailable\. (?:Environment|tenantId|clientId)|not installed|no MSI|managed identity endpoint/i.test(
      text,
    )
  ) {
    return new TokenFailure('config', { ...reply, text: `the credential is not available here: ${said}` });
  }
  return new TokenFailure('unreachable', reply);
}

function socketCode(thrown: unknown): string | null {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{2,40}$/.test(code) ? code : null;
}
