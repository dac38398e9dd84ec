/** What the doctor looks for in lanes: work that no worker would fetch. */
import { transit } from '../../queue/redis/keys.ts';
import type { Body, Examination, Suspicion } from './findings.ts';

/** Lanes with work: in line to be served, and of a connector that sends. */
export async function* suspectLanes(body: Body, { senders, looked }: Examination): AsyncGenerator<Suspicion[]> {
  const { redis, keys, lanes } = body;
  const sending = new Set(senders);
  const outOfLine = async (connector: string): Promise<number> => {
    // Maintenance looks after it, and no worker serves it.
    if (connector === transit) return 0;
    if ((await redis.zscore(keys.ready, connector)) !== null) return 0;
    const { waiting, delayed, active, paused } = await lanes.status(connector);
    // An active job puts its lane into line when it ends; no worker serves a paused lane.
    return paused || active > 0 ? 0 : waiting + delayed;
  };
  for (const connector of await lanes.known()) {
    looked(1);
    const suspicions: Suspicion[] = [];
    const { waiting, delayed } = await lanes.status(connector);
    if (!sending.has(connector) && waiting + delayed > 0) {
      const detail = `${waiting + delayed} messages wait`;
      const holds = async (): Promise<boolean> => {
        const now = await lanes.status(connector);
        return now.waiting + now.delayed > 0;
      };
      suspicions.push({ kind: 'lane-unconfigured', id: connector, detail, holds, fix: null });
    }
    const left = await outOfLine(connector);
    if (left > 0) {
      suspicions.push({
        kind: 'lane-not-ready',
        id: connector,
        detail: `${left} messages wait`,
        holds: async () => (await outOfLine(connector)) > 0,
        fix: async () => {
          await lanes.refresh(connector, 'sooner', true);
          return (await outOfLine(connector)) === 0;
        },
      });
    }
    yield suspicions;
  }
}
