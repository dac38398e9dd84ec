/** The lane workers of a process: one per connector, made when its lane is first served. */
import { WaitingError } from 'bullmq';
import type { LaneProcessor, LaneWorker } from '../queue/lanes/lane-worker.ts';
import type { OpenQueues } from '../queue/open.ts';
import { tracing } from '../tracing/tracing.ts';
import { processLaneJob, type LaneTools } from './lane-processor.ts';
import type { ConnectorConfig } from './settings.ts';

export interface LaneWorkersOptions {
  readonly open: Pick<OpenQueues, 'laneWorker'>;
  /** undefined: this process does not know the connector. */
  readonly connectorOf: (connectorId: string) => ConnectorConfig | undefined;
  readonly tools: LaneTools;
  readonly lane: { readonly lockMs: number; readonly stalledMs: number };
}

export interface LaneWorkers {
  of(connectorId: string): LaneWorker;
  all(): LaneWorker[];
}

export function createLaneWorkers({ open, connectorOf, tools, lane }: LaneWorkersOptions): LaneWorkers {
  const workers = new Map<string, LaneWorker>();
  const processorOf =
    (connectorId: string): LaneProcessor =>
    async (job, token, signal) => {
      const connector = connectorOf(connectorId);
      if (connector === undefined) {
        // Removed between the claim and the fetch: the job goes back, and maintenance routes it again.
        // If Redis refuses, it is found abandoned; any other error would fail it for good.
        await job.moveToWait(token).catch(() => undefined);
        throw new WaitingError();
      }
      // If this fails, BullMQ's own interval holds.
      tools.lanes.pace(connectorId, connector.limits.messagesPerMinute).catch(() => undefined);
      // All that tracing costs a message without an SDK.
      return processLaneJob({ job, token, signal, connector, tracing: tracing() }, tools);
    };
  return {
    of(connectorId) {
      const known = workers.get(connectorId);
      if (known !== undefined) return known;
      const made = open.laneWorker(connectorId, processorOf(connectorId), lane);
      workers.set(connectorId, made);
      return made;
    },
    all: () => [...workers.values()],
  };
}
