/**
 * How it stands with each webhook: what is open, what came of deliveries, and whether it is switched off; shared by all processes.
 *
 *   webhooks            ids of which something is kept
 *   webhook:ID          `delivered`, `failed`, `dead` counts; `failures` in a row, since `failingSince`; `lastAt`, `lastReason`,
 *                       `deliveredAt`; `off` (gone, failing) since `offAt`
 *   webhook:ID:open     event id → its time
 *   webhook:ID:order    MESSAGE SEQUENCE EVENT, for webhooks that are ordered
 *   webhook:ID:lease    the process that reads events for it
 */
import type { RedisClient } from '../redis/connection.ts';
import type { HomeKeys } from '../redis/keys.ts';
import { luaNow, script } from '../lua/script.ts';

/** An endpoint that answers nothing with success for so long is switched off, in ms. */
export const failingMs = 259_200_000;

export type OffReason = 'gone' | 'failing';

export interface WebhookState {
  readonly off: OffReason | null;
  /** Times are ms since the epoch; null: never. */
  readonly offAt: number | null;
  readonly delivered: number;
  readonly failed: number;
  readonly dead: number;
  /** In a row. */
  readonly failures: number;
  readonly failingSince: number | null;
  readonly failedAt: number | null;
  readonly lastReason: string | null;
  readonly deliveredAt: number | null;
}

/** What is to be delivered from now on. */
export const openScript = script(
  { keys: ['webhooks', 'open', 'order'], args: ['id'], moreArgs: 'entries', allowOom: true },
  /* lua */ `
redis.call('SADD', webhooks, id)
for i = 1, #entries, 3 do
  redis.call('ZADD', open, 'NX', entries[i + 1], entries[i])
  if entries[i + 2] ~= '' then redis.call('ZADD', order, 0, entries[i + 2]) end
end
`,
);

/** One delivery is over, or came to nothing. → [failures in a row before it, 1 if the webhook was switched off now]. */
export const noteScript = script(
  {
    keys: ['webhook', 'open', 'order'],
    args: ['outcome', 'event', 'member', 'reason', 'failingMs'],
    allowOom: true,
  },
  /* lua */ `${luaNow}
local at = string.format('%.0f', now)
local before = tonumber(redis.call('HGET', webhook, 'failures') or '0')
redis.call('HINCRBY', webhook, outcome, 1)
if outcome ~= 'failed' then
  redis.call('ZREM', open, event)
  if member ~= '' then redis.call('ZREM', order, member) end
end
if outcome == 'delivered' then
  redis.call('HSET', webhook, 'deliveredAt', at)
  redis.call('HDEL', webhook, 'failures', 'failingSince')
  return { before, 0 }
end
redis.call('HINCRBY', webhook, 'failures', 1)
redis.call('HSETNX', webhook, 'failingSince', at)
redis.call('HSET', webhook, 'lastReason', reason, 'lastAt', at)
local since = tonumber(redis.call('HGET', webhook, 'failingSince'))
if now - since > tonumber(failingMs) and redis.call('HSETNX', webhook, 'off', 'failing') == 1 then
  redis.call('HSET', webhook, 'offAt', at)
  return { before, 1 }
end
return { before, 0 }
`,
);

/** → 1 if it was on. */
export const offScript = script(
  { keys: ['webhooks', 'webhook'], args: ['id', 'why', 'reason'], allowOom: true },
  /* lua */ `${luaNow}
redis.call('SADD', webhooks, id)
if redis.call('HSETNX', webhook, 'off', why) == 0 then return 0 end
local at = string.format('%.0f', now)
redis.call('HSET', webhook, 'offAt', at, 'lastReason', reason, 'lastAt', at)
return 1
`,
);

export function stateKeys(keys: HomeKeys, id: string) {
  return { webhook: keys.webhook(id), open: keys.webhookOpen(id), order: keys.webhookOrder(id) };
}

export async function readState(redis: RedisClient, keys: HomeKeys, id: string): Promise<WebhookState> {
  const found = await redis.hgetall(keys.webhook(id));
  const number = (name: string): number | null => {
    const value = Number(found[name] || Number.NaN);
    return Number.isFinite(value) ? value : null;
  };
  const off = found['off'];
  return {
    off: off === undefined ? null : off === 'gone' ? 'gone' : 'failing',
    offAt: number('offAt'),
    delivered: number('delivered') ?? 0,
    failed: number('failed') ?? 0,
    dead: number('dead') ?? 0,
    failures: number('failures') ?? 0,
    failingSince: number('failingSince'),
    failedAt: number('lastAt'),
    lastReason: found['lastReason'] ?? null,
    deliveredAt: number('deliveredAt'),
  };
}
