/** The rules between keys: combinations of connectors, addresses, gateway and credentials that are not valid. */
import { sends } from '../routing/connector.ts';
import { resolve } from '../routing/resolve.ts';
import { buildRouteTable } from '../routing/table.ts';
import { apiProblems } from './api.ts';
import { bouncePathProblems } from './report-keys.ts';
import { bouncesProblems } from './bounces.ts';
import { deliveryProblems } from './delivery.ts';
import { fallbackProblems, namedAsFallback } from './fallback.ts';
import { encryptionProblems } from './encryption.ts';
import { identityProblems } from './identity.ts';
import type { ConfigRule, Path, Problem } from './issues.ts';
import { authProblems } from './oauth.ts';
import { outboxProblems } from './outbox.ts';
import { redisProblems } from './redis.ts';
import { limitGroupProblems } from './limit-groups.ts';
import { replyRuleProblems } from './reply-rules.ts';
import { connectorIdPattern } from './schema.ts';
import { smtpHostProblems } from './smtp-hosts.ts';
import { routable, type PartialConnector, readPartialConnectors } from './partial-connector.ts';
import { submissionProblems } from './submission.ts';
import { nearest } from './suggest.ts';
import { parseDurationMs } from './units.ts';
import { uiProblems } from './ui.ts';
import { type Show, valueAt } from './validate.ts';
import { mailbox } from './values.ts';
import { webhookProblems } from './webhooks.ts';

/** The value of `systemDefaultGateway` that means none. */
export const disabledGateway = 'disabled';

/** Checks the data of the file rather than the schema's result, so that one mistake does not hide another. */
export function checkRules(
  data: Record<string, unknown>,
  show: Show,
  lineOf: (path: Path) => number,
): { readonly errors: Problem[]; readonly warnings: Problem[] } {
  const connectors = readPartialConnectors(data);
  const all = [
    ...connectors.flatMap((connector) => [
      ...idRule(connector),
      ...transportRules(connector),
      ...authRules(connector),
      ...bouncesRules(connector, data),
    ]),
    ...connectors.flatMap(({ path, hasGraph }) => verifyRule(valueAt(data, [...path, 'onUncertain']), path, hasGraph)),
    ...duplicateAddresses(connectors, show, lineOf),
    ...gatewayRules(data, connectors, show),
    ...connectors.flatMap((connector) => smtpHostProblems(data, connector)),
    ...limitGroupProblems(data, connectors, show),
    ...neverChosen(data['systemDefaultGateway'], connectors, namedAsFallback(data, connectors)),
    ...fallbackProblems(data, connectors),
    ...retryOrder(data, ['retry'], [['retry']]),
    ...redisProblems((...path) => valueAt(data, ['redis', ...path])),
    ...deliveryProblems(data['delivery'], show),
    ...encryptionProblems(data['encryption']),
    ...replyRuleProblems(data['replyRules'], ['replyRules']),
    ...apiProblems(data['api']),
    ...uiProblems(data['ui']),
    ...submissionProblems(data),
    ...outboxProblems((...path) => valueAt(data, ['outbox', ...path])),
    ...connectors.flatMap(({ path }) =>
      [['smtp', 'auth'], ['incoming']].flatMap((keys) => {
        const at = [...path, ...keys];
        return authProblems(valueAt(data, at), at);
      }),
    ),
    ...webhookProblems(data['webhooks']),
    ...connectors.flatMap(({ path }) => {
      const at = [...path, 'graph'];
      const graph = valueAt(data, at);
      return typeof graph === 'object' && graph !== null ? identityProblems(graph as Record<string, unknown>, at) : [];
    }),
    ...connectors.flatMap(({ path }) => {
      const at = [...path, 'replyRules'];
      return replyRuleProblems(valueAt(data, at), at);
    }),
    ...connectors.flatMap(({ path }) => retryOrder(data, [...path, 'retry'], [[...path, 'retry'], ['retry']])),
  ];
  return {
    errors: all.filter(({ rule }) => !warningRules.has(rule)),
    warnings: all.filter(({ rule }) => warningRules.has(rule)),
  };
}

