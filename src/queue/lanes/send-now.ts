/** A deferred message is tried at once: its job goes to the front of its lane, and its row says why. */
import { luaReturnToFront } from '../bullmq/layout.ts';
import { luaNote } from '../ledger/scripts.ts';
import { run, script } from '../lua/script.ts';
import { jobIdOf } from '../redis/job-ids.ts';
import type { HistoryEntry } from '../ledger/row.ts';
import type { LaneContext } from './context.ts';
import type { ReadyLanes } from './ready.ts';

/**
 * `state`: it is not deferred. `uncertain`: its last attempt may have delivered it. `set-aside`: other messages are to show whose fault its
 * refusal was. `waiting`: it is in line already, or being sent.
 */
export type SentNow = 'ok' | 'state' | 'uncertain' | 'set-aside' | 'waiting';

/** @lua */
export const sendNowScript = script(
  { keys: ['rowKey', 'delayed', 'wait', 'job'], args: ['jobId', 'at', 'entry'], allowOom: true },
  /* lua */ `${luaNote}${luaReturnToFront}
local row = redis.call('HMGET', rowKey, 'state', 'open', 'aside', 'recipients')
if row[1] ~= 'deferred' then return 'state' end
if row[2] then return 'waiting' end
if row[3] then return 'set-aside' end
for _, recipient in ipairs(cjson.decode(row[4] or '[]')) do
  if recipient.outcome == 'uncertain' then return 'uncertain' end
end
if not returnToFront(delayed, wait, job, jobId) then return 'waiting' end
redis.call('HSET', rowKey, 'retryAt', '', 'updatedAt', at)
note(entry)
return 'ok'
`,
);

export async function sendNowFrom(
  { redis, shardKeys, laneKeys }: LaneContext,
  { refresh }: Pick<ReadyLanes, 'refresh'>,
  connectorId: string,
  id: string,
  entry: HistoryEntry,
): Promise<SentNow> {
  const keys = shardKeys(connectorId);
  const { delayed, wait } = laneKeys(connectorId);
  const answer = await run(redis, sendNowScript, {
    keys: { rowKey: keys.ledger(id), delayed, wait, job: keys.laneJob(connectorId, id) },
    args: { jobId: jobIdOf(id), at: entry.at, entry: JSON.stringify(entry) },
  });
  if (answer === 'ok') await refresh(connectorId, 'sooner', true);
  return answer as SentNow;
}
