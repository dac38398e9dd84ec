/** What maintenance does for the search index: notes what is indexed, cuts the list of the last messages, removes days that are over. */
import type { RedisClient } from '../redis/connection.ts';
import type { Shards } from '../redis/shards.ts';
import { luaNow, run, script } from '../lua/script.ts';
import { noteFields, removeOldDay } from './days.ts';
import type { IndexSettings } from './index-entries.ts';

/** Messages of a shard in the list of those that were routed last, and in that of those that came back. */
export const mostRecent = 10_000;

/** A script, as a full Redis refuses the plain command. @lua */
export const cutScript = script(
  { keys: ['recent', 'bounced'], args: ['most'], allowOom: true },
  /* lua */ `
redis.call('LTRIM', recent, 0, most - 1)
redis.call('ZREMRANGEBYRANK', bounced, 0, -most - 1)
`,
);

/** Those whose content has expired. @lua */
export const forgetKeptScript = script(
  { keys: ['kept'], allowOom: true },
  /* lua */ `${luaNow}
redis.call('ZREMRANGEBYSCORE', kept, '-inf', string.format('%.0f', now))
`,
);

export interface Upkeep {
  /** Notes what is indexed from now on. */
  noteFields(settings: IndexSettings): Promise<void>;
  /** One day of the index a round, at most, in each shard. */
  round(now: number): Promise<void>;
  /** Gives up contents that are kept of sent messages, those that end first, as new mail has no room. → how many. */
  dropKept(most: number): Promise<number>;
}

export function createUpkeep(redis: RedisClient, { all }: Shards): Upkeep {
  return {
    async noteFields(settings) {
      await Promise.all(all.map((keys) => noteFields(redis, keys, settings)));
    },
    async round(now) {
      for (const keys of all) {
        const { recent, bounced } = keys;
        await run(redis, cutScript, { keys: { recent, bounced }, args: { most: mostRecent } });
        await run(redis, forgetKeptScript, { keys: { kept: keys.keptIds } });
        await removeOldDay(redis, keys, now);
      }
    },
    async dropKept(most) {
      let dropped = 0;
      for (const keys of all) {
        const ids = await redis.zrange(keys.keptIds, 0, String(most - 1));
        if (ids.length === 0) continue;
        await redis.unlink(...ids.map((id) => keys.kept(id)));
        await redis.zrem(keys.keptIds, ...ids);
        dropped += ids.length;
      }
      return dropped;
    },
  };
}
