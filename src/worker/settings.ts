/** What a worker needs to know of the configuration. The configuration's own type satisfies it; no room imports `config`. */
import type { DkimSettings } from '../message/dkim.ts';
import type { Mailbox, MessageLimits } from '../message/message.ts';
import type { IndexSettings } from '../queue/journal/index-entries.ts';
import type { EncryptionOptions } from '../sealing/sealing.ts';
import type { Connector, ConnectorLimits } from '../routing/connector.ts';

/** How a connector's mail is tried. Times in ms. */
export interface SendPolicy {
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
  readonly lifetimeMs: number;
  /** How long a refusal waits for other messages to show whose fault it is, before it is believed. Default: an hour. */
  readonly attributeWithinMs?: number;
  /** After an attempt whose result is not known: make it again (same Message-ID), hold the message for an operator, or verify first. */
  readonly onUncertain: 'retry' | 'hold' | 'verify';
  /** If verification is inconclusive. Default `hold`. */
  readonly onUnverified?: 'retry' | 'hold';
}

/** Who may get mail, as it is configured: patterns in their compare form; null is everyone, or none where mail is redirected. */
export interface DeliverySettings {
  readonly redirectTo: string | null;
  readonly allowRecipients: readonly string[] | null;
}

/** Who may get mail of this installation, where not everyone may. */
export interface DeliveryRules {
  readonly allows: (address: string) => boolean;
  /** Who gets the copies of the others; null: those are suppressed. */
  readonly redirectTo: string | null;
}

export interface ConnectorConfig extends Connector {
  /** null for one that only receives; what else it holds is the transport factory's. */
  readonly transport: unknown;
  readonly limits: ConnectorLimits;
  readonly retry: SendPolicy;
  /** A unique return path for each mail: `bounces+{id}@example.com`. Default: the sender's address. */
  readonly bouncePath?: string | null;
  /** Signs its mail. Default: it does not. */
  readonly dkim?: DkimSettings | null;
}

export interface WorkerConfig {
  /** The EHLO name. A transport that was made under another name is replaced. */
  readonly hostname?: string;
  readonly systemDefaultGateway: string | null;
  readonly unmonitoredAddress: Mailbox | null;
  readonly connectors: readonly ConnectorConfig[];
  readonly message: MessageLimits;
  readonly retry: { readonly lifetimeMs: number };
  /** Default: everyone gets their mail. */
  readonly delivery?: DeliverySettings;
  readonly retention: {
    readonly ledgerMs: number;
    readonly deadLetterMs: number;
    readonly deadLetterCount: number;
    /** How long the content of a sent message is kept. Default: 0, not at all. */
    readonly contentMs?: number;
  };
  /** What messages are found by. Default: recipients, and Message-IDs. */
  readonly index?: IndexSettings;
  /** The keys of bodies. Default: none; bodies are stored as they are. */
  readonly encryption?: EncryptionOptions | null;
  /** Bytes of events that wait for their readers, over all shards. Default: 64 MiB. */
  readonly events?: { readonly maxBytes: number };
  /** Default: 60 s. */
  readonly tracing?: { readonly parentWithinMs: number };
  readonly worker: {
    readonly slots: number;
    readonly drainMs: number;
    /** Of mail, in one process. Default: without bounds. */
    readonly maxBytesInFlight?: number;
  };
}
