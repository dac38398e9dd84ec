/** Ends a message whose row still is as it was read: one that has changed since may have taken its message to another lane. */
import { run, script } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { ShardKeys } from '../redis/keys.ts';
import { newRowOf, type LedgerRow } from './row.ts';
import { luaSettle, settleShape } from './scripts.ts';
import { settleInput, type Settlement } from './settle-input.ts';

/**
 * As `settleScript`. Each move names another connector, or notes its time. → 'late' where the row has changed.
 * @lua
 */
export const settleUnchangedScript = script(
  { ...settleShape, args: [...settleShape.args, 'connectorThen', 'updatedThen'] },
  /* lua */ `${luaSettle}
local is = redis.call('HMGET', rowKey, 'connector', 'updatedAt')
if (is[1] or '') ~= connectorThen or tonumber(is[2] or '0') ~= tonumber(updatedThen) then return 'late' end
return settle()
`,
);

/** `keys`: of the shard that the row is in. → false if it has changed, or is gone. */
export async function settleUnchanged(
  redis: RedisClient,
  keys: ShardKeys,
  row: LedgerRow,
  settlement: Settlement,
  forms: Parameters<typeof settleInput>[4],
): Promise<boolean> {
  const { args, ...input } = settleInput(keys, newRowOf(row), null, settlement, forms);
  const then = { connectorThen: row.connector ?? '', updatedThen: row.updatedAt };
  return (await run(redis, settleUnchangedScript, { ...input, args: { ...args, ...then } })) === 'ok';
}
