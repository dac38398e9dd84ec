/** Who looks after fallbacks, and what is noted of a connector whose mail goes by another one. */
import { run, script } from '../lua/script.ts';
import type { LaneContext } from './context.ts';
import { recordScript } from './fallback-scripts.ts';
import type { FallbackRecord } from './fallback-states.ts';

/** One process at a time looks after fallbacks: the one that did so last, while it lives. → 1 if it is this one. @lua */
export const leadScript = script(
  { keys: ['lease'], args: ['name', 'leaseMs'], allowOom: true },
  /* lua */ `
local holder = redis.call('GET', lease)
if holder and holder ~= name then return 0 end
redis.call('SET', lease, name, 'PX', leaseMs)
return 1
`,
);

/** Ends it, if it is its own. @lua */
export const unleadScript = script(
  { keys: ['lease'], args: ['name'], allowOom: true },
  /* lua */ `
if redis.call('GET', lease) == name then redis.call('DEL', lease) end
return 0
`,
);

interface NewRecord {
  readonly kind: 'began' | 'goes-on' | 'ended';
  readonly to: string;
  readonly fault: string;
  readonly reply: string;
  readonly healthy: FallbackRecord['healthy'];
}

export interface FallbackNotes {
  /** Whether this process looks after fallbacks for the next `leaseMs`. */
  lead(name: string, leaseMs: number): Promise<boolean>;
  endLead(name: string): Promise<void>;
  /** → whether the connector's mail goes by another one now. */
  note(connectorId: string, record: NewRecord): Promise<boolean>;
}

export function createFallbackNotes({ redis, shards, shardKeys }: LaneContext): FallbackNotes {
  return {
    lead: async (name, leaseMs) =>
      (await run(redis, leadScript, { keys: { lease: shards.home.failover }, args: { name, leaseMs } })) === 1,

    async endLead(name) {
      await run(redis, unleadScript, { keys: { lease: shards.home.failover }, args: { name } });
    },

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
