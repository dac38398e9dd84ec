/** The form of all that an installation has stored: read by workers and operators before they act, noted by the first worker. */
import { run, script } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { HomeKeys } from '../redis/keys.ts';
import { storedForm, versionKind } from '../redis/versions.ts';

/** `waits`: a later release keeps its data here in a form that this one does not know. */
export type FormAnswer = { readonly kind: 'fits' } | { readonly kind: 'waits'; readonly reads: number };

/** One HGET. What is no number is as good as nothing: it was not written by a release. */
export async function readForm(redis: RedisClient, { format }: Pick<HomeKeys, 'format'>): Promise<FormAnswer> {
  const reads = Number((await redis.hget(format, 'reads')) ?? storedForm.reads);
  return versionKind(reads) === 'newer' ? { kind: 'waits', reads } : { kind: 'fits' };
}

/** @lua */
export const noteScript = script(
  { keys: ['format'], args: ['version', 'reads'], allowOom: true },
  /* lua */ `
redis.call('HSETNX', format, 'version', version)
redis.call('HSETNX', format, 'reads', reads)
return 1
`,
);

/** Notes the form of this release where none is noted. A later one stays. */
export async function noteForm(redis: RedisClient, { format }: Pick<HomeKeys, 'format'>): Promise<void> {
  const { version, reads } = storedForm;
  await run(redis, noteScript, { keys: { format }, args: { version, reads } });
}
