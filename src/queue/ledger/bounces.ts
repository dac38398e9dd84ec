/** Writes what delivery reports say into the rows of messages: recipient, history, event and counter in one step, and only once. */
import { printable } from '../../errors.ts';
import { luaJournal, luaJournalCount, maxEventRecipientsBytes } from '../journal/lua.ts';
import { luaNow, run, script } from '../lua/script.ts';
import { luaTally } from '../lua/tally.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { ShardKeys } from '../redis/keys.ts';
import type { Shards } from '../redis/shards.ts';
import { storedBounce } from './bounce.ts';
import type { Bounce } from './history.ts';
import type { Location } from './location.ts';
import { luaNote } from './scripts.ts';

/** What a report says of one recipient, as the row was read. */
export interface RecipientBounce {
  /** Place among the recipients of the row. */
  readonly place: number;
  /** As the row has it: a row that is another one by now stays as it is. */
  readonly address: string;
  readonly bounce: Bounce;
}

/**
 * Five values for each recipient: its place, its address, the action, the bounce as JSON, and how the history tells of it. The first failure
 * stays, and so does the first delay until there is a failure: the same report again, or one that contradicts it, changes nothing.
 * A recipient to whom nothing was sent yet cannot have bounced. A delay is no event.
 *
 * → how many recipients were written; -1 without a row. @lua
 */
export const bounceScript = script(
  {
    keys: ['rowKey', 'unsettled', 'bounced'],
    args: ['id', 'at', 'connector'],
    moreArgs: 'bounces',
    allowOom: true,
  },
  /* lua */ `${luaNow}${luaTally}${luaJournal}${luaJournalCount}${luaNote}
local row = redis.call('HMGET', rowKey, 'state', 'recipients', 'bounces', 'moved', 'connector', 'messageId', 'metadata')
if not row[1] or row[4] then return -1 end
local function decoded(text)
  local ok, value = pcall(cjson.decode, text or '{}')
  return ok and type(value) == 'table' and value or {}
end
local recipients, known = decoded(row[2]), decoded(row[3])
local written, failed, said = 0, {}, nil
for i = 1, #bounces, 5 do
  local place, action = bounces[i], bounces[i + 2]
  local recipient, before = recipients[tonumber(place) + 1], known[place]
  local isKnown = type(before) == 'table' and (before.action == 'failed' or action ~= 'failed')
  if type(recipient) == 'table' and recipient.address == bounces[i + 1] and recipient.outcome ~= 'pending' and not isKnown then
    local bounce = cjson.decode(bounces[i + 3])
    known[place] = bounce
    written = written + 1
    if action == 'failed' then
      if #failed == 0 then said = bounces[i + 4] end
      failed[#failed + 1] = { address = recipient.address, bounce = bounce }
    elseif not said then said = bounces[i + 4] end
  end
end
if written == 0 then return 0 end
local kind = #failed > 0 and 'bounced' or 'delayed'
if written > 1 then said = said .. ', and ' .. (written - 1) .. ' more' end
local entry = cjson.encode({ at = tonumber(at), event = kind, connector = connector, detail = said })
redis.call('HSET', rowKey, 'bounces', cjson.encode(known), 'updatedAt', at)
note(entry)
if kind == 'delayed' then return written end
redis.call('ZADD', bounced, at, id)
local lane = row[5] and row[5] ~= '' and row[5] or '-'
local function short(text) return #text <= ${maxEventRecipientsBytes} and text or '' end
local prefix = string.sub(unsettled, 1, -11)
journalCount(prefix, 'bounced', '0', lane)
journalEvent(prefix, 'bounced', 'i', id, 'n', redis.call('HGET', rowKey, 'n'), 's', row[1], 'c', lane, 'e', entry,
  'r', short(row[2]), 'm', row[6] or '', 'd', row[7] or '', 'b', short(cjson.encode(failed)))
return written
`,
);

export interface Bounces {
  /** `connector`: whose mailbox the report was in. → how many recipients were written; null if there is no row now. */
  write(id: string, connector: string, at: number, bounces: readonly RecipientBounce[]): Promise<number | null>;
}

export function createBounces(redis: RedisClient, shards: Shards, location: Location): Bounces {
  const writeIn = async (keys: ShardKeys, id: string, at: number, connector: string, values: (string | number)[]) =>
    Number(
      await run(redis, bounceScript, {
        keys: { rowKey: keys.ledger(id), unsettled: keys.unsettled, bounced: keys.bounced },
        args: { id, at, connector },
        moreArgs: values,
      }),
    );
  return {
    async write(id, connector, at, bounces) {
      if (bounces.length === 0) return 0;
      const values = bounces.flatMap(({ place, address, bounce }) => [
        place,
        address,
        bounce.action,
        storedBounce(bounce),
        saidOf(address, bounce),
      ]);
      const { shard, from } = await location.read(id);
      for (const each of [shard, from]) {
        const written = each === null ? -1 : await writeIn(shards.all[each] ?? shards.home, id, at, connector, values);
        if (written >= 0) return written;
      }
      return null;
    },
  };
}

/** What the history tells of it: who, and why. */
function saidOf(address: string, { status, smtpCode, diagnostic }: Bounce): string {
  const reason = diagnostic ?? ([smtpCode, status].filter(Boolean).join(' ') || 'no reason given');
  return printable(`${address}: ${reason}`, 300);
}
