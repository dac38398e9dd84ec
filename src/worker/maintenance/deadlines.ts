/**
 * Maintenance of deadlines: guarantees that every accepted message ends. A message that is unsettled past its deadline is settled
 * here, wherever it is: in a paused lane, at a broken connector, or held for an operator who never answered.
 */
import { verdictOf } from '../../queue/bullmq/job-reader.ts';
import { decodeLane, jobIdOf } from '../../queue/jobs.ts';
import type { DeadLetter, DeadReason } from '../../queue/ledger/dead-letters.ts';
import { endStateOf, type LedgerRow, type NewRow, type Settlement } from '../../queue/ledger/ledger.ts';
import { transit } from '../../queue/redis/keys.ts';
import { expire } from '../attempt/retry-policy.ts';
import { settled } from '../attempt/settlement.ts';
import { commit, type LedgerWrite } from '../ledger-write.ts';
import { setInvalidAside, setUnsoundAside } from '../unsound-jobs.ts';
import { page, type MaintenanceTools } from './tools.ts';

/** Workers settle the messages they hold; this long after the deadline they have had the chance to. */
const graceMs = 30_000;
/** Pages of one round. */
const maxPages = 20;

export async function enforceDeadlines(tools: MaintenanceTools): Promise<void> {
  const { redis, views, now } = tools;
  for (const { keys, ledger, deadLetters } of views) {
    const until = now() - graceMs;
    // What stays overdue (a newer release has to settle it) must not stand before the others for ever.
    let kept = 0;
    for (let round = 0; round < maxPages; round += 1) {
      const ids = await redis.zrangebyscore(keys.unsettled, '-inf', until, 'LIMIT', kept, page);
      for (const id of ids) {
        const row = await ledger.read(id);
        const settles = row === null || (await settleExpired(row, { ...tools, ledger, deadLetters }));
        if (row === null) await redis.zrem(keys.unsettled, id);
        if (!settles) kept += 1;
      }
      if (ids.length < page || kept === 0) break;
    }
  }
}

/** → false if the message stays as it is: another process has it, or will. */
async function settleExpired(row: LedgerRow, tools: MaintenanceTools): Promise<boolean> {
  const { lanes, redis, keys, deadLetters } = tools;
  const letter = await deadLetters.get(row.id);
  // Held, or a replay that crashed before the job was enqueued: the dead letter has the message.
  if (letter !== null) return settle(endWithLetter(row, letter, tools), tools);
  // On its way to a lane, where it will be found expired.
  if ((await redis.exists(keys.intakeJob(row.id))) > 0) return false;
  if (row.connector === null) return endLost(row, tools);
  const place = { queue: lanes.queue(row.connector), connectorId: row.connector };
  const job = await tools.jobs.job(place.queue, jobIdOf(row.id));
  if (job === null) return endLost(row, tools);
  if ((await job.getState()) === 'active') return false;
  const verdict = verdictOf(job);
  if (verdict !== null) {
    await setUnsoundAside(place, { jobId: String(job.id), verdict }, null, tools);
    return true;
  }
  const decoded = decodeLane(String(job.id), job.data, tools.routing().config.message, tools.sealing());
  if (!decoded.ok && decoded.why !== 'invalid') return false;
  if (!decoded.ok) {
    await setInvalidAside(place, job, decoded, tools);
    await job.remove().catch(() => undefined);
    return true;
  }
  const attempted = {
    job: { ...decoded.job, connector: row.connector ?? '' },
    row: rowOf(row),
    token: null,
    attempts: row.attempts,
    durationMs: 0,
    at: tools.now(),
  };
  await commit(settled(attempted, expire(row.recipients), tools.retentionMs()), tools);
  // A worker that takes the job at this moment finds the message settled, and ends the job.
  await job.remove().catch(() => undefined);
  return true;
}

async function settle(write: LedgerWrite, tools: MaintenanceTools): Promise<true> {
  await commit(write, tools);
  return true;
}

function endWithLetter(row: LedgerRow, letter: DeadLetter, tools: MaintenanceTools): LedgerWrite {
  const at = tools.now();
  const { id, reason, connector, recipients, reply } = letter;
  const state = endStateOf(row);
  const entry = { at, event: state, detail: 'no operator decided before the deadline' };
  return {
    ...ending(row, reason, entry, { ...letter, at }, tools),
    events: [{ event: 'dead', id, connector, state, reason, recipients: recipients.length, code: null, reply }],
  };
}

/**
 * In the ledger, but in no queue: Redis has lost the job (a crash between two fsyncs). The row and the log must say so. A message that has
 * changed its lane since its row was read is not lost, nor one on its way to another shard. → false if it is such a one.
 */
async function endLost(row: LedgerRow, tools: MaintenanceTools): Promise<boolean> {
  const { redis, views, ledger, now, retentionMs, emit } = tools;
  const onItsWay = await Promise.all(views.map(({ keys }) => redis.exists(keys.laneJob(transit, row.id))));
  if (onItsWay.includes(1)) return false;
  const detail = 'the message is in no queue; Redis has lost it';
  const entry = { at: now(), event: 'dead', detail };
  const closing = { state: endStateOf(row), entry, reason: 'stalled', retentionMs: retentionMs(), unchanged: true };
  const ended = await ledger.close(row, closing);
  if (ended) emit({ event: 'error', id: row.id, where: 'maintenance of overdue messages', detail });
  return ended;
}

function ending(
  row: LedgerRow,
  reason: DeadReason,
  entry: Settlement['entry'],
  deadLetter: DeadLetter | null,
  { retentionMs }: MaintenanceTools,
): Omit<LedgerWrite, 'events'> {
  const settlement: Settlement = {
    state: endStateOf(row),
    recipients: row.recipients,
    entry,
    retryAt: null,
    reason,
    retentionMs: retentionMs(),
    deadLetter,
    countAttempt: true,
    connectorWorks: false,
  };
  return { row: rowOf(row), token: null, settlement, unneeded: [] };
}

function rowOf(row: LedgerRow): NewRow {
  return { ...row, rule: row.rule ?? 'none', messageId: row.messageId ?? '' };
}
