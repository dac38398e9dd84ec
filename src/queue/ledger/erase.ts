/**
 * Erases what is personal of a message that has ended: content, addresses, replies, delivery reports, sender, subject,
 * metadata and Message-ID. The row keeps its state, its connector, its times and the codes of replies. One step per message, so that
 * nothing is left half erased.
 */
import { luaNow, run, script } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { ShardKeys } from '../redis/keys.ts';

/** What stands in the place of an address. */
const erasedAddress = 'erased';

/**
 * `entries`: names of sets of the search index, each followed by the member to be removed. → 'erased', 'unknown', or the state that forbids
 * it. Recipients are erased by text, as cjson would turn an empty list into a map. @lua
 */
export const eraseScript = script(
  {
    keys: ['rowKey', 'letterKey', 'letters', 'kept', 'keptIds', 'bounced'],
    args: ['id', 'recipients', 'erasedWord', 'find'],
    moreArgs: 'entries',
    allowOom: true,
  },
  /* lua */ `${luaNow}
local row = redis.call('HGETALL', rowKey)
local state, history = nil, {}
for i = 1, #row, 2 do
  if row[i] == 'state' then state = row[i + 1]
  elseif string.find(row[i], '^h%d+$') then
    local ok, entry = pcall(cjson.decode, row[i + 1])
    if not ok or type(entry) ~= 'table' then entry = { at = 0, event = erasedWord } end
    entry.detail = nil
    entry.tried = nil
    history[#history + 1] = row[i]
    history[#history + 1] = cjson.encode(entry)
  end
end
if not state then return 'unknown' end
if not ({ sent = 1, partial = 1, dead = 1, cancelled = 1 })[state] then return state end
if #history > 0 then redis.call('HSET', rowKey, unpack(history)) end
redis.call('HSET', rowKey, 'recipients', recipients, 'erased', string.format('%.0f', now))
redis.call('HDEL', rowKey, 'from', 'subject', 'metadata', 'messageId', 'attributed', 'again', 'aside', 'bounces')
redis.call('DEL', letterKey, kept)
redis.call('ZREM', letters, id)
redis.call('ZREM', keptIds, id)
redis.call('ZREM', bounced, id)
for i = 1, #entries, 2 do redis.call('ZREM', find .. entries[i], entries[i + 1]) end
return 'erased'
`,
);

/** A recipient as it is kept: how it ended, and by which code. */
export function erasedRecipients(
  recipients: readonly { readonly outcome: string; readonly code: string | null }[],
): string {
  return JSON.stringify(
    recipients.map(({ outcome, code }) => ({ address: erasedAddress, outcome, code, reply: null })),
  );
}

/** → 'erased', 'unknown', or the state of a message that has not ended. */
export async function eraseRow(
  redis: RedisClient,
  keys: ShardKeys,
  id: string,
  recipients: string,
  entries: readonly string[],
): Promise<string> {
  const answer = await run(redis, eraseScript, {
    keys: {
      rowKey: keys.ledger(id),
      letterKey: keys.deadLetter(id),
      letters: keys.dead,
      kept: keys.kept(id),
      keptIds: keys.keptIds,
      bounced: keys.bounced,
    },
    args: { id, recipients, erasedWord: erasedAddress, find: keys.find('') },
    moreArgs: entries,
  });
  return String(answer);
}
