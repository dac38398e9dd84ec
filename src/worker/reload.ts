/** What a new configuration changes for the connectors that stay: the one place that compares two configurations. Pure. */
import { isDeepStrictEqual } from 'node:util';
import type { ConnectorConfig, WorkerConfig } from './settings.ts';

export interface ConnectorChanges {
  /** Their transports are made anew; the old ones are closed after their running sends. Removed connectors are among them. */
  readonly transports: readonly string[];
  /** Their settings for the server changed: they deserve a try at once. This is how a latched wrong password ends. */
  readonly settings: readonly string[];
  /** Only their limits changed. */
  readonly limits: readonly string[];
}

export function changesBetween(before: WorkerConfig, after: WorkerConfig): ConnectorChanges {
  const now = new Map(after.connectors.map((connector) => [connector.id, connector]));
  const pairs = before.connectors.map((was) => ({ id: was.id, was, is: now.get(was.id) }));
  const differ = (of: (connector: ConnectorConfig) => unknown): string[] =>
    pairs.flatMap(({ id, was, is }) => (is === undefined || isDeepStrictEqual(of(was), of(is)) ? [] : [id]));
  const settings = differ(({ transport }) => transport);
  const built = ({ transport, addresses, direction, limits: { concurrency } }: ConnectorConfig): unknown => ({
    transport,
    addresses,
    direction,
    concurrency,
  });
  const removed = pairs.flatMap(({ id, is }) => (is === undefined ? [id] : []));
  const all = before.hostname === after.hostname ? [...removed, ...differ(built)] : pairs.map(({ id }) => id);
  return {
    transports: all,
    settings,
    limits: differ(({ limits }) => limits).filter((id) => !settings.includes(id)),
  };
}
