/** How a fake Graph is set up: its tenant, apps, mailboxes and limits. */
import type { FakeApp } from './entra.ts';
import type { Delivery, SentItems } from './outbox.ts';
import type { FakeRequest } from './requests.ts';

export interface FakeGraphLimits {
  /** Whole body of a request, bytes. */
  readonly requestBytes: number;
  /** Requests of one app to one mailbox at once. */
  readonly concurrent: number;
  readonly recipients: number;
  readonly uploadMinBytes: number;
  readonly uploadMaxBytes: number;
  readonly uploadRangeBytes: number;
}

/**
 * Exchange Online's, as https://learn.microsoft.com/graph/throttling-limits and
 * https://learn.microsoft.com/graph/outlook-large-attachments give them. Where "MB" could be either, the reading that is
 * harder on clients: 4 MiB for what base64 has to fit in together with its JSON, 3,000,000 bytes for the least upload.
 */
export const exchangeOnlineLimits: FakeGraphLimits = {
  requestBytes: 4 * 1024 * 1024,
  concurrent: 4,
  recipients: 500,
  uploadMinBytes: 3_000_000,
  uploadMaxBytes: 150 * 1024 * 1024,
  uploadRangeBytes: 4 * 1024 * 1024,
};

export interface FakeGraphOptions {
  readonly tenantId?: string;
  /** App registrations. Default: one with a secret; see `app` of the fake. */
  readonly apps?: readonly (Partial<FakeApp> & { readonly clientId: string })[];
  /** Addresses, or addresses with others that they may send as. */
  readonly mailboxes?: readonly (string | { readonly address: string; readonly sendAs?: readonly string[] })[];
  /** Every address of these domains is a mailbox as soon as it is asked for. */
  readonly domains?: readonly string[];
  readonly limits?: Partial<FakeGraphLimits>;
  /** Too large a request: 413 (`refuse`, default), or 200 with nothing sent if it is MIME (`silent`). */
  readonly oversize?: 'refuse' | 'silent';
  readonly sentItems?: SentItems;
  /** Default 3599, as Entra's. */
  readonly tokenLifetimeSeconds?: number;
  /** Awaited before each request is worked on. */
  readonly delay?: (request: FakeRequest) => Promise<void>;
  /** Told of every message that is accepted, with its recipients' copies. */
  readonly onAccepted?: (copies: readonly Delivery[]) => void;
  readonly now?: () => number;
  /** The name in its URLs, and in its certificate. Default: 127.0.0.1. */
  readonly hostname?: string;
  /** Port on 127.0.0.1; by default any that is free. */
  readonly port?: number;
}
