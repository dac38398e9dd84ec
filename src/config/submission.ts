/** The section `submission`: where mail is taken by SMTP, from whom, and as whom; and the rules between its keys. */
import { z } from 'zod';
import type { Path, Problem } from './issues.ts';
import type { Network } from './networks.ts';
import { parseSizeBytes } from './units.ts';
import { buildSenderLimits, senderLimitKeys, type SenderLimits } from './sender-limits.ts';
import * as value from './values.ts';

type TlsVersion = (typeof tlsVersions)[number];

export interface SubmissionListener {
  readonly listen: { readonly host: string; readonly port: number };
  readonly security: 'starttls' | 'tls' | 'none';
  /** null without TLS. PEM texts. */
  readonly tls: {
    readonly cert: string;
    readonly key: string;
    readonly clientCa: string | null;
    readonly minVersion: TlsVersion;
  } | null;
  readonly networks: readonly Network[];
  readonly from: readonly string[];
  readonly proxies: readonly Network[];
}

export interface SubmissionUser {
  readonly user: string;
  /** A hash: password-hash.ts has its form. */
  readonly password: string;
  readonly from: readonly string[];
  readonly options: boolean;
  readonly ratePerMinute: number | null;
  readonly quota: SenderLimits;
}

export interface SubmissionSettings {
  readonly listeners: readonly SubmissionListener[];
  readonly users: readonly SubmissionUser[];
  readonly dedupeForMs: number;
  readonly maxClients: number;
  readonly maxBytesInFlight: number;
  readonly acknowledgeReplicas: number;
}

const tlsVersions = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
const maxListeners = 20;
const maxUsers = 10_000;
/** Of the patterns of a user or a listener. */
const maxPatterns = 1_000;
const maxNetworks = 1_000;

const from = z.array(value.addressPattern).max(maxPatterns);

const listener = z.strictObject({
  listen: value.listen.describe('Address and port.'),
  security: z
    .enum(['starttls', 'tls', 'none'])
    .describe(
      '`starttls`: STARTTLS, required before anything else (port 587). `tls`: TLS from the first byte (port 465). `none`: plain text, for `networks` alone.',
    ),
  tls: z
    .strictObject({
      cert: value.certificates.describe(
        'Certificate with its chain: PEM text (normally `${file:tls.crt}`), or the path of a `.pem` or `.crt` file.',
      ),
      key: value.privateKey.describe('Its private key: PEM text, or the path of a `.pem` or `.key` file.'),
      clientCa: value.certificates
        .optional()
        .describe(
          'CAs of client certificates. With it, a client must present a certificate of one of them, and log in as well.',
        ),
      minVersion: z
        .enum(tlsVersions)
        .default('TLSv1.2')
        .describe('Oldest version of TLS. Some old printers need `TLSv1`, which is broken.'),
    })
    .optional()
    .describe('Required for `starttls` and `tls`.'),
  networks: z
    .array(value.network)
    .max(maxNetworks)
    .default([])
    .describe('Addresses and networks (CIDR) whose clients need no login. They send as `from` says.'),
  from: from.default([]).describe('Senders that clients of `networks` may use: addresses, or `*@domain`.'),
  proxies: z
    .array(value.network)
    .max(maxNetworks)
    .default([])
    .describe(
      'Addresses and networks of load balancers, each of whose connections begins with a PROXY header (v1 or v2).',
    ),
});

const user = z.strictObject({
  user: value.userName.describe('Name to log in with.'),
  password: value.passwordHash.describe('Hash of the password, as `postlane password` prints it.'),
  from: from
    .min(1)
    .describe('Senders that the user may use, in the header and in the envelope: addresses, or `*@domain`.'),
  options: z
    .boolean()
    .default(false)
    .describe('Whether the header fields `X-Postlane-…` of the user count. They are removed in any case.'),
  ratePerMinute: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe('Messages per minute, over all processes; more are refused for the moment. Default: unlimited.'),
  ...senderLimitKeys,
});

export const submission = z
  .strictObject({
    listeners: z.array(listener).max(maxListeners).default([]).describe('Where `postlane smtp` listens.'),
    users: z.array(user).max(maxUsers).default([]).describe('Who may log in.'),
    dedupeFor: value
      .duration(20)
      .prefault('10m')
      .describe('How long the same submission, sent again, is the same message, if it has a Message-ID or a Date.'),
    maxClients: z.int().min(1).max(100_000).default(1_000).describe('Connections of clients at once, in one process.'),
    maxBytesInFlight: value.size
      .prefault('128MiB')
      .describe(
        'Bytes of messages that one process holds at once until they are in Redis. It takes up to four times as much memory.',
      ),
    acknowledgeReplicas: z
      .int()
      .min(0)
      .max(10)
      .default(0)
      .describe('Replicas of Redis that must have a message before its client gets 250.'),
  })
  .prefault({})
  .describe('Mail submission by SMTP, of `postlane smtp` and `postlane worker --smtp`.');

