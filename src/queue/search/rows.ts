/** Reads rows of a shard for a search, many in one step. */
import { runReading, script } from '../lua/script.ts';
import { parseRow, type LedgerRow } from '../ledger/ledger.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { ShardKeys } from '../redis/keys.ts';

/** Of one step: Redis serves no other client meanwhile. */
const rowsPerStep = 200;
export const timesPerStep = 500;

const shown = [
  'state',
  'moved',
  'v',
  'connector',
  'from',
  'recipients',
  'bounces',
  'acceptedAt',
  'updatedAt',
  'messageId',
  'metadata',
  'subject',
  'attempts',
  'reason',
  'erased',
  'retryAt',
  'deadline',
] as const;

/** → of each row its fields; nothing of one that is not in this state, or not of this connector ('' is any). @lua */
export const rowsScript = script(
  { keys: ['_anchor'], args: ['wantedState', 'wantedConnector'], moreKeys: 'rows' },
  /* lua */ `
local found = {}
for i, key in ipairs(rows) do
  local row = redis.call('HMGET', key, ${shown.map((name) => `'${name}'`).join(', ')})
  if row[1] and (wantedState == '' or row[1] == wantedState) and (wantedConnector == '' or row[4] == wantedConnector) then
    found[i] = row
  else found[i] = false end
end
return found
`,
);

/** The same, only when each was accepted; '' for one that does not match. @lua */
export const timesScript = script(
  { keys: ['_anchor'], args: ['wantedState', 'wantedConnector'], moreKeys: 'rows' },
  /* lua */ `
local found = {}
for i, key in ipairs(rows) do
  local row = redis.call('HMGET', key, 'state', 'connector', 'acceptedAt')
  if row[1] and (wantedState == '' or row[1] == wantedState) and (wantedConnector == '' or row[2] == wantedConnector) then
    found[i] = row[3] or ''
  else found[i] = '' end
end
return found
`,
);

export interface RowFilter {
  readonly state?: string | undefined;
  readonly connector?: string | undefined;
}

/** In the order of the ids; null for one that is gone, moved, of a newer release, or does not match. */
export async function readRows(
  redis: RedisClient,
  keys: ShardKeys,
  ids: readonly string[],
  { state = '', connector = '' }: RowFilter,
): Promise<(LedgerRow | null)[]> {
  const found: (LedgerRow | null)[] = [];
  for (let from = 0; from < ids.length; from += rowsPerStep) {
    const some = ids.slice(from, from + rowsPerStep);
    const answer = (await runReading(redis, rowsScript, {
      keys: { _anchor: keys.ledger('') },
      args: { wantedState: state, wantedConnector: connector },
      moreKeys: some.map((id) => keys.ledger(id)),
    })) as (string | null)[][];
    for (const [i, id] of some.entries()) found.push(rowOf(id, answer[i] ?? null));
  }
  return found;
}

function rowOf(id: string, values: readonly (string | null)[] | null): LedgerRow | null {
  if (values === null) return null;
  const hash: Record<string, string> = {};
  for (const [i, name] of shown.entries()) {
    const value = values[i];
    if (typeof value === 'string') hash[name] = value;
  }
  try {
    return parseRow(id, hash);
  } catch {
    // Of a newer release: it will know how to show it.
    return null;
  }
}

/** When each was accepted; null for one that is gone or does not match. */
export async function readTimes(
  redis: RedisClient,
  keys: ShardKeys,
  ids: readonly string[],
  { state = '', connector = '' }: RowFilter,
): Promise<(number | null)[]> {
  const answer = (await runReading(redis, timesScript, {
    keys: { _anchor: keys.ledger('') },
    args: { wantedState: state, wantedConnector: connector },
    moreKeys: ids.map((id) => keys.ledger(id)),
  })) as (string | null)[];
  return ids.map((_, i) => (answer[i] ? Number(answer[i]) : null));
}
