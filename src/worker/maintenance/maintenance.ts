/**
 * Maintenance: repairs what a crash left behind. One process at a time does a round, every few seconds. Its eleven jobs, each in
 * a file of its own:
 *
 * - intruders: foreign jobs that stand in the place of BullMQ's own keys are set aside
 * - stalled: jobs that failed because their workers died become dead letters
 * - strays: jobs of the intake that no worker would fetch become dead letters, and what is over goes
 * - lane repair: abandoned jobs go back to their lane, lanes with work into the ready set, limits into force; pauses that are over are told
 * - orphans: messages in the lane of a connector that is gone are routed again
 * - transit: messages that a crash has left on their way to another shard are routed again
 * - deadlines: messages past their deadline are settled, wherever they are
 * - retention: dead letters that exceed their bounds go
 * - suppressions: entries that have ended go
 * - contents: stored contents that no message needs go
 * - journal: events that were read go, and days of the search index that are over
 */
import { sleep } from '../../async/timeout.ts';
import { asError } from '../../errors.ts';
import { write } from '../../queue/lua/script.ts';
import type { Listener } from '../events.ts';
import { trimContents } from './contents.ts';
import { enforceDeadlines } from './deadlines.ts';
import { setIntrudersAside } from '../intruders.ts';
import { tidyJournal } from './journal.ts';
import { repairLanes } from './lane-repair.ts';
import { moveToHomeShards } from './orphans.ts';
import { trimDeadLetters } from './retention.ts';
import { deadLetterStalled } from './stalled.ts';
import { landMoves } from './transit.ts';
import { removeStrays } from './strays.ts';
import { guarded, type MaintenanceTools } from './tools.ts';

/** One round, unless another process has had one within the interval. → whether this process did it. */
export async function maintain(tools: MaintenanceTools, signal: AbortSignal): Promise<boolean> {
  const { redis, keys, everyMs } = tools;
  // Each process does these three itself, also one that does not have the turn.
  await guarded('the memory of Redis', tools, tools.watchRoom);
  await guarded('the list of workers', tools, tools.notePresence);
  await guarded('the list of keys', tools, tools.noteKeys);
  const turn = await write(redis, 'SET', keys.maintenance, '1', 'PX', Math.max(1, everyMs - 50), 'NX');
  if (turn === null) return false;
  await guarded('the history of the memory', tools, tools.noteMemory);
  await guarded('the keys of the intake', tools, () => setIntrudersAside(tools));
  await guarded('the intake', tools, () => deadLetterStalled({ queue: tools.intake, connectorId: null }, tools));
  await guarded('strays', tools, () => removeStrays(tools));
  await guarded('lanes', tools, () => repairLanes(tools, signal));
  if (signal.aborted) return true;
  await moveToHomeShards(tools);
  await landMoves(tools);
  await guarded('overdue messages', tools, () => enforceDeadlines(tools));
  await guarded('dead letters', tools, () => trimDeadLetters(tools));
  await guarded('suppressions', tools, () => trimSuppressions(tools));
  await guarded('contents', tools, () => trimContents(tools));
  await guarded('events and the search index', tools, () => tidyJournal(tools));
  return true;
}

async function trimSuppressions({ suppressions, now }: MaintenanceTools): Promise<void> {
  await suppressions.mark();
  await suppressions.trim(now());
}

/** A round that fails is reported; the next one follows all the same. */
export async function maintainUntil(
  signal: AbortSignal,
  everyMs: number,
  round: () => Promise<unknown>,
  emit: Listener,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await round();
    } catch (thrown) {
      emit({ event: 'error', id: null, where: 'maintenance', detail: asError(thrown).message });
    }
    await sleep(everyMs, signal);
  }
}
