/** Builds the transport of a connector, and loads the code of those protocols only that the connectors use. */
import { unreachable } from '../errors.ts';
import type { ConnectorConfig } from '../config/config.ts';
import { sends } from '../routing/connector.ts';
import type { HostMemory, LeaseProvider } from '../transport/smtp/lease-provider.ts';
import type { TokenListener, Transport } from '../transport/transport.ts';

/** What a process shares with others. Without leases a transport counts its own sessions alone. */
interface SmtpContext {
  readonly leases?: LeaseProvider;
  readonly hostMemory?: HostMemory;
  readonly onToken?: TokenListener;
}

/** null for a connector that only receives. Opens no connection. Without leases it may connect as if it were alone. */
export type BuildTransport = (connector: ConnectorConfig, hostname: string, context?: SmtpContext) => Transport | null;

/**
 * Loads what these connectors need. A process without Graph connectors never loads the Graph SDK, which takes longer than
 * most commands. Another set of connectors, after a reload, may need another call.
 */
export async function loadTransports(connectors: readonly ConnectorConfig[]): Promise<BuildTransport> {
  const kinds = new Set(connectors.map(({ transport }) => transport?.kind));
  const smtp = kinds.has('smtp') ? await import('../transport/smtp/smtp.ts') : null;
  const graph = kinds.has('graph') ? await import('../transport/graph/graph.ts') : null;
  return ({ transport, limits, direction, addresses }, hostname, context = {}) => {
    if (transport === null || !sends(direction)) return null;
    const maxConnections = limits.concurrency;
    switch (transport.kind) {
      case 'smtp':
        return smtp!.createSmtpTransport({
          settings: transport.smtp,
          hostname,
          maxConnections,
          ...context,
          serverLimits: {
            recipientsPerTransaction: limits.recipientsPerMessage ?? null,
            messagesPerSession: limits.messagesPerSession ?? null,
          },
        });
      case 'graph':
        return graph!.createGraphTransport({
          settings: transport.graph,
          maxConnections,
          addresses,
          onToken: context.onToken,
        });
      default:
        return unreachable(transport);
    }
  };
}
