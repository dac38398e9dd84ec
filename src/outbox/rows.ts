/** The statements of a relay. All of a batch is one transaction, whose locks keep its rows from other relays. */
import type { OutboxCounts, OutboxProblem } from './events.ts';
import type { Database } from './database.ts';
import { rowForm } from './table.ts';

export interface PickedRow {
  readonly seq: string;
  readonly id: string;
  readonly bytes: number;
  readonly givenId: boolean;
  readonly tries: number;
  /** Since it was written, or an operator released it. */
  readonly ageMs: number;
}

/** The server ends a transaction that hears nothing for so long, in ms: of a relay that has vanished, whose rows others shall get. */
const idleTransactionMs = 60_000;
/** A place before every row: identities begin with 1. */
export const beforeAll = '0';
/** Rows that are counted, of each kind. */
const maxCounted = 100_000;

/**
 * Nothing is read that is not committed. Losing the end of this transaction in a crash of the server means that its rows come again, and
 * are found to be enqueued: so its commit need not wait for the disk.
 */
export async function begin(database: Database): Promise<void> {
  await database.query(
    `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = ${idleTransactionMs}; SET LOCAL synchronous_commit = off`,
  );
}

export async function commit(database: Database): Promise<void> {
  await database.query('COMMIT');
}

export async function rollback(database: Database): Promise<void> {
  await database.query('ROLLBACK');
}

/**
 * The first rows that are due and that no other relay has, without their messages, and locked; in the order of the column, not of its text. No place is remembered: a transaction that
 * commits late has smaller numbers than rows that are gone already.
 */
export function pick(database: Database, limit: number, after = beforeAll): Promise<readonly PickedRow[]> {
  return database.query<PickedRow>(
    `SELECT seq::text, id, octet_length(message) AS bytes, given_id AS "givenId", tries,
       (extract(epoch FROM now() - coalesce(released_at, created_at)) * 1000)::float8 AS "ageMs"
     FROM postlane_outbox WHERE problem IS NULL AND due_at <= now() AND form <= ${rowForm} AND seq > $2
     ORDER BY postlane_outbox.seq LIMIT $1 FOR UPDATE SKIP LOCKED`,
    [limit, after],
  );
}

export async function readMessages(database: Database, seqs: readonly string[]): Promise<ReadonlyMap<string, string>> {
  if (seqs.length === 0) return new Map();
  const rows = await database.query<{ seq: string; message: string }>(
    'SELECT seq::text, message FROM postlane_outbox WHERE seq = ANY($1::bigint[])',
    [seqs],
  );
  return new Map(rows.map(({ seq, message }) => [seq, message]));
}

export async function remove(database: Database, seqs: readonly string[]): Promise<void> {
  if (seqs.length === 0) return;
  await database.query('DELETE FROM postlane_outbox WHERE seq = ANY($1::bigint[])', [seqs]);
}

export async function markProblem(
  database: Database,
  seq: string,
  problem: OutboxProblem,
  detail: string,
): Promise<void> {
  await database.query('UPDATE postlane_outbox SET problem = $2, detail = $3, tries = tries + 1 WHERE seq = $1', [
    seq,
    problem,
    detail,
  ]);
}

export async function defer(database: Database, seq: string, forMs: number): Promise<void> {
  await database.query(
    `UPDATE postlane_outbox SET tries = tries + 1, due_at = now() + $2 * interval '1 millisecond' WHERE seq = $1`,
    [seq, forMs],
  );
}

/** Bounded: a table with a million rows costs no more than one with a hundred thousand. */
export async function countRows(database: Database): Promise<OutboxCounts> {
  const [counts] = await database.query<OutboxCounts>(
    `SELECT
       (SELECT count(*)::int FROM (SELECT 1 FROM postlane_outbox WHERE problem IS NULL LIMIT ${maxCounted}) AS w) AS waiting,
       (SELECT count(*)::int FROM (SELECT 1 FROM postlane_outbox WHERE problem IS NOT NULL LIMIT ${maxCounted}) AS p) AS problems,
       coalesce((SELECT greatest(0, extract(epoch FROM now() - created_at) * 1000)::float8 FROM postlane_outbox
         WHERE problem IS NULL ORDER BY seq LIMIT 1), 0) AS "oldestMs"`,
  );
  return counts ?? { waiting: 0, problems: 0, oldestMs: 0 };
}

/** Rejects where the table is missing, or has not all columns. */
export async function requireTable(database: Database): Promise<void> {
  await database.query(
    'SELECT seq, id, message, form, given_id, created_at, due_at, tries, problem, detail, released_at FROM postlane_outbox LIMIT 0',
  );
}
