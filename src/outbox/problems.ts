/** What an operator does with rows that wait for one: lists, releases or removes them. */
import type { DatabaseSettings } from '../config/outbox.ts';
import { databaseDetail, openDatabase, type Database } from './database.ts';
import type { OutboxCounts, OutboxProblem } from './events.ts';
import { countRows } from './rows.ts';

/** A row with a problem. Nothing of its message but what the problem says. */
export interface ProblemRow {
  readonly id: string;
  readonly problem: string;
  readonly detail: string | null;
  readonly bytes: number;
  readonly tries: number;
  readonly createdAt: Date;
}

/** Which rows with a problem: those of the ids, or all, of one problem perhaps. */
export interface RowFilter {
  readonly ids: readonly string[] | null;
  readonly problem: OutboxProblem | null;
}

export interface OutboxOperator {
  /** In the order in which they were written. */
  list(filter: RowFilter, limit: number): Promise<readonly ProblemRow[]>;
  counts(): Promise<OutboxCounts>;
  /** They are relayed again, whatever their age. → how many. */
  retry(filter: RowFilter): Promise<number>;
  /** They are removed, and their messages are not sent. → how many. */
  drop(filter: RowFilter): Promise<number>;
}

type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly detail: string };

const timeoutMs = 10_000;

const filtered = 'problem IS NOT NULL AND ($1::text[] IS NULL OR id = ANY($1)) AND ($2::text IS NULL OR problem = $2)';

/** Never rejects for what the database does. */
export async function withOutbox<T>(
  settings: DatabaseSettings,
  work: (operator: OutboxOperator) => Promise<T>,
): Promise<Answer<T>> {
  const opened = await openDatabase(settings, { timeoutMs });
  if (!opened.ok) return { ok: false, detail: opened.detail };
  try {
    return { ok: true, value: await work(operatorOf(opened.database)) };
  } catch (thrown) {
    return { ok: false, detail: databaseDetail(thrown) };
  } finally {
    await opened.database.close();
  }
}

function operatorOf(database: Database): OutboxOperator {
  const changed = async (statement: string, { ids, problem }: RowFilter): Promise<number> => {
    const [row] = await database.query<{ count: number }>(
      `WITH changed AS (${statement} WHERE ${filtered} RETURNING 1) SELECT count(*)::int AS count FROM changed`,
      [ids, problem],
    );
    return row?.count ?? 0;
  };
  return {
    list: ({ ids, problem }, limit) =>
      database.query<ProblemRow>(
        `SELECT id, problem, detail, octet_length(message) AS bytes, tries, created_at AS "createdAt"
         FROM postlane_outbox WHERE ${filtered} ORDER BY seq LIMIT $3`,
        [ids, problem, limit],
      ),
    counts: () => countRows(database),
    retry: (filter) =>
      changed(
        'UPDATE postlane_outbox SET problem = NULL, detail = NULL, tries = 0, due_at = now(), released_at = now()',
        filter,
      ),
    drop: (filter) => changed('DELETE FROM postlane_outbox', filter),
  };
}
