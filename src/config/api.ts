/** The `api` section: where `postlane serve` answers, to whom, and what each token may do; its schema, settings and rules. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { roles, scopes, type Scope } from './scopes.ts';
import type { Path, Problem } from './issues.ts';
import { isLoopback, type Network } from './networks.ts';
import { buildSenderLimits, senderLimitKeys, type SenderLimits } from './sender-limits.ts';
import * as value from './values.ts';

/** Most tokens that a file may have: each request is compared with all of them. */
const maxTokens = 1_000;

const token = z.strictObject({
  id: value.tokenId.describe('Name of the token in logs and audits: letters, digits, `.`, `-` and `_`.'),
  sha256: value.sha256.describe('SHA-256 of the whole token in lower-case hex, as `postlane token new` prints it.'),
  scopes: z
    .array(z.enum([...scopes, ...(Object.keys(roles) as (keyof typeof roles)[])]))
    .min(1)
    .describe(
      'What it may do: scopes, or a role that stands for several: `viewer`, `operator`, `content` or `admin`; [api.md](api.md#scopes) lists them.',
    ),
  from: z
    .array(value.addressPattern)
    .min(1)
    .optional()
    .describe('From addresses or `*@domain` that it may send as, read and cancel. Default: every address.'),
  ratePerMinute: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe('Requests per minute over all processes; each message of a batch counts. Default: unlimited.'),
  ...senderLimitKeys,
  expires: value.date.optional().describe('Last day (UTC) on which it is accepted. Default: no end.'),
});

export const api = z
  .strictObject({
    listen: value.listen
      .prefault('127.0.0.1:8025')
      .describe('Address at which `postlane serve` answers. Beyond the loopback it needs `tokens`.'),
    hosts: z
      .array(value.host)
      .default([])
      .describe(
        'Names by which `postlane serve` and the metrics are asked for (header `Host`), beside `localhost` and IP addresses of their own.',
      ),
    proxies: z
      .array(value.network)
      .default([])
      .describe('Addresses or networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Host` are believed.'),
    tls: z
      .strictObject({
        cert: value.certificates.describe(
          'Certificate, then those that issued it: PEM text, or the path of a `.pem` or `.crt` file.',
        ),
        key: value.privateKey.describe('Its private key: PEM text, or the path of a `.pem` or `.key` file.'),
      })
      .optional()
      .describe('Speaks HTTPS only. Default: plain HTTP.'),
    tokens: z
      .array(token)
      .max(maxTokens)
      .default([])
      .describe('Who may use the API. Default: no tokens, so every request is refused.'),
  })
  .prefault({})
  .describe('The HTTP server of `postlane serve`.');

type ApiFile = z.output<typeof api>;

export interface ApiToken {
  readonly id: string;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Patterns in their compare form; null is every address. */
  readonly from: readonly string[] | null;
  /** null is unlimited. */
  readonly ratePerMinute: number | null;
  /** What it may submit. */
  readonly quota: SenderLimits;
  /** Last moment at which it is accepted, ms since the epoch; null is no end. */
  readonly expiresAt: number | null;
}

export interface ApiSettings {
  /** Port 0 is a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Names in `Host` beside those of the loopback. */
  readonly hosts: readonly string[];
  readonly proxies: readonly Network[];
  /** PEM texts; null is plain HTTP. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  readonly tokens: readonly ApiToken[];
}

/** Places where a path may stand for PEM text. */
export const apiPemPlaces: readonly Path[] = [
  ['api', 'tls', 'cert'],
  ['api', 'tls', 'key'],
];

export function buildApi({ listen, hosts, proxies, tls, tokens }: ApiFile): ApiSettings {
  return {
    listen,
    hosts,
    proxies,
    tls: tls ?? null,
    tokens: tokens.map(({ id, sha256, scopes: written, from, ratePerMinute, expires, ...limits }) => ({
      id,
      sha256,
      scopes: new Set(written.flatMap((name): readonly Scope[] => (isRole(name) ? roles[name] : [name]))),
      from: from ?? null,
      ratePerMinute: ratePerMinute ?? null,
      quota: buildSenderLimits(limits),
      expiresAt: expires ?? null,
    })),
  };
}

function isRole(name: Scope | keyof typeof roles): name is keyof typeof roles {
  return Object.hasOwn(roles, name);
}

/** What is wrong with an entry of `api.tokens`, as it would stand in the file. */
export function tokenMistakes(entry: unknown): string[] {
  const result = token.safeParse(entry);
  return result.success
    ? []
    : result.error.issues.map(({ path, message }) => `${path.map(String).join('.')}: ${message}`);
}

/** Checks the data of the file; the schema reports invalid values itself. */
export function apiProblems(section: unknown): Problem[] {
  if (typeof section !== 'object' || section === null) return [];
  const { listen, tls, tokens } = section as Record<string, unknown>;
  const list: unknown[] = Array.isArray(tokens) ? tokens : [];
  return [
    ...listenProblems(listen, list.length),
    ...keyProblems(tls),
    ...sameProblems(list, 'id'),
    ...sameProblems(list, 'sha256'),
  ];
}

/** A certificate and a key of two pairs, as there are for a moment while both files are replaced. */
function keyProblems(tls: unknown): Problem[] {
  const { cert, key } = Object(tls) as { cert?: unknown; key?: unknown };
  if (typeof cert !== 'string' || typeof key !== 'string' || !value.certificates.safeParse(cert).success) return [];
  const problem = (message: string): Problem[] => [
    { path: ['api', 'tls', 'key'], rule: 'certificate', message, on: 'value' },
  ];
  try {
    const fits = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
    return fits ? [] : problem('does not belong to the certificate in api.tls.cert');
  } catch {
    return value.privateKey.safeParse(key).success
      ? problem('cannot be read; a key with a password is not supported')
      : [];
  }
}

function listenProblems(listen: unknown, count: number): Problem[] {
  const parsed = value.listen.safeParse(listen);
  if (count > 0 || !parsed.success || isLoopback(parsed.data.host)) return [];
  const message = 'is beyond the loopback, where the API needs tokens; add api.tokens, or listen on 127.0.0.1';
  return [{ path: ['api', 'listen'], rule: 'api-open', message, on: 'value' }];
}

function sameProblems(tokens: readonly unknown[], key: 'id' | 'sha256'): Problem[] {
  const seen = new Map<unknown, number>();
  return tokens.flatMap((each, at): Problem[] => {
    const written = (Object(each) as Record<string, unknown>)[key];
    if (typeof written !== 'string') return [];
    const before = seen.get(written);
    seen.set(written, before ?? at);
    if (before === undefined) return [];
    const message = `is the same as that of tokens[${before}]; each token has its own`;
    return [{ path: ['api', 'tokens', at, key], rule: 'duplicate-token', message, on: 'value' }];
  });
}
