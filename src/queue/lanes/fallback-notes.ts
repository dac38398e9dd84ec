/** Who looks after fallbacks, and what is noted of a connector whose mail goes by another one. */
import { endLease, hasLease } from '../lua/lease.ts';
import { run } from '../lua/script.ts';
import type { LaneContext } from './context.ts';
import { recordScript } from './fallback-scripts.ts';
import type { FallbackRecord } from './fallback-states.ts';

interface NewRecord {
  readonly kind: 'began' | 'goes-on' | 'ended';
  readonly to: string;
  readonly fault: string;
  readonly reply: string;
  readonly healthy: FallbackRecord['healthy'];
}

export interface FallbackNotes {
  /** Whether this process looks after fallbacks for the next `leaseMs`: the one that did so last does, while it lives. */
  lead(name: string, leaseMs: number): Promise<boolean>;
  endLead(name: string): Promise<void>;
  /** → whether the connector's mail goes by another one now. */
  note(connectorId: string, record: NewRecord): Promise<boolean>;
}

export function createFallbackNotes({ redis, shards, shardKeys }: LaneContext): FallbackNotes {
  return {
    lead: (name, leaseMs) => hasLease(redis, shards.home.failover, name, leaseMs),
    endLead: (name) => endLease(redis, shards.home.failover, name),

    async note(connectorId, { kind, to, fault, reply, healthy }) {
      const keys = shardKeys(connectorId);
      const answer = await run(redis, recordScript, {
        keys: { record: keys.fallback(connectorId), faults: keys.connector(connectorId) },
        args: {
          prefix: keys.prefix,
          kind,
          connector: connectorId,
          to,
          fault,
          reply,
          healthyAt: healthy?.at ?? '',
          sentAt: healthy?.sent ?? '',
        },
      });
      return answer === 1;
    },
  };
}
