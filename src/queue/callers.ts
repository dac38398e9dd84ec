/**
 * What all processes that take requests of callers share of them: the keys under which a message was submitted before, what was submitted
 * under an id, and the rate of each
 * token of the HTTP API, a minute's worth at once and then evenly (GCRA).
 */
import { luaNow, run, script } from './lua/script.ts';
import type { RedisClient } from './redis/connection.ts';
import type { HomeKeys } from './redis/keys.ts';

/** How much is allowed at once, in ms of the rate. */
const burstMs = 60_000;

/** → ms until so much is allowed; 0 if it is now, and was counted. What is refused is not counted. @lua */
export const tokenRateScript = script(
  { keys: ['plan'], args: ['costMs', 'burstMs'], allowOom: true },
  /* lua */ `
${luaNow}
local from = math.max(tonumber(redis.call('GET', plan) or '0') or 0, now)
local after = from + tonumber(costMs)
local wait = after - now - tonumber(burstMs)
if wait > 0.5 then return math.ceil(wait) end
redis.call('SET', plan, string.format('%.3f', after), 'PX', math.ceil(after - now) + 1)
return 0
`,
);

/** → ms to wait; 0 if `cost` requests are allowed now. */
export type TokenRate = (token: string, perMinute: number, cost: number) => Promise<number>;

/** Takes a key of a caller, by its hash, for `forMs`. → the value that stands: `value` itself if the key was free. */
export type ClaimKey = (hash: string, value: string, forMs: number) => Promise<string>;

export interface Callers {
  readonly claimKey: ClaimKey;
  /** What was submitted under the id, as it was stored with its message; null if that said nothing. */
  readonly printOf: (id: string) => Promise<string | null>;
  readonly tokenRate: TokenRate;
}

export function createCallers(redis: RedisClient, keys: HomeKeys): Callers {
  return {
    claimKey: async (hash, value, forMs) =>
      (await redis.set(keys.idempotency(hash), value, 'PX', forMs, 'NX', 'GET')) ?? value,

    printOf: (id) => redis.get(keys.print(id)),

    async tokenRate(token, perMinute, cost) {
      const costMs = (cost * burstMs) / perMinute;
      const input = { keys: { plan: keys.tokenRate(token) }, args: { costMs, burstMs } };
      return Number(await run(redis, tokenRateScript, input));
    },
  };
}
