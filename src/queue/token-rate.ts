/** The rate of a token of the HTTP API, the same for all processes that serve it: a minute's worth at once, then evenly (GCRA). */
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

export function createTokenRate(redis: RedisClient, keys: HomeKeys): TokenRate {
  return async (token, perMinute, cost) => {
    const costMs = (cost * burstMs) / perMinute;
    const answer = await run(redis, tokenRateScript, {
      keys: { plan: keys.tokenRate(token) },
      args: { costMs, burstMs },
    });
    return Number(answer);
  };
}
