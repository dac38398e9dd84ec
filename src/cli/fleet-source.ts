/** Reads the fleet from Redis for metrics: at most once every few seconds however often it is asked, and null while Redis is away. */
import { withTimeout } from '../async/timeout.ts';
import type { FleetSnapshot } from '../admin/fleet.ts';
import type { Operator } from '../admin/operator.ts';
import type { Config } from '../config/config.ts';
import type { FleetSource } from '../metrics/metrics.ts';
import { sends } from '../routing/connector.ts';

export interface FleetSourceOptions {
  readonly operator: () => Promise<Operator>;
  /** In force now. */
  readonly config: () => Config;
  readonly now?: () => number;
}

/** A snapshot is shown for so long, in ms: several Prometheus servers, or dashboards, cost Redis no more than one. */
const freshMs = 5_000;
/** And that there was none, for so long. */
const absentMs = 1_000;
/** Prometheus waits 10 s by default. */
const readMs = 8_000;

export function createFleetSource({ operator, config, now = Date.now }: FleetSourceOptions): FleetSource {
  let latest: Promise<FleetSnapshot | null> | null = null;
  let freshUntil = 0;

  const readNow = async (): Promise<FleetSnapshot | null> => {
    try {
      const { connectors, metrics } = config();
      const senders = connectors.filter(({ direction }) => sends(direction));
      const question = { senders, most: metrics.connectors };
      return await withTimeout(
        async () => (await operator()).fleet(question),
        readMs,
        () => new Error('too slow'),
      );
    } catch {
      return null;
    }
  };
  return {
    read() {
      if (latest !== null && now() < freshUntil) return latest;
      freshUntil = Infinity;
      latest = readNow();
      void latest.then((snapshot) => (freshUntil = now() + (snapshot === null ? absentMs : freshMs)));
      return latest;
    },
    credentials: () =>
      config().connectors.flatMap(({ id, credentialEndsAt }) =>
        credentialEndsAt === null ? [] : [{ connectorId: id, endsAt: credentialEndsAt }],
      ),
    connectors: () => config().metrics.connectors,
  };
}
