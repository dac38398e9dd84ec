/** Which transport sends for which connector: built when first needed, replaced when its settings change, closed once. */
import type { Transport } from './transport.ts';

export interface TransportRegistry {
  /** The connector's transport, or null if it has none (it only receives, or is unknown). */
  get(connectorId: string): Transport | null;
  /** Removes these: the next get() builds them again, and the old ones close after their running sends. */
  invalidate(connectorIds: Iterable<string>): void;
  /** Closes all of them, those invalidated before included. get() answers null afterwards. */
  close(): Promise<void>;
}

/** `build` is asked once per connector, and again after invalidate(); it must open no connection. */
export function createRegistry(build: (connectorId: string) => Transport | null): TransportRegistry {
  const transports = new Map<string, Transport>();
  const closing = new Set<Promise<void>>();
  let closed = false;

  const retire = (transport: Transport): void => {
    const done = transport
      .close()
      // A close that fails leaves nothing to do, and must not end the process as an unhandled rejection.
      .catch(() => undefined)
      .finally(() => closing.delete(done));
    closing.add(done);
  };

  return {
    get(connectorId) {
      if (closed) return null;
      const known = transports.get(connectorId);
      if (known !== undefined) return known;
      const built = build(connectorId);
      if (built !== null) transports.set(connectorId, built);
      return built;
    },
    invalidate(connectorIds) {
      for (const connectorId of connectorIds) {
        const transport = transports.get(connectorId);
        if (transport === undefined) continue;
        transports.delete(connectorId);
        retire(transport);
      }
    },
    async close() {
      closed = true;
      for (const transport of transports.values()) retire(transport);
      transports.clear();
      await Promise.all(closing);
    },
  };
}
