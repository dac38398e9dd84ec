/** The section `webhooks`: who is told of events by HTTP, signed with which secrets; its schema, settings and rules. */
import { z } from 'zod';
import type { Path, Problem } from './issues.ts';
import * as value from './values.ts';

/** Most endpoints: each has a connection to Redis and a place in the events of its own. */
const maxEndpoints = 50;
const maxTypes = 50;

export interface WebhookEndpoint {
  readonly id: string;
  readonly url: string;
  /** `whsec_` and base64; each of them signs every delivery. */
  readonly secrets: readonly string[];
  /** Types of events, or patterns that end in `.*`; `*` is all. */
  readonly types: readonly string[];
  readonly recipients: 'full' | 'masked' | 'none';
  readonly ordered: boolean;
  /** PEM text; null: the public CAs. */
  readonly ca: string | null;
}

/** Where an event is sent to. What it may resolve to is checked when a connection is made. */
const webhookUrl = value.textAs('webhook-url', (text): value.Reading<string> => {
  const url = URL.parse(text);
  const good = url !== null && ['http:', 'https:'].includes(url.protocol) && text.length <= 2_000;
  if (!good) return { must: 'must be https:// or http://, a host, and at most 2,000 characters in all' };
  return url.username === '' && url.password === ''
    ? { value: url.href }
    : { must: 'must not have a user or a password in it; the signature shows who sends' };
});

/** Standard Webhooks 1.0.0: `whsec_` and the base64 of 24 to 64 bytes. */
const webhookSecret = value.textAs('webhook-secret', (text): value.Reading<string> => {
  const base64 = text.startsWith('whsec_') ? text.slice('whsec_'.length) : '';
  const bytes = Buffer.from(base64, 'base64');
  const good = bytes.toString('base64') === base64 && bytes.length >= 24 && bytes.length <= 64;
  return good ? { value: text } : { must: 'must be whsec_ and the base64 of 24 to 64 random bytes' };
});

/** The beginnings of types of events that a pattern can name. */
const eventFamilies = ['message', 'connector', 'config'];

const eventPattern = value.textAs('event-type', (text): value.Reading<string> => {
  const [, family = '', kind = ''] = /^([a-z]{1,20})\.(\*|[a-z-]{1,40})$/.exec(text) ?? [];
  return text === '*' || (eventFamilies.includes(family) && kind !== '')
    ? { value: text }
    : { must: 'must be a type of events (message.sent), a family of them (message.*), or *' };
});

const endpoint = z.strictObject({
  id: value.tokenId.describe(
    'Name of the endpoint in commands and in the log. It keeps its place in the events by it.',
  ),
  url: webhookUrl.describe('Where events are sent to, as `https://…`. Link-local and metadata addresses are refused.'),
  secret: webhookSecret.optional().describe('Secret that signs, as `whsec_…`; short for one in `secrets`.'),
  secrets: z
    .array(webhookSecret)
    .min(1)
    .max(2)
    .optional()
    .describe('One secret, or two while one replaces the other: each of them signs every event.'),
  types: z
    .array(eventPattern)
    .min(1)
    .max(maxTypes)
    .default(['message.*'])
    .describe(
      'Which events: `message.sent`, `message.*`, `connector.*` or `*`. `message.accepted` has to be named itself; a `gap` is always sent.',
    ),
  recipients: z
    .enum(['full', 'masked', 'none'])
    .default('full')
    .describe('Recipients in events of messages: `masked` is without the local part and replies.'),
  ordered: z
    .boolean()
    .default(false)
    .describe('Whether the events of one message wait for each other: a later one until the earlier is delivered.'),
  ca: value.certificates
    .optional()
    .describe('Private CAs instead of the public ones: PEM text, or the path of a `.pem` or `.crt` file.'),
});

export const webhooks = z
  .array(endpoint)
  .max(maxEndpoints)
  .default([])
  .describe('Who is told of events; `postlane serve` and `postlane worker --serve` send them.');

export function buildWebhooks(file: z.output<typeof webhooks>): WebhookEndpoint[] {
  return file.map(({ secret, secrets, ca, ...rest }) => ({
    ...rest,
    secrets: secrets ?? (secret === undefined ? [] : [secret]),
    ca: ca ?? null,
  }));
}

/** Places where a path may stand for PEM text. */
export function webhookPemPlaces(section: unknown): Path[] {
  return (Array.isArray(section) ? section : []).map((_, at): Path => ['webhooks', at, 'ca']);
}

/** Takes the data of the file as it is written: one mistake must not hide another. */
export function webhookProblems(section: unknown): Problem[] {
  const endpoints = (Array.isArray(section) ? section : []).map((each): Readonly<Record<string, unknown>> =>
    typeof each === 'object' && each !== null ? (each as Record<string, unknown>) : {},
  );
  const ids = endpoints.map(({ id }) => id);
  return endpoints.flatMap(({ id, url, secret, secrets }, at): Problem[] => {
    const problem = (key: string, rule: Problem['rule'], message: string, on: Problem['on']): Problem[] => [
      { path: ['webhooks', at, key], rule, message, on },
    ];
    return [
      ...(typeof id === 'string' && ids.indexOf(id) < at
        ? problem('id', 'duplicate-webhook', 'is the id of another endpoint; each has its own', 'value')
        : []),
      ...((secret === undefined) === (secrets === undefined)
        ? problem(
            secret === undefined ? 'secret' : 'secrets',
            'webhook-secrets',
            secret === undefined
              ? 'is missing: an endpoint has `secret`, or `secrets` with one or two'
              : 'cannot be combined with `secret`; keep one of the two',
            'key',
          )
        : []),
      ...(typeof url === 'string' && /^http:/i.test(url)
        ? problem('url', 'webhook-plain', 'is plain HTTP, where others can read the events; use https', 'value')
        : []),
    ];
  });
}
