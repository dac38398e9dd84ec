/** Session leases over several shards: each connector's beside its faults, which say how many sessions its server bears now. */
import type { Sessions } from './sessions/leases.ts';
import type { Shards } from './redis/shards.ts';

export function shardSessions(sessions: readonly Sessions[], shards: Pick<Shards, 'of'>): Sessions {
  const at = (connectorId: string): Sessions => sessions[shards.of(connectorId)]!;
  return {
    of: (connectorId, limit) => at(connectorId).of(connectorId, limit),
    recall: (connectorId) => at(connectorId).recall(connectorId),
    hear: (message) => at(message.slice(1).split(' ')[0] ?? '').hear(message),
    async close() {
      await Promise.all(sessions.map((each) => each.close()));
    },
  };
}
