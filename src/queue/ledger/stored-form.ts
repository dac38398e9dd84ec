/** The form of all that an installation has stored: read by workers and operators before they act, noted by the first worker. */
import { luaNow, run, script } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { HomeKeys } from '../redis/keys.ts';
import { storedForm, versionKind } from '../redis/versions.ts';

/** `waits`: a later release keeps its data here in a form that this one does not know. */
export type FormAnswer = { readonly kind: 'fits' } | { readonly kind: 'waits'; readonly reads: number };

/** One HGET. What is no number is as good as nothing: it was not written by a release. */
export async function readForm(redis: RedisClient, { format }: Pick<HomeKeys, 'format'>): Promise<FormAnswer> {
  const reads = Number((await redis.hget(format, 'reads')) ?? storedForm.reads);
  return versionKind(reads, storedForm.version) === 'newer' ? { kind: 'waits', reads } : { kind: 'fits' };
}

/** Older workers look at the form every 10 s; this long after it was raised none of them takes mail any more, in ms. */
const raisedMs = 30_000;

/** → ms until it may be written. @lua */
export const noteScript = script(
  { keys: ['format'], args: ['version', 'reads', 'raisedMs'], allowOom: true },
  /* lua */ `${luaNow}
local found = redis.call('HMGET', format, 'reads', 'raised', 'version')
if not found[1] then
  redis.call('HSET', format, 'version', version, 'reads', reads)
  return 0
end
if tonumber(found[3] or '0') < tonumber(version) then redis.call('HSET', format, 'version', version) end
if tonumber(found[1]) < tonumber(reads) then
  redis.call('HSET', format, 'reads', reads, 'raised', string.format('%.0f', now))
  return tonumber(raisedMs)
end
return math.max(0, tonumber(found[2] or '0') + raisedMs - now)
`,
);

/**
 * Notes the form of this release, where there is none or an older one; a later one stays. Workers of the older one stop then. → ms until
 * what they would not read may be written.
 */
export async function noteForm(redis: RedisClient, { format }: Pick<HomeKeys, 'format'>): Promise<number> {
  const { version, reads } = storedForm;
  return Number(await run(redis, noteScript, { keys: { format }, args: { version, reads, raisedMs } }));
}
