/**
 * The sweep: what repairs what a crash left. One process at a time does it, every few seconds.
 *
 * - jobs whose worker died go back to the front of their lane; after too many times they fail, and become dead letters
 * - lanes with work that are not in the ready set get into it
 * - messages past their deadline are settled, wherever they are
 * - messages in the lane of a connector that is gone are routed again
 * - dead letters over their bounds go, and contents that nobody needs
 */
import type { Job, Queue } from 'bullmq';
import type { RedisClient } from '../../queue/redis/connection.ts';
import { sleep } from '../../async/timeout.ts';
import { asError, printable } from '../../errors.ts';
import type { LaneWorker } from '../../queue/bullmq/shared-queues.ts';
import type { Listener } from '../events.ts';
import { refsOf } from '../../queue/ledger/content.ts';
import type { DeadLetters } from '../../queue/ledger/dead-letters.ts';
import { decodeIntake, decodeLane } from '../../queue/jobs.ts';
import type { LaneLook } from '../../queue/lanes/snapshot.ts';
import { differs } from '../../queue/lanes/lanes.ts';
import { terminalStates } from '../../queue/ledger/ledger.ts';
import { intakeName, type Keys } from '../../queue/redis/keys.ts';
import type { ShardParts } from '../../queue/open.ts';
import { buryInvalid, buryMessage } from '../dead-letter.ts';
import { settleOverdue } from './deadlines.ts';
import type { SettleTools } from '../attempt/settlement.ts';
import { connectorFor, enterLane, type RouterTools } from '../router.ts';

export interface SweepTools extends RouterTools, SettleTools {
  readonly redis: RedisClient;
  /** Of the first shard, which has all that belongs to no connector. */
  readonly keys: Keys;
  readonly parts: readonly ShardParts[];
  readonly shardOf: (connectorId: string) => number;
  readonly intake: Queue;
  readonly deadLetters: DeadLetters;
  readonly laneWorker: (connectorId: string) => LaneWorker;
  /** Between two sweeps of the fleet, in ms. */
  readonly everyMs: number;
  /** How long an attempt without a result is left alone, in ms. */
  readonly lateResultMs: number;
  /** A lane whose connector this process does not know is left alone for so long after a start or reload, in ms. */
  readonly orphanGraceMs: number;
  /** When this process's configuration was applied, ms since the epoch. */
  readonly configuredAt: () => number;
}

/** Contents younger than this may belong to a message that is just being enqueued. */
const contentGraceMs = 3_600_000;
const page = 200;

/** One round, if no other process has had one within the interval. → whether it was this one's turn. */
export async function sweep(tools: SweepTools, signal: AbortSignal): Promise<boolean> {
  const { redis, keys, lanes, everyMs } = tools;
  const turn = await redis.set(`${keys.prefix}:sweep`, '1', 'PX', Math.max(1, everyMs - 50), 'NX');
  if (turn === null) return false;
  await guarded('intake', tools, () => buryFailed(tools.intake, null, tools));
  for (const look of await lanes.look(await lanes.known())) {
    if (signal.aborted) return true;
    await guarded(`lane ${look.connectorId}`, tools, () => sweepLane(look, tools));
  }
  for (const [shard, part] of tools.parts.entries()) {
    if (tools.parts.length > 1) await guarded(`shard ${shard}`, tools, () => bringHome(shard, part, tools));
  }
  await guarded('overdue messages', tools, async () => {
    await settleOverdue(tools);
  });
  await guarded('dead letters', tools, () => trimDeadLetters(tools));
  await guarded('contents', tools, () => trimContents(tools));
  return true;
}

async function guarded(where: string, { emit }: SweepTools, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    emit({ event: 'error', id: null, where: `sweep of ${where}`, detail: printable(asError(thrown).message, 500) });
  }
}

/** Most lanes are as they should be, and cost no more than the look. */
async function sweepLane(look: LaneLook, tools: SweepTools): Promise<void> {
  const { lanes } = tools;
  const { connectorId } = look;
  if (look.active > 0) await tools.laneWorker(connectorId).recoverStalled();
  if (look.failed > 0 || look.active > 0) await buryFailed(lanes.queue(connectorId), connectorId, tools);
  const connector = tools.routing().senders.get(connectorId);
  if (connector === undefined) {
    if (look.waiting > 0 || look.ready) await reroute(connectorId, tools);
  }
  // Also puts the lane into the ready set, and gives it back the concurrency that a probe had narrowed.
  else if (differs(look, connector.limits)) await lanes.setLimits(connectorId, connector.limits);
  // What was just recovered is waiting now.
  else if (look.waiting + look.active > 0) await lanes.refresh(connectorId, 'sooner', true);
}

/** Where the number of shards has grown, what waits in the lanes of connectors that are at home in another one goes there. */
async function bringHome(shard: number, { lanes, recoverStalled }: ShardParts, tools: SweepTools): Promise<void> {
  for (const connectorId of await lanes.known()) {
    if (tools.shardOf(connectorId) === shard) continue;
    const queue = lanes.queue(connectorId);
    // An operator's word first: nothing of the lane may be sent in between.
    if (await queue.isPaused()) {
      await tools.lanes.pause(connectorId);
      await queue.resume();
    }
    if ((await queue.getActiveCount()) > 0) await recoverStalled(connectorId, tools.everyMs);
    await reroute(connectorId, tools, lanes, 0);
  }
}

