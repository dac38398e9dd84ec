/**
 * Maintenance of deadlines: guarantees that every accepted message ends. A message that is unsettled past its deadline is settled
 * here, wherever it is: in a paused lane, at a broken connector, or held for an operator who never answered.
 */
import { decodeLane } from '../../queue/jobs.ts';
import type { DeadLetter } from '../../queue/ledger/dead-letters.ts';
import type { LedgerRow, NewRow } from '../../queue/ledger/ledger.ts';
import { intakeName } from '../../queue/redis/keys.ts';
import { expire } from '../attempt/retry-policy.ts';
import { settleMessage } from '../attempt/settlement.ts';
import { page, type MaintenanceTools } from './tools.ts';

/** Workers settle the messages they hold; this long after the deadline they have had the chance to. */
const graceMs = 30_000;

/** → how many messages it settled. */
export async function settleOverdue(tools: MaintenanceTools, graceOverMs = graceMs): Promise<number> {
  const { redis, parts, now } = tools;
  let settled = 0;
  for (const { keys, ledger, deadLetters } of parts) {
    for (const id of await redis.zrangebyscore(keys.unsettled, '-inf', now() - graceOverMs, 'LIMIT', 0, page)) {
      const row = await ledger.read(id);
      if (row === null) await redis.zrem(keys.unsettled, id);
      else if (await settleRow(row, { ...tools, ledger, deadLetters })) settled += 1;
    }
  }
  return settled;
}

async function settleRow(row: LedgerRow, tools: MaintenanceTools): Promise<boolean> {
  const { lanes, redis, keys, deadLetters } = tools;
  const letter = await deadLetters.get(row.id);
  // Held, or a replay that crashed before the job was enqueued: the dead letter has the message.
  if (letter !== null) return endWithLetter(row, { ...letter, at: tools.now() }, tools);
  // On its way to a lane, where it will be found overdue.
  if ((await redis.exists(keys.queue(intakeName, row.id))) > 0) return false;
  const job = row.connector === null ? undefined : await lanes.queue(row.connector).getJob(row.id);
  if (job === undefined || job === null) return endLost(row, tools);
  if ((await job.getState()) === 'active') return false;
  const decoded = decodeLane(row.id, job.data, tools.routing().config.message);
  if (!decoded.ok) return false;
  const settled = {
    job: { ...decoded.job, connector: row.connector ?? '' },
    row: rowOf(row),
    token: null,
    durationMs: 0,
  };
  await settleMessage({ ...settled, attempts: row.attempts }, expire(row.recipients), tools);
  // A worker that takes the job at this moment finds the message settled, and ends the job.
  await job.remove().catch(() => undefined);
  return true;
}

async function endWithLetter(row: LedgerRow, letter: DeadLetter, tools: MaintenanceTools): Promise<boolean> {
  const { ledger, emit, now, retentionMs } = tools;
  const accepted = row.recipients.some(({ outcome }) => outcome === 'accepted');
  const state = accepted ? 'partial' : 'dead';
  await ledger.settle(rowOf(row), null, {
    state,
    recipients: row.recipients,
    entry: { at: now(), event: state, detail: 'nobody decided before the deadline' },
    retryAt: null,
    reason: letter.reason,
    retentionMs,
    deadLetter: letter,
    countAttempt: true,
    connectorWorks: false,
  });
  const { id, reason, connector, recipients, reply } = letter;
  emit({ event: 'dead', id, connector, reason, recipients: recipients.length, code: null, reply });
  return true;
}

/** In the ledger, but in no queue: Redis has lost the job (a crash between two fsyncs). The row and the log must say so. */
async function endLost(row: LedgerRow, tools: MaintenanceTools): Promise<boolean> {
  const { ledger, emit, now, retentionMs } = tools;
  const detail = 'the message is in no queue; Redis has lost it';
  await ledger.settle(rowOf(row), null, {
    state: row.recipients.some(({ outcome }) => outcome === 'accepted') ? 'partial' : 'dead',
    recipients: row.recipients,
    entry: { at: now(), event: 'dead', detail },
    retryAt: null,
    reason: 'stalled',
    retentionMs,
    deadLetter: null,
    countAttempt: true,
    connectorWorks: false,
  });
  emit({ event: 'error', id: row.id, where: 'maintenance of overdue messages', detail });
  return true;
}

function rowOf(row: LedgerRow): NewRow {
  return { ...row, rule: row.rule ?? 'none', messageId: row.messageId ?? '' };
}
