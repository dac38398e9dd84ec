/**
 * The straight way through: a message whose lane has none waiting, and for which this process has a slot, a session and room, enters its
 * lane by the step that opens its attempt, and is sent from what is in memory. Its data crosses the wire once.
 *
 * All that could take time is there before: what is in hand never waits for a network. Where anything is missing, or Redis says that the
 * lane does not let it pass, the message is put into its lane, as any other.
 */
import { jobIdOf } from '../queue/jobs.ts';
import type { Ledger } from '../queue/ledger/ledger.ts';
import type { Entering, LaneWorker } from '../queue/lanes/lane-worker.ts';
import type { Lanes } from '../queue/lanes/lanes.ts';
import { bytesHeld } from './byte-budget.ts';
import type { GoStraight } from './direct-entry.ts';
import { processDirect, type LaneTools } from './lane-processor.ts';
import type { Scheduler } from './scheduler.ts';
import type { ConnectorConfig } from './settings.ts';

interface StraightTools {
  readonly lanes: Pick<Lanes, 'move' | 'movesDirectly'>;
  readonly scheduler: Pick<Scheduler, 'runDirect'>;
  readonly connectorOf: (connectorId: string) => ConnectorConfig | undefined;
  readonly tools: LaneTools;
}

export function createStraight(straight: StraightTools): GoStraight {
  return async (candidate) => {
    const { lanes, scheduler, connectorOf, tools } = straight;
    const { job } = candidate;
    const connector = connectorOf(job.connector);
    const transport = tools.transport(job.connector);
    if (!lanes.movesDirectly || connector === undefined || transport === null || isLimited(connector)) return null;
    const place = transport.warm?.() ?? null;
    if (place === null) return null;
    const release = tools.budget.acquireNow(connector.id, bytesHeld(job.message, transport.maxInMemoryBytes));
    const giveBack = (): void => {
      place.cancel();
      release?.();
    };
    if (release === null) {
      giveBack();
      return null;
    }
    return new Promise((resolve, reject) => {
      const work = async (lane: LaneWorker, token: string): Promise<boolean | null> => {
        const process: Entering['process'] = (taken, signal, entered) => {
          const fence: Ledger['fence'] = async (_row, { now, worker, looked = false, trace }) => {
            try {
              const direct = { token, lockMs: lane.lockMs, at: now, worker, looked, trace };
              const { from, priority, row, announce } = candidate;
              const { messageId, acceptedAt, connector: to, rule, known, trace: origin } = job;
              const routing = { messageId, acceptedAt, connector: to, rule, known, trace: origin };
              const moved = await lanes.move(from, routing, priority, row, announce, direct);
              if (moved.kind === 'going') {
                entered();
                candidate.going();
              }
              resolve(moved);
              return moved.kind === 'going' ? 'go' : 'lost';
            } catch (thrown) {
              // Whether it has entered is not known: if so, it is found abandoned, with its attempt open.
              reject(thrown);
              throw thrown;
            }
          };
          const { tracing } = candidate;
          return processDirect({ job: taken, token, signal, connector, tracing }, job, { fence, place }, tools);
        };
        try {
          return await lane.runDirect({ id: jobIdOf(job.id), timestamp: job.acceptedAt, token, process });
        } finally {
          giveBack();
          resolve(null);
        }
      };
      if (scheduler.runDirect(connector.id, work)) return;
      giveBack();
      resolve(null);
    });
  };
}

/** What is counted or paced waits in its lane, where it is counted. */
function isLimited({ limits }: ConnectorConfig): boolean {
  const { messagesPerMinute, recipientsPerDay = null, bytesPerWindow = null, group = null } = limits;
  return messagesPerMinute !== null || recipientsPerDay !== null || bytesPerWindow !== null || group !== null;
}
