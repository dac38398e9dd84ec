/** The part of a configuration that an operator's work needs: who sends what, how long messages live, how long rows are kept. */
import type { ConnectorLimits } from '../routing/connector.ts';
import type { GraphSettings } from '../transport/graph/settings.ts';
import type { SmtpSettings } from '../transport/smtp/settings.ts';
import type { Connector } from '../routing/connector.ts';
import type { RoutingConfig } from './routes.ts';

export interface ConfiguredConnector extends Connector {
  /** null: it only receives. */
  readonly transport:
    | { readonly kind: 'smtp'; readonly smtp: SmtpSettings }
    | { readonly kind: 'graph'; readonly graph: GraphSettings }
    | null;
  readonly limits: ConnectorLimits;
  readonly retry: { readonly lifetimeMs: number };
  /** ms since the epoch; null if that is not known. */
  readonly credentialEndsAt: number | null;
  /** How its mail is signed, here without the key; null: it is not. */
  readonly dkim?: { readonly domain: string; readonly selector: string } | null;
}

export interface AdminConfig extends RoutingConfig {
  readonly connectors: readonly ConfiguredConnector[];
  readonly retry: { readonly lifetimeMs: number };
  readonly retention: { readonly ledgerMs: number };
}

/** A replayed message gets a full lifetime again: that of the connector that will send it, if known. */
export function lifetimeOf({ connectors, retry }: AdminConfig, connector: string | null): number {
  return (connectors.find(({ id }) => id === connector)?.retry ?? retry).lifetimeMs;
}

/** What settling a held message needs. `connector` sends it, if it is sent again. */
export function resolution(
  config: AdminConfig,
  connector: string | null,
  now: number,
): { readonly now: number; readonly lifetimeMs: number; readonly retentionMs: number } {
  return { now, lifetimeMs: lifetimeOf(config, connector), retentionMs: config.retention.ledgerMs };
}