type SubmissionFile = z.output<typeof submission>;

export function buildSubmission({ listeners, users, dedupeFor, ...rest }: SubmissionFile): SubmissionSettings {
  return {
    ...rest,
    dedupeForMs: dedupeFor,
    listeners: listeners.map(({ tls, ...each }) => ({
      ...each,
      tls: tls === undefined ? null : { ...tls, clientCa: tls.clientCa ?? null },
    })),
    users: users.map(({ ratePerMinute, messagesPerDay, recipientsPerDay, ...each }) => ({
      ...each,
      ratePerMinute: ratePerMinute ?? null,
      quota: buildSenderLimits({ messagesPerDay, recipientsPerDay }),
    })),
  };
}

type Map = Readonly<Record<string, unknown>>;

/** Takes the data of the file as it is written: one mistake must not hide another. */
export function submissionProblems(data: Map): Problem[] {
  const section = mapOf(data['submission']);
  const listeners = listOf(section['listeners']).map(mapOf);
  const users = listOf(section['users']).map(mapOf);
  const tokens = listOf(mapOf(data['api'])['tokens']).map((token) => mapOf(token)['id']);
  return [
    ...listeners.flatMap((each, at) => listenerProblems(each, ['submission', 'listeners', at])),
    ...users.flatMap(({ user }, at): Problem[] =>
      tokens.includes(user)
        ? [
            {
              path: ['submission', 'users', at, 'user'],
              rule: 'duplicate-user',
              message: 'is the id of a token in api.tokens, which logs in under it',
              on: 'value',
            },
          ]
        : [],
    ),
    ...duplicates(users.map(({ user }) => user)).map((at): Problem => ({
      path: ['submission', 'users', at, 'user'],
      rule: 'duplicate-user',
      message: 'is a name that another user has',
      on: 'value',
    })),
    ...duplicates(listeners.map(({ listen }) => (String(listen).endsWith(':0') ? undefined : listen))).map(
      (at): Problem => ({
        path: ['submission', 'listeners', at, 'listen'],
        rule: 'duplicate-listener',
        message: 'is an address that another listener has',
        on: 'value',
      }),
    ),
    ...budgetProblems(section, mapOf(data['message'])['maxSize'] ?? '25MiB'),
  ];
}

function listenerProblems({ security, tls, networks, from }: Map, path: Path): Problem[] {
  const problem = (key: string, message: string): Problem[] => [
    { path: [...path, key], rule: 'listener', message, on: 'key' },
  ];
  const [hasNetworks, hasFrom] = [listOf(networks).length > 0, listOf(from).length > 0];
  return [
    ...((security === 'tls' || security === 'starttls') && tls === undefined
      ? problem('security', `is ${security}, which needs \`tls\` with a certificate and its key`)
      : []),
    ...(security === 'none' && tls !== undefined
      ? problem('tls', 'has no effect with `security: none`; set security to tls or starttls, or remove it')
      : []),
    ...(security === 'none' && !hasNetworks
      ? problem('security', 'is none, where a client cannot log in: name the `networks` that may send without a login')
      : []),
    ...(hasNetworks && !hasFrom
      ? problem('networks', 'may send without a login: name in `from` as whom they may')
      : []),
    ...(hasFrom && !hasNetworks
      ? problem('from', 'is for clients of `networks`; users have a `from` of their own')
      : []),
  ];
}

function budgetProblems(section: Map, maxSize: unknown): Problem[] {
  const [budget, most] = [section['maxBytesInFlight'] ?? '128MiB', maxSize].map((size) =>
    typeof size === 'string' ? parseSizeBytes(size) : typeof size === 'number' ? size : null,
  );
  if (typeof budget !== 'number' || typeof most !== 'number' || budget >= most) return [];
  const path = 'maxBytesInFlight' in section ? ['submission', 'maxBytesInFlight'] : ['message', 'maxSize'];
  const message = 'lets no message of the size message.maxSize in: submission.maxBytesInFlight must not be less';
  return [{ path, rule: 'byte-budget', message, on: 'value' }];
}

/** Where a value stands that has been there before. */
function duplicates(values: readonly unknown[]): number[] {
  return values.flatMap((each, at) => (typeof each === 'string' && values.indexOf(each) < at ? [at] : []));
}

function mapOf(value: unknown): Map {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Map) : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