/** Jobs fail only when they have stalled too often: every worker that took them died. */
async function buryFailed(queue: Queue, connectorId: string | null, tools: SweepTools): Promise<void> {
  const { config } = tools.routing();
  for (const job of await queue.getJobs(['failed'], 0, page, true)) {
    const id = String(job.id);
    const why = `the job failed: ${printable(job.failedReason, 300)}; the worker that had it died or lost Redis each time`;
    const decoded =
      connectorId === null
        ? decodeIntake(id, job.timestamp, job.data, config.message)
        : decodeLane(id, job.data, config.message);
    if (decoded.ok) {
      const { message, acceptedAt } = decoded.job;
      const messageId = 'messageId' in decoded.job ? decoded.job.messageId : '';
      const about = { acceptedAt, messageId, connector: connectorId };
      await buryMessage({ ...message, id: decoded.job.id }, about, 'stalled', why, tools);
    } else {
      await buryInvalid(decoded, job.data, job.timestamp, tools);
    }
    await job.remove();
  }
}

/**
 * Moves what waits in the lane of a connector that is no longer configured to where it would go now. Only after a grace
 * time, as another process may have the newer configuration; and one sweep at a time, so no message can be moved twice.
 */
async function reroute(
  connectorId: string,
  tools: SweepTools,
  lanes = tools.lanes,
  graceMs = tools.orphanGraceMs,
): Promise<void> {
  const routing = tools.routing();
  const { config } = routing;
  const queue = lanes.queue(connectorId);
  const jobs = await queue.getJobs(['wait', 'prioritized', 'delayed'], 0, page, true);
  if (jobs.length === 0) {
    if ((await queue.getActiveCount()) === 0) await lanes.refresh(connectorId, 'exact', false);
    return;
  }
  const due = tools.now() - tools.configuredAt() >= graceMs;
  let rerouted = 0;
  for (const job of due ? jobs : []) rerouted += (await move(job)) ? 1 : 0;
  tools.emit({ event: 'lane-orphaned', connector: connectorId, waiting: jobs.length, rerouted });

  async function move(job: Job): Promise<boolean> {
    const id = String(job.id);
    const decoded = decodeLane(id, job.data, config.message);
    if (!decoded.ok) {
      await buryInvalid(decoded, job.data, job.timestamp, tools);
    } else {
      const { message, acceptedAt, messageId } = decoded.job;
      const entry = {
        at: tools.now(),
        event: 'rerouted',
        detail: `the connector ${connectorId} is not configured any more, or in another shard`,
      };
      const row = await tools.ledger.read(id);
      const deadline = row?.deadline ?? tools.now() + config.retry.lifetimeMs;
      const open = row?.open ?? null;
      // The worker that made the attempt may still report. Else nobody knows of a result, and no connector says what follows.
      if (open !== null && tools.now() < open.at + tools.lateResultMs) return false;
      const released = await tools.ledger.release(id, {
        from: ['queued', 'deferred', ...(open === null ? [] : ['sending' as const])],
        entry: open === null ? entry : { ...entry, event: 'uncertain' },
        deadline,
        via: null,
      });
      if (released) {
        const found = connectorFor(message, { kind: 'new' }, routing);
        if ('why' in found) {
          await buryMessage(
            { ...message, id },
            { acceptedAt, messageId, connector: null },
            'no-route',
            found.why,
            tools,
          );
        } else {
          const standing = { kind: 'released', via: null, deadline } as const;
          await enterLane({ ...message, id }, acceptedAt, found, standing, tools);
        }
      }
    }
    await job.remove();
    return true;
  }
}

async function trimDeadLetters({ deadLetters, ledger, contents, routing, now, emit }: SweepTools): Promise<void> {
  const { retention, message: limits } = routing().config;
  const bounds = { maxAgeMs: retention.deadLetterMs, maxCount: retention.deadLetterCount };
  const ids = await deadLetters.overdue({ now: now(), ...bounds, limit: page });
  let count = 0;
  for (const id of ids) {
    // The only copy of a message that an operator is still to decide on.
    if ((await ledger.read(id))?.state === 'held') continue;
    count += 1;
    const letter = await deadLetters.get(id);
    const decoded = letter === null ? null : decodeIntake(id, letter.acceptedAt, letter.data, limits);
    if (decoded?.ok === true) await contents.release(id, refsOf(decoded.job.message));
    await deadLetters.drop(id);
  }
  if (count > 0) emit({ event: 'dead-letters-trimmed', count });
}

/** Contents whose every message is gone or settled without a dead letter: left by a crash, or by a producer that gave up. */
async function trimContents({ redis, keys, parts, ledger, contents, now, emit }: SweepTools): Promise<void> {
  let count = 0;
  for (const { ref, messageIds } of await contents.olderThan(now() - contentGraceMs, page)) {
    let needed = 0;
    for (const id of messageIds) {
      const state = (await ledger.read(id))?.state ?? null;
      const letters = await Promise.all(parts.map((part) => redis.exists(part.keys.deadLetter(id))));
      const waiting = (await redis.exists(keys.queue(intakeName, id))) + letters.reduce((sum, there) => sum + there, 0);
      const live = state !== null && !terminalStates.has(state);
      if (waiting > 0 || live) needed += 1;
      else await contents.release(id, [ref]);
    }
    if (messageIds.length === 0) await contents.release('', [ref]);
    if (needed === 0) count += 1;
    // Looked at again in an hour, not each time.
    else await redis.zadd(keys.contents, 'XX', now(), ref);
  }
  if (count > 0) emit({ event: 'contents-trimmed', count });
}

/** A round that fails is reported; the next one comes all the same. */
export async function sweepUntil(
  signal: AbortSignal,
  everyMs: number,
  round: () => Promise<unknown>,
  emit: Listener,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await round();
    } catch (thrown) {
      emit({ event: 'error', id: null, where: 'sweep', detail: asError(thrown).message });
    }
    await sleep(everyMs, signal);
  }
}
