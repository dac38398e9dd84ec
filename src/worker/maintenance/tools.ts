/** What the jobs of maintenance work with. */
import { asError, printable } from '../../errors.ts';
import type { LaneWorker } from '../../queue/lanes/lane-worker.ts';
import type { DeadLetters } from '../../queue/ledger/dead-letters.ts';
import type { OpenQueues, ShardView } from '../../queue/open.ts';
import type { RedisClient } from '../../queue/redis/connection.ts';
import type { HomeKeys } from '../../queue/redis/keys.ts';
import type { Listener } from '../events.ts';
import type { RouterTools } from '../router.ts';

export interface MaintenanceTools extends RouterTools {
  readonly redis: RedisClient;
  /** Of the first shard, which has all that belongs to no connector. */
  readonly keys: HomeKeys;
  /** Says whether Redis has room for new messages. */
  readonly watchRoom: () => Promise<void>;
  /** Says that this worker is there. */
  readonly notePresence: () => Promise<void>;
  /** Says which keys this worker has. */
  readonly noteKeys: () => Promise<void>;
  /** Keeps how much memory Redis uses, for statistics. */
  readonly noteMemory: () => Promise<void>;
  readonly views: readonly ShardView[];
  readonly shardOf: (connectorId: string) => number;
  readonly deadLetters: DeadLetters;
  readonly suppressions: Pick<OpenQueues['suppressions'], 'trim' | 'mark'>;
  readonly journal: Pick<OpenQueues, 'events' | 'upkeep' | 'room'>;
  readonly laneWorker: (connectorId: string) => LaneWorker;
  /** Between two rounds, over all workers, in ms. */
  readonly everyMs: number;
  /** How long an attempt without a result is left alone, in ms. */
  readonly lateResultMs: number;
  /** How long after a start or reload a lane is left alone whose connector this process does not know, in ms. */
  readonly orphanGraceMs: number;
  /** When this process's configuration was applied, ms since the epoch. */
  readonly configuredAt: () => number;
}

/** How many entries one round of a job handles. The rest waits for the next round, so that no round holds up the others. */
export const page = 200;

/** Runs one job of a round. A failure is reported, and the other jobs run all the same. */
export async function guarded(
  where: string,
  { emit }: { readonly emit: Listener },
  work: () => Promise<unknown>,
): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    const detail = printable(asError(thrown).message, 500);
    emit({ event: 'error', id: null, where: `maintenance of ${where}`, detail });
  }
}
