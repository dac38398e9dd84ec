/** What follows when a connector has recovered, or its server bears more: the lane gets its limits back, and it is told. */
import type { Lanes } from '../queue/lanes/lanes.ts';
import type { Listener } from './events.ts';
import type { ConnectorConfig } from './settings.ts';

/** Gives the lane its limits back, as far as its server bears them. */
export async function reportRecovery(
  connector: string,
  how: 'recovered' | 'raised',
  limits: ConnectorConfig['limits'] | undefined,
  lanes: Lanes,
  emit: Listener,
): Promise<void> {
  const concurrency = limits === undefined ? null : await lanes.setLimits(connector, limits);
  const event = how === 'recovered' ? 'connector-recovered' : 'concurrency-raised';
  emit({ event, connector, concurrency, configured: limits?.concurrency ?? null });
}
