/** What a worker needs to know of the configuration. The configuration's own type satisfies it; no room imports `config`. */
import type { Mailbox, MessageLimits } from '../message/message.ts';
import type { Connector } from '../routing/connector.ts';

/** How a connector's mail is tried. Times in ms. */
export interface SendPolicy {
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
  readonly lifetimeMs: number;
  /** After an attempt whose result is not known: make it again (same Message-ID), hold the message for an operator, or verify first. */
  readonly onUncertain: 'retry' | 'hold' | 'verify';
  /** If verification is inconclusive. Default `hold`. */
  readonly onUnverified?: 'retry' | 'hold';
}

interface ByteWindow {
  readonly bytes: number;
  readonly windowMs: number;
}

export interface ConnectorLimits {
  readonly concurrency: number;
  readonly messagesPerMinute: number | null;
  /** Within any 24 hours, over all workers; null is unlimited. */
  readonly recipientsPerDay?: number | null;
  /** Bytes of mail within any window of that length, over all workers; null is unlimited. */
  readonly bytesPerWindow?: ByteWindow | null;
  /** Bytes of a mail as it is sent; null is what the server takes. */
  readonly maxBytes?: number | null;
}

export interface ConnectorConfig extends Connector {
  /** null for one that only receives; what else it holds is the transport factory's. */
  readonly transport: unknown;
  readonly limits: ConnectorLimits;
  readonly retry: SendPolicy;
}

export interface WorkerConfig {
  /** The EHLO name. A transport that was made under another name is replaced. */
  readonly hostname?: string;
  readonly systemDefaultGateway: string | null;
  readonly unmonitoredAddress: Mailbox | null;
  readonly connectors: readonly ConnectorConfig[];
  readonly message: MessageLimits;
  readonly retry: { readonly lifetimeMs: number };
  readonly retention: { readonly ledgerMs: number; readonly deadLetterMs: number; readonly deadLetterCount: number };
  readonly worker: {
    readonly slots: number;
    readonly drainMs: number;
    /** Of mail, in one process. Default: without bounds. */
    readonly maxBytesInFlight?: number;
  };
}
