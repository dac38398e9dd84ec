/** The validated configuration, with every default filled in and every secret resolved. */
import type { DkimSettings } from '../message/dkim.ts';
import type { MessageLimits, Mailbox } from '../message/message.ts';
import type { Connector, ConnectorLimits, Fallback } from '../routing/connector.ts';
import type { GraphSettings } from '../transport/graph/settings.ts';
import type { ProxyRoute } from '../transport/proxy.ts';
import type { SmtpAuth, SmtpSettings } from '../transport/smtp/settings.ts';
import type { ApiSettings } from './api.ts';
import type { DeliverySettings } from './delivery-words.ts';
import type { EncryptionOptions } from '../sealing/sealing.ts';
import type { RedisConfig } from './redis.ts';
import type { OutboxSettings } from './outbox.ts';
import type { SubmissionSettings } from './submission.ts';
import type { TracingSettings } from './tracing.ts';
import type { UiSettings } from './ui.ts';
import type { WebhookEndpoint } from './webhooks.ts';

export interface IncomingSettings {
  readonly protocol: 'imap' | 'pop3';
  readonly host: string;
  readonly port: number;
  readonly security: 'tls' | 'starttls';
  /** The SMTP session of the connector uses it, too. */
  readonly auth: SmtpAuth;
  /** `ca`: PEM text of private CAs that replace the public ones; `servername`: the name to verify instead of `host`. */
  readonly tls: { readonly ca: string | null; readonly servername: string | null };
  /** The way to the server, and to that of its tokens. Default: directly. */
  readonly proxy?: ProxyRoute | null;
}

/** A mailbox that delivery reports are read from. */
export type ReportMailbox =
  | { readonly protocol: 'imap'; readonly login: Omit<IncomingSettings, 'protocol'> }
  | { readonly protocol: 'graph'; readonly graph: GraphSettings; readonly address: string };

/** A connector's limits, each of them set. */
export interface Limits extends Required<ConnectorLimits> {
  readonly preset: string | null;
}

export type TransportSettings =
  | { readonly kind: 'smtp'; readonly smtp: SmtpSettings }
  | { readonly kind: 'graph'; readonly graph: GraphSettings };

/** When a deferred message is retried, and for how long. */
export interface RetrySettings {
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
  readonly lifetimeMs: number;
  readonly attributeWithinMs: number;
}

/**
 * `onUncertain`: after an attempt whose result is unknown, send again with the same Message-ID, hold the message, or verify
 * whether it was sent. `onUnverified`: if verification is inconclusive.
 */
interface ConnectorRetrySettings extends RetrySettings {
  readonly onUncertain: 'retry' | 'hold' | 'verify';
  readonly onUnverified: 'retry' | 'hold';
}

/** `transport` is null for a connector that only receives. */
export interface ConnectorConfig extends Connector {
  readonly incoming: IncomingSettings | null;
  /** Where delivery reports to it are read; empty if they are not. */
  readonly bounces: readonly ReportMailbox[];
  /** A unique return path for each mail: `bounces+{id}@example.com`; null: the sender's address. */
  readonly bouncePath: string | null;
  /** Signs its mail; null: it does not. */
  readonly dkim: DkimSettings | null;
  readonly transport: TransportSettings | null;
  /** What happens to its mail while it is at fault; null: it waits. */
  readonly fallback: Fallback | null;
  /** Whom it may stand in for beside its own addresses. */
  readonly fallbackFor: readonly string[];
  readonly limits: Limits;
  readonly retry: ConnectorRetrySettings;
  /** When its certificate or secret ends, ms since the epoch; null if that is not known. */
  readonly credentialEndsAt: number | null;
}

/** Where a process listens for HTTP requests; port 0 is a free one. */
interface HttpAddress {
  readonly host: string;
  readonly port: number;
}

export interface Config {
  readonly redis: RedisConfig;
  readonly hostname: string;
  /** A connector id; null is `disabled`. */
  readonly systemDefaultGateway: string | null;
  readonly unmonitoredAddress: Mailbox | null;
  readonly connectors: readonly ConnectorConfig[];
  readonly message: MessageLimits;
  readonly retry: RetrySettings;
  readonly retention: {
    readonly ledgerMs: number;
    /** Of sent messages; 0 is none. */
    readonly contentMs: number;
    readonly deadLetterMs: number;
    readonly deadLetterCount: number;
  };
  /** Who may get mail. */
  readonly delivery: DeliverySettings;
  /** The keys of bodies at rest; null: bodies are stored as they are. */
  readonly encryption: EncryptionOptions | null;
  /** What messages can be found by. */
  readonly index: {
    readonly recipients: boolean;
    readonly from: boolean;
    readonly metadata: readonly string[];
    readonly subject: boolean;
    readonly messageId: boolean;
    readonly buckets: number;
    readonly recipientsPerMessage: number;
  };
  readonly events: { readonly maxBytes: number };
  /** `fromBounces`: reports of addresses that fail for good add entries, which count for `forMs`. */
  readonly suppressions: { readonly fromBounces: boolean; readonly forMs: number };
  readonly worker: {
    /** Messages that one process sends at once. */
    readonly slots: number;
    /** Bytes of mail that one process holds at once. */
    readonly maxBytesInFlight: number;
    /** How long a stop waits for running attempts. */
    readonly drainMs: number;
    /** HTTP port of the health check; null is none. */
    readonly healthPort: number | null;
    readonly healthHost: string;
  };
  readonly metrics: {
    /** null: none. */
    readonly listen: HttpAddress | null;
    /** Connectors with series of their own, at most. */
    readonly connectors: number;
    /** A worker shows the gauges of the fleet, too. */
    readonly global: boolean;
  };
  readonly tracing: TracingSettings;
  readonly api: ApiSettings;
  readonly submission: SubmissionSettings;
  readonly outbox: OutboxSettings;
  readonly ui: UiSettings;
  readonly webhooks: readonly WebhookEndpoint[];
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error' };
}