/** The configuration works with these, but probably not as intended. */
const warningRules: ReadonlySet<ConfigRule> = new Set([
  'transport-unused',
  'limit-group-unused',
  'never-chosen',
  'fallback-unfit',
  'security-port',
  'webhook-plain',
  'database-plain',
  'delivery-restricted',
]);

function problem(path: Path, rule: ConfigRule, message: string, on: Problem['on'] = 'value'): Problem[] {
  return [{ path, rule, message, on }];
}

function idRule({ id, path }: PartialConnector): Problem[] {
  if (id !== disabledGateway && new RegExp(connectorIdPattern).test(id)) return [];
  const must = `an id has 1 to 64 lower-case letters, digits, - and _, begins with a letter or digit, and is not "${disabledGateway}"`;
  return problem(path, 'connector-id', must, 'key');
}

function transportRules({ path, direction, smtp, hasGraph }: PartialConnector): Problem[] {
  const both =
    smtp !== null && hasGraph
      ? problem([...path, 'graph'], 'transport-both', 'cannot be combined with smtp; remove one of the two', 'key')
      : [];
  if (direction === null) return both;
  if (sends(direction) && smtp === null && !hasGraph) {
    const message = `is ${direction} but has no way to send; add smtp or graph, or set direction to incoming`;
    return problem(path, 'transport-missing', message, 'key');
  }
  if (!sends(direction) && smtp !== null) {
    const message = 'is not used: an incoming connector never sends; set direction to both, or remove smtp';
    return [...both, ...problem([...path, 'smtp'], 'transport-unused', message, 'key')];
  }
  return both;
}

function verifyRule(onUncertain: unknown, path: Path, hasGraph: boolean): Problem[] {
  if (onUncertain !== 'verify' || hasGraph) return [];
  const message = 'is verify, but an SMTP server cannot be asked what it has sent; write retry or hold';
  return problem([...path, 'onUncertain'], 'on-uncertain', message);
}

function bouncesRules({ path, patterns }: PartialConnector, data: Record<string, unknown>): Problem[] {
  const connector = valueAt(data, path) as Readonly<Record<string, unknown>>;
  const texts = patterns.map(({ pattern }) => pattern);
  return [...bouncesProblems(connector, texts, path), ...bouncePathProblems(connector, path)];
}

function authRules({ path, smtp, hasIncoming }: PartialConnector): Problem[] {
  if (smtp === null) return [];
  const problems: Problem[] = [];
  if (smtp.hasAuth && hasIncoming) {
    const message = 'cannot be combined with incoming, whose user and password the SMTP session uses; remove auth';
    problems.push(...problem([...path, 'smtp', 'auth'], 'auth-beside-incoming', message, 'key'));
  }
  if ((smtp.hasAuth || hasIncoming) && smtp.security === 'none' && !smtp.allowInsecureAuth) {
    const whose = smtp.hasAuth ? 'auth' : 'the credentials of incoming';
    const message = `would send ${whose} over an unencrypted session; use tls or starttls, or set allowInsecureAuth: true`;
    problems.push(...problem([...path, 'smtp', 'security'], 'insecure-auth', message));
  }
  const { port, security } = smtp;
  // RFC 8314 section 3.3: TLS from the first byte at 465, where plain text only meets silence.
  if ((port === 465 && security !== 'tls') || ((port === 587 || port === 25) && security === 'tls')) {
    const usual = port === 465 ? 'tls' : 'starttls';
    const message = `is ${security} at port ${port}, where servers expect ${usual}; remove it unless yours differs`;
    problems.push(...problem([...path, 'smtp', 'security'], 'security-port', message));
  }
  return problems;
}

function duplicateAddresses(
  connectors: readonly PartialConnector[],
  show: Show,
  lineOf: (path: Path) => number,
): Problem[] {
  const owners = new Map<string, { id: string; path: Path }>();
  return connectors.flatMap(({ id, direction, patterns }) => {
    if (direction === null || !sends(direction)) return [];
    return patterns.flatMap(({ pattern, path }) => {
      const owner = owners.get(pattern);
      owners.set(pattern, owner ?? { id, path });
      if (owner === undefined || owner.id === id) return [];
      const message = `${show(path, pattern) ?? 'this address'} already belongs to connector ${owner.id} (line ${lineOf(owner.path)}); only one can send for it`;
      return problem(path, 'duplicate-address', message);
    });
  });
}

