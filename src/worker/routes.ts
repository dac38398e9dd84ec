/** The configuration in force with its table of routes, and which connector sends a message by it. Pure. */
import type { Message } from '../message/message.ts';
import type { IdStatus } from '../queue/ledger/ledger.ts';
import { sends, type Route } from '../routing/connector.ts';
import { resolve } from '../routing/resolve.ts';
import { buildRouteTable, type RouteTable } from '../routing/table.ts';
import { deliveryRulesOf } from './delivery-rules.ts';
import type { ConnectorConfig, DeliveryRules, WorkerConfig } from './settings.ts';

/** The configuration with its table; swapped as one when it is reloaded. */
export interface Routing {
  readonly config: WorkerConfig;
  /** The connectors that send, by id. */
  readonly senders: ReadonlyMap<string, ConnectorConfig>;
  readonly table: RouteTable;
  readonly delivery: DeliveryRules | null;
}

export function routingOf(config: WorkerConfig): Routing {
  const senders = config.connectors.filter(({ direction }) => sends(direction));
  return {
    config,
    senders: new Map(senders.map((connector) => [connector.id, connector])),
    table: buildRouteTable(config.connectors, config.systemDefaultGateway),
    delivery: config.delivery === undefined ? null : deliveryRulesOf(config.delivery),
  };
}

/** The connector that an operator named, then or with the message (`via`), else the one of the From address, else why there is none. */
export function connectorFor(
  message: Pick<Message, 'from'>,
  status: IdStatus,
  { config, senders, table }: Routing,
  via?: string,
): { readonly connector: string; readonly rule: string } | { readonly why: string } {
  const named = (status.kind === 'requeued' ? status.via : null) ?? via ?? null;
  if (named !== null) {
    if (senders.has(named)) return { connector: named, rule: 'via' };
    const known = config.connectors.some(({ id }) => id === named);
    return { why: `the connector ${named} that was asked for ${known ? 'never sends' : 'is not configured'}` };
  }
  if (message.from === undefined) {
    return { why: 'the message has no From, and unmonitoredAddress is not configured' };
  }
  const route: Route = resolve(table, message.from.address);
  if (route.connector !== null) return { connector: route.connector, rule: route.rule };
  const over = route.passedOver.map(({ connector, why }) => `; ${connector} was passed over: ${why}`).join('');
  return { why: `no connector sends for ${message.from.address}, and systemDefaultGateway is disabled${over}` };
}
