/**
 * What all processes that take requests of callers share of them: the keys under which a message was submitted before, what was submitted
 * under an id, and the rate of each token of the HTTP API, a minute's worth at once and then evenly (GCRA).
 */
import { luaNow, run, script } from './lua/script.ts';
import type { RedisClient } from './redis/connection.ts';
import type { HomeKeys } from './redis/keys.ts';

export { compareHash, sealedHashIn, splitClaim, storedHash, type HashPlace } from './sealed-hash.ts';

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

interface Print {
  readonly value: string;
  /** ms since the epoch. */
  readonly at: number;
}

export interface Callers {
  readonly claimKey: ClaimKey;
  /** The value that stands under the hash; null if there is none. */
  readonly claimed: (hash: string) => Promise<string | null>;
  /** Whether a caller's key is taken. */
  readonly isKeyTaken: (hash: string) => Promise<boolean>;
  /** What was last submitted under the id with a print, and the time of the job that it was stored as; null if there is none. */
  readonly printOf: (id: string) => Promise<Print | null>;
  readonly tokenRate: TokenRate;
}

export function createCallers(redis: RedisClient, keys: HomeKeys): Callers {
  return {
    claimKey: async (hash, value, forMs) =>
      (await redis.set(keys.idempotency(hash), value, 'PX', forMs, 'NX', 'GET')) ?? value,

    claimed: (hash) => redis.get(keys.idempotency(hash)),

    isKeyTaken: async (hash) => (await redis.exists(keys.idempotency(hash))) > 0,

    async printOf(id) {
      const [value = '', at] = (await redis.get(keys.print(id)))?.split(' ') ?? [];
      return value === '' ? null : { value, at: Number(at) };
    },

    async tokenRate(token, perMinute, cost) {
      const costMs = (cost * burstMs) / perMinute;
      const input = { keys: { plan: keys.tokenRate(token) }, args: { costMs, burstMs } };
      return Number(await run(redis, tokenRateScript, input));
    },
  };
}
