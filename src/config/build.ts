/** Turns a valid file into the configuration: defaults filled in, durations in ms, credentials where they are used. */
import { buildApi } from './api.ts';
import { buildBounces, takesRequests } from './bounces.ts';
import type { Config, ConnectorConfig, IncomingSettings, Limits, RetrySettings, TransportSettings } from './config.ts';
import { credentialEndOf } from './credential-end.ts';
import { buildDelivery } from './delivery.ts';
import { buildFallback } from './fallback-keys.ts';
import { buildEncryption } from './encryption.ts';
import { buildGraph } from './graph.ts';
import { buildIncoming } from './incoming.ts';
import { buildGroup } from './limit-groups.ts';
import { buildOAuth } from './oauth.ts';
import { buildOutbox } from './outbox.ts';
import { defaultConcurrency, defaultGraphConcurrency, presets } from './presets.ts';
import { buildRoute } from './proxy.ts';
import { buildRedis } from './redis.ts';
import { disabledGateway } from './rules.ts';
import type { ConfigFile, ConnectorFile } from './schema.ts';
import { buildReplyRule } from './reply-rules.ts';
import { buildDkim } from './smtp.ts';
import { buildSubmission } from './submission.ts';
import { buildSuppressions } from './suppressions.ts';
import { portFor, securityFor } from './partial-connector.ts';
import { buildWebhooks } from './webhooks.ts';
import { sends } from '../routing/connector.ts';
import type { ProxyRoute } from '../transport/proxy.ts';
import type { SmtpAuth, SmtpSettings } from '../transport/smtp/settings.ts';

/** `environment`: the way of connectors that say nothing of one. */
export function buildConfig(file: ConfigFile, environment: ProxyRoute | null): Config {
  const { hostname, systemDefaultGateway, unmonitoredAddress, message, retention, worker } = file;
  return {
    redis: buildRedis(file.redis),
    hostname,
    systemDefaultGateway: systemDefaultGateway === disabledGateway ? null : systemDefaultGateway,
    unmonitoredAddress: unmonitoredAddress ?? null,
    connectors: Object.entries(file.connectors).map(([id, connector]) =>
      buildConnector(id, connector, file, environment),
    ),
    message: { maxRecipients: message.maxRecipients, maxBytes: message.maxSize },
    retry: buildRetry(file.retry),
    retention: {
      ledgerMs: retention.ledger,
      contentMs: retention.content,
      deadLetterMs: retention.deadLetters,
      deadLetterCount: retention.deadLetterCount,
    },
    worker: {
      slots: worker.slots,
      maxBytesInFlight: worker.maxBytesInFlight,
      drainMs: worker.drain,
      healthPort: worker.health.port ?? null,
      healthHost: worker.health.host,
    },
    delivery: buildDelivery(file.delivery),
    encryption: buildEncryption(file.encryption),
    index: file.index,
    events: file.events,
    suppressions: buildSuppressions(file.suppressions),
    metrics: file.metrics,
    tracing: { propagate: file.tracing.propagate, parentWithinMs: file.tracing.parentWithin },
    api: buildApi(file.api),
    submission: buildSubmission(file.submission),
    outbox: buildOutbox(file.outbox),
    ui: file.ui,
    webhooks: buildWebhooks(file.webhooks),
    log: file.log,
  };
}

function buildConnector(
  id: string,
  file: ConnectorFile,
  general: ConfigFile,
  environment: ProxyRoute | null,
): ConnectorConfig {
  const route = buildRoute(file.proxy, environment);
  const incoming = file.incoming === undefined ? null : buildIncoming(file.incoming, route);
  const written = [...(file.address === undefined ? [] : [file.address]), ...(file.addresses ?? [])];
  const addresses = [...new Set(written)];
  const transport = sends(file.direction) ? buildTransport(file, incoming, general.replyRules, route) : null;
  return {
    id,
    direction: file.direction,
    addresses,
    incoming,
    bounces: buildBounces(file, incoming, addresses, route),
    bouncePath: file.bouncePath ?? null,
    dkim: sends(file.direction) ? buildDkim(file.smtp?.dkim) : null,
    transport,
    limits: {
      ...buildLimits(file.limits, file.graph !== undefined, takesRequests(file) ? 1 : 0),
      group: buildGroup(general.limitGroups, file.limits.group),
    },
    fallback: sends(file.direction) ? buildFallback(file) : null,
    fallbackFor: file.fallbackFor ?? [],
    // Exchange delivers each copy that Graph accepts; an SMTP receiver may drop a second copy by its Message-ID.
    retry: {
      ...buildRetry(general.retry),
      ...buildRetry(file.retry),
      onUncertain: file.onUncertain ?? (file.graph === undefined ? 'retry' : 'verify'),
      onUnverified: file.onUnverified,
    },
    credentialEndsAt: credentialEndOf(transport, file.expires ?? null),
  };
}

