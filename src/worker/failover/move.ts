/** Moves messages between the lane of a connector at fault and that of one that stands in for it. */
import { asError, printable } from '../../errors.ts';
import type { JobReader } from '../../queue/bullmq/job-reader.ts';
import { decodeLane, idOfJob } from '../../queue/jobs.ts';
import type { LaneMove } from '../../queue/lanes/lanes.ts';
import type { HistoryEntry } from '../../queue/ledger/ledger.ts';
import { enterLane, type RouterTools } from '../router.ts';

export interface MoveTools extends RouterTools {
  readonly jobs: JobReader;
}

/** Messages of one script: others wait for Redis meanwhile. */
const page = 25;

/** → how many were moved. */
export async function moveAll(
  move: LaneMove,
  jobIds: readonly string[],
  why: string,
  tools: MoveTools,
): Promise<number> {
  const { lanes, emit, now } = tools;
  const event = move.kind === 'out' ? 'fallback' : 'returned';
  const entry: HistoryEntry = { at: now(), event, connector: move.to, detail: printable(why, 300) };
  let moved = 0;
  if (lanes.fallback.isBeside(move.from, move.to)) {
    for (let i = 0; i < jobIds.length; i += page) {
      const jobs = jobIds.slice(i, i + page).map((jobId) => ({ jobId, entry }));
      moved += await lanes.fallback.move(move, jobs);
    }
  } else {
    for (const jobId of jobIds) {
      if (await moveAcross(move, jobId, entry, tools)) moved += 1;
    }
  }
  if (moved > 0) {
    const [connector, to] = move.kind === 'out' ? [move.from, move.to] : [move.to, move.from];
    emit({ event: 'fell-back', connector, to, messages: moved, back: move.kind === 'back' });
  }
  return moved;
}

/**
 * To another shard, where no step can do both: the message leaves its lane, and its row says that it waits to be routed; then the other lane
 * gets it, with its row. A crash in between leaves it in a lane that no worker serves, and maintenance routes it.
 */
async function moveAcross(move: LaneMove, jobId: string, entry: HistoryEntry, tools: MoveTools): Promise<boolean> {
  const { lanes, jobs, ledger, routing, emit } = tools;
  const id = idOfJob(jobId);
  const [of, standIn] = move.kind === 'out' ? [move.from, move.to] : [move.to, move.from];
  try {
    const job = await jobs.job(lanes.queue(move.from), jobId);
    const decoded = job === null ? null : decodeLane(jobId, job.data, routing().config.message, tools.sealing());
    const row = await ledger.read(id);
    // A worker that knows its form, or may set it aside, finds it in its lane.
    if (decoded?.ok !== true || row === null) return false;
    const number = await lanes.fallback.setOut(move, { jobId, entry });
    if (number === null) return false;
    const { message, acceptedAt, messageId } = decoded.job;
    if (move.kind === 'out') await lanes.fallback.expect({ of, jobId }, standIn);
    const entered = await enterLane(
      { ...message, id },
      { acceptedAt, messageId },
      { connector: move.to, rule: move.rule },
      { kind: 'requeued', via: move.to, deadline: row.deadline },
      // Told as `fell-back`, as within a shard.
      { ...tools, emit: () => undefined },
    );
    // Else maintenance has it.
    if (entered.kind !== 'new') return false;
    await lanes.fallback.arrived(move.from, jobId, number);
    if (move.kind === 'back') await lanes.fallback.forget({ of, jobId }, standIn);
    return true;
  } catch (thrown) {
    emit({ event: 'error', id, where: 'failover', detail: printable(asError(thrown).message, 500) });
    return false;
  }
}
