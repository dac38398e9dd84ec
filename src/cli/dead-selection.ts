/** Selects the dead letters that a command applies to. */
import { asError } from '../errors.ts';
import type { DeadLetterFilter, DeadLetterSummary, DeadReason } from '../queue/ledger/dead-letters.ts';
import type { Operator } from '../admin/operator.ts';
import { UsageError } from './failure.ts';
import { parsePast } from './values.ts';

export interface FilterOptions {
  readonly reason?: DeadReason;
  readonly connector?: string;
  readonly since?: string;
  readonly until?: string;
}

/** Durations count back from `now`, in ms since 1970. */
export function selection({ reason, connector, since, until }: FilterOptions, now: number): DeadLetterFilter {
  const filter = {
    ...(reason === undefined ? {} : { reason }),
    ...(connector === undefined ? {} : { connector }),
    ...(since === undefined ? {} : { since: time('--since', since, now) }),
    ...(until === undefined ? {} : { until: time('--until', until, now) }),
  };
  if (filter.since !== undefined && filter.until !== undefined && filter.since > filter.until) {
    throw new UsageError('--since is after --until; swap them');
  }
  return filter;
}

function time(option: string, text: string, now: number): number {
  try {
    return parsePast(text, now);
  } catch (thrown) {
    throw new UsageError(`${option}: ${asError(thrown).message}`);
  }
}

export async function summaries(
  { deadLetters }: Operator,
  filter: DeadLetterFilter,
  limit: number,
): Promise<DeadLetterSummary[]> {
  const rows: DeadLetterSummary[] = [];
  for await (const row of deadLetters.list(filter)) {
    rows.push(row);
    if (rows.length >= limit) break;
  }
  return rows;
}
