/** How many slots of a process each lane has. None takes more than its share: a lane that begins to hang leaves room for the others. */

const share = 0.75;

export interface LaneShares {
  hasRoom(connectorId: string): boolean;
  /** The lane has one slot more until `work` has ended. */
  hold(connectorId: string, work: () => Promise<void>): Promise<void>;
}

export function createShares(slots: number): LaneShares {
  const most = Math.max(1, Math.floor(slots * share));
  const busy = new Map<string, number>();
  return {
    hasRoom: (connectorId) => (busy.get(connectorId) ?? 0) < most,
    async hold(connectorId, work) {
      busy.set(connectorId, (busy.get(connectorId) ?? 0) + 1);
      try {
        await work();
      } finally {
        const left = (busy.get(connectorId) ?? 1) - 1;
        if (left > 0) busy.set(connectorId, left);
        else busy.delete(connectorId);
      }
    },
  };
}
