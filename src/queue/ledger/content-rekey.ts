/**
 * Seals a stored content anew, with the key that seals now. It keeps its reference and its size, so that nothing that names it changes.
 *
 * It is built beside the one in use, some chunks at a time, and takes its place in one step. Readers go on meanwhile: each range is read
 * with the header that names its key, and once more where the two are not of one content (content.ts). What a crash leaves ends by itself.
 */
import { setImmediate as turn } from 'node:timers/promises';
import {
  anew,
  chunkBytes,
  chunksOf,
  headerBytes,
  headerOf,
  isSealedRef,
  keyOfContent,
  openChunks,
  openSize,
  readHeader,
  sealChunks,
  sealedSize,
} from '../../sealing/contents.ts';
import type { KeyName } from '../../sealing/keyring.ts';
import type { Sealing } from '../../sealing/sealing.ts';
import { run, script } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { HomeKeys } from '../redis/keys.ts';

/** Of one step: as much as holds up Redis for some milliseconds. */
const stepBytes = 4 * chunkBytes;
/** A step that takes longer has ended what was built. */
const stagedMs = 600_000;

/** Writes the next bytes. The same step twice is the same. */
export const stageScript = script(
  { keys: ['staged'], args: ['at', 'forMs', 'bytes'] },
  /* lua */ `
redis.call('SETRANGE', staged, at, bytes)
redis.call('PEXPIRE', staged, forMs)
`,
);

/**
 * Puts what was built in the place of the content, if that still has the header that was read. → 1 if it did; 0 if the content is gone or
 * is another one, or what was built has ended.
 */
export const swapScript = script(
  { keys: ['content', 'staged'], args: ['header', 'size'] },
  /* lua */ `
if redis.call('STRLEN', staged) ~= tonumber(size) or redis.call('STRLEN', content) ~= tonumber(size)
  or redis.call('GETRANGE', content, 0, #header - 1) ~= header then
  redis.call('DEL', staged)
  return 0
end
redis.call('RENAME', staged, content)
redis.call('PERSIST', content)
return 1
`,
);

export type ContentRekeyed =
  | { readonly kind: 'sealed' }
  /** The key that seals has sealed it. */
  | { readonly kind: 'same' }
  /** Its last message has ended, or another process has sealed it meanwhile. */
  | { readonly kind: 'changed' }
  | { readonly kind: 'key-missing'; readonly key: string }
  /** It is not what was sealed. */
  | { readonly kind: 'damaged' };

/** With which key a content is sealed; null if with none. */
export async function contentKey(redis: RedisClient, keys: HomeKeys, ref: string): Promise<KeyName | null> {
  if (!isSealedRef(ref)) return null;
  return readHeader(await redis.getrangeBuffer(keys.content(ref), 0, headerBytes - 1));
}

/** `token`: of this run, so that of two at once each builds its own. */
export async function rekeyContent(
  redis: RedisClient,
  keys: HomeKeys,
  ref: string,
  { keyring }: Sealing,
  token: string,
): Promise<ContentRekeyed> {
  const active = keyring.sealing;
  const [content, staged] = [keys.content(ref), keys.contentStaged(ref, token)];
  const header = await redis.getrangeBuffer(content, 0, headerBytes - 1);
  if (header.length === 0) return { kind: 'changed' };
  const before = readHeader(header);
  if (before === null || active === null) return { kind: 'damaged' };
  if (before.print === active.print) return { kind: 'same' };
  const oldKey = keyOfContent(ref, before, keyring);
  if (oldKey === null) return { kind: 'key-missing', key: before.name };
  const size = openSize(await redis.strlen(content));
  const after = anew(active);
  const newKey = keyOfContent(ref, after, keyring)!;
  const stage = (at: number, bytes: Buffer): Promise<unknown> =>
    run(redis, stageScript, { keys: { staged }, args: { at, forMs: stagedMs, bytes } });
  await stage(0, headerOf(after));
  for (let start = 0; start < size; start += stepBytes) {
    const { first, from, to } = chunksOf(start, Math.min(start + stepBytes, size), size);
    const sealed = await redis.getrangeBuffer(content, from, to - 1);
    const bytes = openChunks(sealed, { ref, size, first, name: before.name, key: oldKey });
    if (bytes === null) {
      await redis.del(staged);
      const now = await redis.getrangeBuffer(content, 0, headerBytes - 1);
      return { kind: now.equals(header) ? 'damaged' : 'changed' };
    }
    await turn();
    await stage(from, sealChunks(bytes, { ref, size, first, name: after.name, key: newKey }));
  }
  const swapped = await run(redis, swapScript, { keys: { content, staged }, args: { header, size: sealedSize(size) } });
  return { kind: swapped === 1 ? 'sealed' : 'changed' };
}
