/** The transports of a worker: one per connector, made when it is first needed and handed the connector's session leases. */
import type { Sessions } from '../queue/sessions/leases.ts';
import { createRegistry, type TransportRegistry } from '../transport/registry.ts';
import type { HostMemory, LeaseProvider } from '../transport/smtp/lease-provider.ts';
import type { TokenListener, Transport } from '../transport/transport.ts';
import type { Listener } from './events.ts';
import type { ConnectorConfig } from './settings.ts';

export interface TransportContext {
  /** The EHLO name; '' if none is configured. */
  readonly hostname: string;
  /** As many sessions as the connector may have, over all workers. A transport without connections need not take any. */
  readonly leases: LeaseProvider;
  /** Which hosts of the connector could not be used, as all workers know. */
  readonly hostMemory: HostMemory;
  /** To be told of requests for access tokens, for metrics. */
  readonly onToken: TokenListener;
}

/** Makes the transport of a connector, and opens no connection. Null: this process cannot send for it. */
export type CreateTransport = (connector: ConnectorConfig, context: TransportContext) => Transport | null;

export function createTransports(
  create: CreateTransport,
  sessions: Pick<Sessions, 'of' | 'hosts'>,
  /** undefined: this process does not know the connector, or it never sends. */
  senderOf: (connectorId: string) => ConnectorConfig | undefined,
  hostname: () => string,
  emit: Listener,
): TransportRegistry {
  return createRegistry((id) => {
    const connector = senderOf(id);
    if (connector === undefined) return null;
    const leases = sessions.of(id, connector.limits.concurrency);
    const onToken: TokenListener = (provider, outcome) => emit({ event: 'token', connector: id, provider, outcome });
    return create(connector, { hostname: hostname(), leases, hostMemory: sessions.hosts(id), onToken });
  });
}
