/** What the doctor looks for in ledger rows: unsettled ones must be in a queue, or held, and in the index; settled ones not. */
import { jobIdOf } from '../../queue/jobs.ts';
import { jobName } from '../../queue/redis/keys.ts';
import { endStateOf, terminalStates, type LedgerState } from '../../queue/ledger/ledger.ts';
import { write } from '../../queue/lua/script.ts';
import { wireOf } from '../letter-wire.ts';
import type { Body, Examination, Suspicion } from './findings.ts';
import { members, queued, scan, unsettled } from './scan.ts';

/** Ledger rows: unsettled ones must be somewhere, and in the index; settled ones not. */
export async function* suspectRows(body: Body, examination: Examination): AsyncGenerator<Suspicion[]> {
  const { redis, keys, ledger, deadLetters, intake } = body;
  const { now, retentionMs, lifetimeMs, looked } = examination;
  const state = async (id: string): Promise<LedgerState | null> => (await ledger.read(id))?.state ?? null;
  const indexed = async (id: string): Promise<boolean> => (await redis.zscore(keys.unsettled, id)) !== null;

  const row = async (id: string): Promise<Suspicion[]> => {
    const found = await ledger.read(id);
    if (found === null || terminalStates.has(found.state)) return [];
    const suspicions: Suspicion[] = [];
    if (!(await indexed(id))) {
      suspicions.push({
        kind: 'row-not-indexed',
        id,
        detail: `the message is ${found.state}`,
        holds: async () => !(await indexed(id)) && unsettled(await state(id)),
        fix: async () => (await write(redis, 'ZADD', keys.unsettled, 'NX', found.deadline, id)) === 1,
      });
    }
    const connector = found.connector;
    if (await queued(body, id, connector)) return suspicions;
    const letter = await deadLetters.summary(id);
    const same = async (): Promise<boolean> =>
      (await ledger.read(id))?.updatedAt === found.updatedAt && !(await queued(body, id, connector));
    if (letter === null) {
      suspicions.push({
        kind: 'message-nowhere',
        id,
        detail: `the ledger says ${found.state}, by ${connector ?? 'no connector'}`,
        holds: async () => (await same()) && (await deadLetters.summary(id)) === null,
        fix: () => {
          const detail = 'the message is in no queue; Redis has lost it';
          const entry = { at: now(), event: 'dead', detail };
          const closing = { state: endStateOf(found), entry, reason: 'stalled', retentionMs, unchanged: true };
          return ledger.close(found, closing);
        },
      });
    } else if (found.state === 'queued') {
      suspicions.push({
        kind: 'replay-unfinished',
        id,
        detail: `the dead letter says ${letter.reason}`,
        holds: async () => (await same()) && (await deadLetters.summary(id))?.at === letter.at,
        fix: async () => {
          const entry = {
            at: now(),
            event: 'replayed',
            detail: 'an interrupted replay',
          };
          const status = await ledger.idStatus(id);
          const via = status.kind === 'requeued' ? status.via : null;
          const release = {
            from: ['queued'],
            entry,
            deadline: now() + lifetimeMs,
            via,
          } as const;
          const whole = await deadLetters.get(id);
          const data = whole === null ? null : wireOf(whole, body.limits, body.sealing());
          if (data === null || !(await ledger.release(id, release))) return false;
          await intake.add(jobName, data, {
            jobId: jobIdOf(id),
            timestamp: letter.acceptedAt,
            removeOnComplete: true,
          });
          return deadLetters.drop(id, letter);
        },
      });
    }
    return suspicions;
  };

  for await (const ids of scan(body, keys.ledger(''))) {
    looked(ids.length);
    yield (await Promise.all(ids.map(row))).flat();
  }
  for await (const ids of members(body, keys.unsettled)) {
    looked(ids.length);
    const states = await Promise.all(ids.map(state));
    yield ids
      .filter((_id, i) => !unsettled(states[i] ?? null))
      .map((id) => ({
        kind: 'row-over-indexed',
        id,
        detail: 'it is settled, or its row is gone',
        holds: async () => (await indexed(id)) && !unsettled(await state(id)),
        fix: async () => (await redis.zrem(keys.unsettled, id)) === 1,
      }));
  }
}