function buildTransport(
  file: ConnectorFile,
  incoming: IncomingSettings | null,
  generalRules: ConfigFile['replyRules'],
  route: ProxyRoute | null,
): TransportSettings | null {
  if (file.graph !== undefined) return { kind: 'graph', graph: buildGraph(file.graph, route) };
  if (file.smtp === undefined) return null;
  const replyRules = [...file.replyRules, ...generalRules].map(buildReplyRule);
  return { kind: 'smtp', smtp: { ...buildSmtp(file.smtp, incoming, route), replyRules } };
}

function buildSmtp(
  file: NonNullable<ConnectorFile['smtp']>,
  incoming: IncomingSettings | null,
  route: ProxyRoute | null,
): Omit<SmtpSettings, 'replyRules'> {
  const security = file.security ?? securityFor(file.port ?? null);
  const mailboxAuth = incoming?.auth ?? null;
  const port = file.port ?? portFor(security);
  const hosts = (file.hosts ?? []).map((each) => ({
    host: each.host,
    port: each.port ?? port,
    weight: each.weight ?? null,
  }));
  return {
    host: hosts[0]?.host ?? file.host ?? '',
    port: hosts[0]?.port ?? port,
    ...(hosts.length > 1 ? { hosts } : {}),
    security,
    auth: file.auth === undefined ? mailboxAuth : buildAuth(file.auth, route),
    proxy: route,
    allowInsecureAuth: file.allowInsecureAuth,
    localAddress: file.localAddress,
    tls: { ca: file.tls.ca ?? null, servername: file.tls.servername ?? null },
    timeouts: {
      connectMs: file.timeouts.connect,
      greetingMs: file.timeouts.greeting,
      commandMs: file.timeouts.command,
      dataTerminationMs: file.timeouts.dataTermination,
      totalMs: file.timeouts.total,
    },
  };
}

function buildAuth(
  { user, password = '', oauth2 }: NonNullable<NonNullable<ConnectorFile['smtp']>['auth']>,
  route: ProxyRoute | null,
): SmtpAuth {
  return oauth2 === undefined ? { user, password } : { user, oauth2: buildOAuth(oauth2, route) };
}

/** `reserved`: requests to Graph that are not for sending. */
function buildLimits(file: ConnectorFile['limits'], throughGraph: boolean, reserved: number): Omit<Limits, 'group'> {
  const preset = file.preset === undefined ? null : presets[file.preset];
  return {
    preset: file.preset ?? null,
    concurrency:
      file.concurrency ??
      (throughGraph
        ? (preset?.graphConcurrency ?? preset?.concurrency ?? defaultGraphConcurrency) - reserved
        : (preset?.concurrency ?? defaultConcurrency)),
    messagesPerMinute: file.messagesPerMinute ?? preset?.messagesPerMinute ?? null,
    recipientsPerDay: file.recipientsPerDay ?? preset?.recipientsPerDay ?? null,
    bytesPerWindow: file.bytes ?? (throughGraph ? preset?.graphBytes : undefined) ?? null,
    maxBytes: file.maxSize ?? preset?.maxBytes ?? null,
    recipientsPerMessage:
      file.recipientsPerMessage ?? (throughGraph ? undefined : preset?.recipientsPerMessage) ?? null,
    messagesPerSession: file.messagesPerSession ?? null,
  };
}

/** Only the keys that are set, so that a connector's settings override the general ones. */
function buildRetry(file: ConfigFile['retry']): RetrySettings;
function buildRetry(file: ConnectorFile['retry']): Partial<RetrySettings>;
function buildRetry(file: ConnectorFile['retry']): Partial<RetrySettings> {
  return {
    ...(file.firstDelay === undefined ? {} : { firstDelayMs: file.firstDelay }),
    ...(file.maxDelay === undefined ? {} : { maxDelayMs: file.maxDelay }),
    ...(file.lifetime === undefined ? {} : { lifetimeMs: file.lifetime }),
    ...(file.attributeWithin === undefined ? {} : { attributeWithinMs: file.attributeWithin }),
  };
}