function gatewayRules(data: Record<string, unknown>, connectors: readonly PartialConnector[], show: Show): Problem[] {
  const path = ['systemDefaultGateway'];
  const id = data['systemDefaultGateway'];
  if (typeof id !== 'string' || id === '') return [];
  if (id === disabledGateway) return disabledRules(data, connectors, show);
  const ids = Object.keys(Object(data['connectors']) as object);
  if (!ids.includes(id)) {
    const shown = show(path, id);
    const near = shown === null ? null : nearest(id, ids);
    const hint = near === null ? `name one of the connectors, or write "${disabledGateway}"` : `did you mean ${near}?`;
    return problem(path, 'default-gateway-unknown', `${shown ?? 'it'} is not a connector; ${hint}`);
  }
  return connectors.some((connector) => connector.id === id && connector.direction === 'incoming')
    ? problem(
        path,
        'default-gateway-incoming',
        `${show(path, id) ?? 'it'} is an incoming connector, which never sends; name one that sends`,
      )
    : [];
}

function disabledRules(data: Record<string, unknown>, connectors: readonly PartialConnector[], show: Show): Problem[] {
  const from = data['unmonitoredAddress'];
  if (from === undefined) {
    const message =
      'is disabled, which requires an unmonitoredAddress that a sending connector matches; set it, or name a connector';
    return problem(['systemDefaultGateway'], 'unmonitored-address-missing', message);
  }
  const parsed = mailbox.safeParse(from);
  // A connector that could not be read might match.
  if (!parsed.success || connectors.some(({ unclear }) => unclear)) return [];
  const route = resolve(buildRouteTable(routable(connectors), null), parsed.data.address);
  if (route.connector !== null) return [];
  const path = ['unmonitoredAddress'];
  const message = `${show(path, from) ?? 'it'} matches no sending connector, and the system default gateway is disabled; add it to a connector, or name a gateway`;
  return problem(path, 'unmonitored-address-unmatched', message);
}

function neverChosen(
  gateway: unknown,
  connectors: readonly PartialConnector[],
  fallbacks: ReadonlySet<string>,
): Problem[] {
  if (gateway !== disabledGateway && !connectors.some(({ id }) => id === gateway)) return [];
  return connectors
    .filter(({ id, direction, patterns, unclear }) => {
      if (unclear || direction === null || !sends(direction)) return false;
      return patterns.length === 0 && gateway !== id && !fallbacks.has(id);
    })
    .flatMap(({ path }) => {
      const message =
        'is never chosen: it has no address and is not the system default gateway; add addresses, or remove it';
      return problem(path, 'never-chosen', message, 'key');
    });
}

/** Each value comes from the first of `places` that has it: the connector's, then the general one. */
function retryOrder(data: Record<string, unknown>, own: Path, places: readonly Path[]): Problem[] {
  const keys = ['firstDelay', 'maxDelay', 'lifetime'] as const;
  const found = keys.map((key, at) => {
    const path = places.map((place) => [...place, key]).find((place) => valueAt(data, place) !== undefined);
    const text = path === undefined ? retryDefaults[at] : valueAt(data, path);
    return { key, path, ms: typeof text === 'string' ? parseDurationMs(text) : null };
  });
  return found.slice(1).flatMap((longer, at) => {
    const shorter = found[at]!;
    if (shorter.ms === null || longer.ms === null || shorter.ms <= longer.ms) return [];
    // Reported once, where one of the two is written.
    const path = [shorter.path, longer.path].find((path) => path !== undefined && path.length === own.length + 1);
    return path === undefined
      ? []
      : problem(path, 'retry-order', `${shorter.key} must not be longer than ${longer.key}`);
  });
}

const retryDefaults = ['30s', '1h', '24h'];
