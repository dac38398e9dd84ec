/**
 * Bodies as they are stored, in jobs, dead letters and jobs that are kept: those that another key has sealed than the one that seals now, a
 * page at a time; and their replacement, where they are unchanged and no worker has them.
 */
import type { KeyName } from '../sealing/keyring.ts';
import type { Sealing } from '../sealing/sealing.ts';
import { contentKey, rekeyContent, type ContentRekeyed } from './ledger/content-rekey.ts';
import { resealedLetter, type LetterResealed } from './ledger/letter-data.ts';
import { resealedHash, type HashPlace, type HashResealed } from './sealed-hash.ts';
import type { HomeKeys } from './redis/keys.ts';
import { jobFields, lockName, ownFields } from './bullmq/layout.ts';
import { run, script } from './lua/script.ts';
import type { RedisClient } from './redis/connection.ts';

/** Dead letters have it beside their data. */
const formField = 'form';
/** Of one page: as much as holds up Redis for some milliseconds. */
const pageBytes = 4 * 1024 * 1024;

/**
 * `mark`: what a text has that the key in force has sealed; no other has it outside of a string of JSON, where its quotation marks would be
 * escaped. What is sealed as a whole may have another text inside, so it is answered in any case. → how many places were looked at, then
 * number, data, form, routing, time and hash of each that was found.
 */
export const bodiesScript = script(
  { keys: [], args: ['mark', 'pageBytes', 'mostBytes'], moreKeys: 'places' },
  /* lua */ `
local answer, bytes = { 0 }, 0
for i, place in ipairs(places) do
  local size = redis.pcall('HSTRLEN', place, '${jobFields.data}')
  if type(size) == 'number' and size > 0 and size <= tonumber(mostBytes) then
    if bytes > 0 and bytes + size > tonumber(pageBytes) then return answer end
    bytes = bytes + size
    local found = redis.call('HMGET', place, '${jobFields.data}', '${formField}', '${ownFields.routing}', '${jobFields.addedAt}')
    local data, form = found[1], found[2] or ''
    if string.sub(form, 1, 7) == 'sealed-' or not string.find(data, mark, 1, true) then
      answer[#answer + 1] = { i, data, form, found[3] or '', found[4] or '', redis.sha1hex(data) }
    end
  end
  answer[1] = i
end
return answer
`,
);

/** → 'ok'; 'busy': a worker has the job; 'changed': it is not there any more, or another one. */
export const replaceBodyScript = script(
  { keys: ['place', 'lock'], args: ['sha1', 'form', 'data', 'newForm'] },
  /* lua */ `
if redis.call('EXISTS', lock) == 1 then return 'busy' end
if redis.call('TYPE', place).ok ~= 'hash' then return 'changed' end
local now = redis.call('HMGET', place, '${jobFields.data}', '${formField}')
if not now[1] or redis.sha1hex(now[1]) ~= sha1 or (now[2] or '') ~= form then return 'changed' end
redis.call('HSET', place, '${jobFields.data}', data)
if newForm ~= form then redis.call('HSET', place, '${formField}', newForm) end
return 'ok'
`,
);

/** Writes another value, which ends when the one before would have. → 1 if it did; 0 if there is another one by now. @lua */
export const replaceHashScript = script(
  { keys: ['place'], args: ['before', 'after'] },
  /* lua */ `
if redis.call('GET', place) ~= before then return 0 end
redis.call('SET', place, after, 'KEEPTTL')
return 1
`,
);

export interface StoredBody {
  readonly place: string;
  readonly data: string;
  /** Of a dead letter; else ''. */
  readonly form: string;
  /** What the router says of a job whose data is as its producer wrote it. */
  readonly routing: string;
  /** When its job was added, ms since the epoch. */
  readonly timestamp: number;
  readonly sha1: string;
}

interface StoredHash {
  /** Its key in Redis. */
  readonly key: string;
  readonly value: string;
  readonly resealed: Exclude<HashResealed, { readonly kind: 'same' }>;
}

export interface Rekeying {
  /** All places are in one shard. `print`: of the key that seals. */
  findBodies(places: readonly string[], print: string, mostBytes: number): AsyncGenerator<StoredBody>;
  /** Writes other data in its place. `busy`: a worker has the job. `changed`: it is gone, or another one. */
  replaceBody(body: StoredBody, data: string, form: string): Promise<'ok' | 'busy' | 'changed'>;
  /** A dead letter, sealed with the key that seals now. */
  resealLetter(id: string, body: StoredBody): LetterResealed;
  /** Hashes under these names, sealed with the key that seals now. What needs nothing is left out. */
  findHashes(place: HashPlace, names: readonly string[]): Promise<readonly StoredHash[]>;
  /** false if there is another one by now. */
  replaceHash(hash: StoredHash, value: string): Promise<boolean>;
  /** The key with which a stored content is sealed; null: none. */
  contentKey(ref: string): Promise<KeyName | null>;
  /** Seals a stored content anew. `token`: of the run. */
  rekeyContent(ref: string, token: string): Promise<ContentRekeyed>;
}

export function createRekeying(redis: RedisClient, home: HomeKeys, sealing: () => Sealing): Rekeying {
  return {
    contentKey: (ref) => contentKey(redis, home, ref),
    rekeyContent: (ref, token) => rekeyContent(redis, home, ref, sealing(), token),
    resealLetter: (id, { form, data }) => resealedLetter(id, form, data, sealing()),

    async findHashes(place, names) {
      if (names.length === 0) return [];
      const keys = names.map((name) => (place === 'print' ? home.print(name) : home.idempotency(name)));
      const values = await redis.mget(keys);
      return values.flatMap((value, i): StoredHash[] => {
        const resealed = value === null ? null : resealedHash(place, names[i]!, value, sealing());
        return value === null || resealed === null || resealed.kind === 'same'
          ? []
          : [{ key: keys[i]!, value, resealed }];
      });
    },

    async replaceHash({ key, value }, after) {
      return (await run(redis, replaceHashScript, { keys: { place: key }, args: { before: value, after } })) === 1;
    },

    async *findBodies(places, print, mostBytes) {
      for (let rest = places; rest.length > 0;) {
        const [looked, ...found] = (await run(redis, bodiesScript, {
          keys: {},
          args: { mark: `"f":"${print}"`, pageBytes, mostBytes },
          moreKeys: rest,
        })) as [number, ...[number, string, string, string, string, string][]];
        for (const [i, data, form, routing, timestamp, sha1] of found) {
          yield { place: rest[i - 1]!, data, form, routing, timestamp: Number(timestamp) || 0, sha1 };
        }
        rest = rest.slice(looked);
      }
    },

    async replaceBody({ place, sha1, form }, data, newForm) {
      const keys = { place, lock: lockName(place) };
      const answer = await run(redis, replaceBodyScript, { keys, args: { sha1, form, data, newForm } });
      return answer === 'ok' || answer === 'busy' ? answer : 'changed';
    },
  };
}
