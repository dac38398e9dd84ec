/** Applications of Microsoft Entra: the schema of their credentials, the settings they become, and the rules between their keys. */
import { z } from 'zod';
import type { clouds } from '../transport/graph/settings.ts';
import type { CredentialSettings } from '../transport/oauth/settings.ts';
import type { Path, Problem } from './issues.ts';
import * as value from './values.ts';

export const cloudNames = [
  'global',
  'usGovernment',
  'usGovernmentDod',
  'china',
] as const satisfies readonly (keyof typeof clouds)[];

/** The keys that each name a kind of credential; `certificatePassword` only adds to one of them. */
const kinds = ['clientSecret', 'certificate', 'managedIdentity', 'workloadIdentity', 'default'] as const;
/** These get the application and its tenant from the machine or the cluster that they run on. */
const selfKnowing: ReadonlySet<string> = new Set(['managedIdentity', 'workloadIdentity', 'default']);

export const identityKeys = {
  tenantId: value.tenant
    .optional()
    .describe('Directory (tenant) id. Optional only for identities of the machine or the cluster.'),
  clientId: value.tenant
    .optional()
    .describe('Application (client) id. Optional only for identities of the machine or the cluster.'),
  credential: z
    .strictObject({
      clientSecret: value.secret.optional().describe('Client secret, normally a reference.'),
      certificate: value.keyPair
        .optional()
        .describe(
          'Certificate with its private key: PEM text (normally `${file:app.pem}`), or the path of a `.pem` file.',
        ),
      certificatePassword: value.secret.optional().describe('Password of the encrypted private key in `certificate`.'),
      managedIdentity: value.text
        .optional()
        .describe('Managed identity of the Azure machine: `system`, or the client id of a user-assigned one.'),
      workloadIdentity: value.text
        .optional()
        .describe('Workload identity of a Kubernetes cluster: `environment`, or the path of the token file.'),
      default: z
        .literal(true)
        .optional()
        .describe('Whatever `DefaultAzureCredential` finds. Slow and hard to predict; for development.'),
    })
    .describe('How the application authenticates: exactly one of these.'),
};

const identity = z.strictObject(identityKeys);
type IdentityFile = z.output<typeof identity>;

export function buildIdentity({ tenantId = '', clientId = '', credential }: IdentityFile): {
  tenantId: string;
  clientId: string;
  credential: CredentialSettings;
} {
  return { tenantId, clientId, credential: buildCredential(credential) };
}

function buildCredential(file: IdentityFile['credential']): CredentialSettings {
  const { clientSecret, certificate, certificatePassword, managedIdentity, workloadIdentity } = file;
  if (clientSecret !== undefined) return { kind: 'clientSecret', clientSecret };
  if (certificate !== undefined) {
    return { kind: 'clientCertificate', certificate, password: certificatePassword ?? null };
  }
  if (managedIdentity !== undefined) {
    return { kind: 'managedIdentity', clientId: managedIdentity === 'system' ? null : managedIdentity };
  }
  if (workloadIdentity !== undefined) {
    return { kind: 'workloadIdentity', tokenFile: workloadIdentity === 'environment' ? null : workloadIdentity };
  }
  return { kind: 'default' };
}

/** Checks the data of the file; the schema reports invalid values itself. */
export function identityProblems(holder: Record<string, unknown>, path: Path): Problem[] {
  const credential = holder['credential'];
  if (typeof credential !== 'object' || credential === null || Array.isArray(credential)) return [];
  const map = credential as Record<string, unknown>;
  const given = kinds.filter((kind) => kind in map);
  const at = [...path, 'credential'];
  const problem = (message: string, where: Path = at): Problem => ({
    path: where,
    rule: 'credential',
    message,
    on: 'key',
  });
  if (given.length !== 1) {
    const found = given.length === 0 ? 'has none' : `has ${given.join(' and ')}`;
    return [problem(`must have exactly one of ${kinds.join(', ')}; it ${found}`)];
  }
  const problems: Problem[] = [];
  if ('certificatePassword' in map && !('certificate' in map)) {
    problems.push(problem('belongs to certificate; remove it', [...at, 'certificatePassword']));
  }
  if (!selfKnowing.has(given[0] ?? '')) {
    for (const key of ['tenantId', 'clientId']) {
      if (!(key in holder))
        problems.push({ path, rule: 'required', message: `${key} is missing; ${given[0]} needs it`, on: 'key' });
    }
  }
  return problems;
}
