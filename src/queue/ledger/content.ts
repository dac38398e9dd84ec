/**
 * The content store: attachments and raw messages too large to travel in jobs, stored once by their SHA-256, or sealed and by a keyed
 * hash (src/sealing/contents.ts).
 *
 * Who needs a content is kept as a set of message ids beside it. The last one that is settled takes the content along. A
 * crash between storing and enqueueing leaves an entry that no message needs; maintenance finds it by the time of storing.
 */
import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import {
  chunkBytes,
  chunksOf,
  headerBytes,
  isSealedRef,
  keyOfContent,
  openChunks,
  openSize,
  readHeader,
  sealContent,
  sealedRef,
  sealedSize,
} from '../../sealing/contents.ts';
import { unsealed, type Sealing } from '../../sealing/sealing.ts';
import type { RedisClient } from '../redis/connection.ts';
import { keyMissing, PostlaneError, type Issue } from '../../errors.ts';
import type { Content, Message } from '../../message/message.ts';
import type { HomeKeys } from '../redis/keys.ts';
import { luaNow, run, script } from '../lua/script.ts';

/**
 * EVAL asks for the right to read and to write every key that it declares (redis.io/docs/latest/operate/oss_and_stack/management/security/acl,
 * "Key permissions"). A producer's user may write contents and must not read them, so the scripts that producers run get these keys
 * as arguments: each command then asks for its own right. `_anchor` is in the same slot, which is how a Cluster finds the server.
 */
const contentKeys = ['content', 'refs', 'contents'] as const;

/**
 * The bytes are the only further argument, or missing. → how many bytes are stored now; −1 for none. Only if these are `size` is the
 * message added to those that need the content. What else is there, which only a stranger can have put there, is replaced by the
 * bytes, or counts as nothing. @lua
 */
export const storeScript = script(
  { keys: ['_anchor'], args: [...contentKeys, 'hash', 'id', 'size'], moreArgs: 'given' },
  /* lua */ `${luaNow}
local stored = -1
if redis.call('EXISTS', content) == 1 then
  local length = redis.pcall('STRLEN', content)
  if type(length) == 'number' then stored = length end
end
if stored ~= tonumber(size) then
  if not given[1] then return stored end
  redis.call('SET', content, given[1])
  stored = tonumber(size)
end
redis.call('SADD', refs, id)
redis.call('ZADD', contents, now, hash)
return stored
`,
);

/** → 1 if that was the last message that needed it. @lua */
export const releaseScript = script(
  { keys: ['_anchor'], args: [...contentKeys, 'hash', 'id'] },
  /* lua */ `
redis.call('SREM', refs, id)
if redis.call('SCARD', refs) > 0 then return 0 end
redis.call('DEL', content, refs)
redis.call('ZREM', contents, hash)
return 1
`,
);

/** Content by reference, as a message names it. */
export type StoredRef = Extract<Content, { readonly ref: string }>;

export interface ContentFault extends StoredRef {
  /** Bytes in Redis, whose word counts: the message's own is not believed. Null: there is no such content. */
  readonly storedBytes: number | null;
}

export interface ContentStore {
  /** Stores bytes for a message; → the reference. The bytes travel only if Redis does not have them. */
  put(messageId: string, bytes: Buffer): Promise<{ ref: string; size: number }>;
  /** Says that a message needs stored contents too; → those that are not there, or not of the size that the message says. */
  link(messageId: string, stored: readonly StoredRef[]): Promise<ContentFault[]>;
  /**
   * The bytes of any content. Throws `attachment-missing` if they are gone or are not what their hash says, and `key-missing` if they are
   * sealed with a key that is not here.
   */
  read(content: Content): Promise<Buffer>;
  /** Throws as `read` does, and never has more than a few megabytes in memory. */
  verify(content: Content): Promise<void>;
  /**
   * The bytes from `start` up to `end`. What is stored is never changed, so that one `verify` answers for all its ranges.
   * Throws `attachment-missing` if there are fewer, and `key-missing` as `read` does.
   */
  range(content: Content, start: number, end: number): Promise<Buffer>;
  /** Takes a settled message off the contents it needed. */
  release(messageId: string, refs: readonly string[]): Promise<void>;
  /** Hashes stored before `before` (ms), with the ids that need them. */
  olderThan(before: number, limit: number): Promise<{ ref: string; messageIds: string[] }[]>;
}

/** Contents younger than this may belong to a message that is being enqueued, in ms. */
export const contentGraceMs = 3_600_000;

/** The stored contents that a message refers to, each time it does. */
export function storedIn({ attachments, raw }: Message): StoredRef[] {
  const contents: Content[] = [...attachments, ...(raw === undefined ? [] : [raw])];
  return contents.filter((content) => 'ref' in content);
}

/** The hashes that a message refers to. */
export function refsOf(message: Message): string[] {
  return [...new Set(storedIn(message).map(({ ref }) => ref))];
}

/** What a message says wrong of the sizes of stored contents, field by field. */
export function sizeIssues({ attachments, raw }: Message, faults: readonly ContentFault[]): Issue[] {
  const issueOf = (field: string, content: Content): Issue[] => {
    if (!('ref' in content)) return [];
    const fault = faults.find(({ ref, size }) => ref === content.ref && size === content.size);
    if (fault === undefined || fault.storedBytes === null) return [];
    const stored = `${fault.storedBytes} bytes are stored`;
    const message = `is ${content.size}, but ${stored}: not the ones that are meant, which are not in Redis`;
    return [{ field: `${field}.size`, rule: 'content-ref', message }];
  };
  return [
    ...attachments.flatMap((attachment, i) => issueOf(`attachments[${i}]`, attachment)),
    ...(raw === undefined ? [] : issueOf('raw', raw)),
  ];
}

/** Of one range: as much as costs a round trip little, and memory little. */
const rangeBytes = 4 * 1024 * 1024;

export function createContentStore(
  redis: RedisClient,
  keys: HomeKeys,
  sealing: () => Sealing = () => unsealed,
): ContentStore {
  const anchored = { _anchor: keys.acknowledged };
  const keysOf = (ref: string) => ({
    content: keys.content(ref),
    refs: keys.contentRefs(ref),
    contents: keys.contents,
  });
  const link = (id: string, { ref, size }: StoredRef, moreArgs: readonly Buffer[] = []) =>
    run(redis, storeScript, {
      keys: anchored,
      args: { ...keysOf(ref), hash: ref, id, size: storedSize(ref, size) },
      moreArgs,
    });
  /** The chunks that have the range, and the key that the content names: both at once, and once more if it was sealed anew in between. */
  const sealedRange = async ({ ref, size }: StoredRef, start: number, end: number, again = true): Promise<Buffer> => {
    if (end > size) throw missing(ref, short);
    const { first, from, to } = chunksOf(start, end, size);
    const [header, sealed] = await Promise.all([
      redis.getrangeBuffer(keys.content(ref), 0, headerBytes - 1),
      redis.getrangeBuffer(keys.content(ref), from, to - 1),
    ]);
    const name = readHeader(header);
    if (name === null || sealed.length !== to - from) throw missing(ref, short);
    const key = keyOfContent(ref, name, sealing().keyring);
    if (key === null) throw keyMissing(`Stored content ${ref.slice(0, 12)}…`, name.name);
    const bytes = openChunks(sealed, { ref, size, first, name: name.name, key });
    if (bytes !== null) return bytes.subarray(start - first * chunkBytes, end - first * chunkBytes);
    if (again) return sealedRange({ ref, size }, start, end, false);
    throw missing(ref, changed);
  };
  const range = async (content: Content, start: number, end: number): Promise<Buffer> => {
    if (!('ref' in content))
      return Buffer.from(content.content, content.encoding).subarray(start, end === Infinity ? undefined : end);
    // Redis takes an end before the beginning for one that is counted from behind.
    if (end <= start) return Buffer.alloc(0);
    if (isSealedRef(content.ref)) return sealedRange(content, start, end);
    const bytes = await redis.getrangeBuffer(keys.content(content.ref), start, end - 1);
    if (bytes.length !== end - start) throw missing(content.ref, short);
    return bytes;
  };
  return {
    range,

    async verify(content) {
      if (!('ref' in content)) return;
      const { ref, size } = content;
      const hash = createHash('sha256');
      for (let start = 0; start < size; start += rangeBytes) {
        hash.update(await range(content, start, Math.min(start + rangeBytes, size)));
      }
      // Of what is sealed each range is authentic.
      if (!isSealedRef(ref) && hash.digest('hex') !== ref) throw missing(ref, changed);
    },

    async put(messageId, bytes) {
      const { keyring } = sealing();
      if (keyring.sealing !== null) {
        const ref = sealedRef(keyring.sealing, bytes);
        const size = bytes.length;
        if (Number(await link(messageId, { ref, size })) !== sealedSize(size)) {
          const sealed = await sealContent(ref, bytes, keyring.sealing, keyring, turn);
          await link(messageId, { ref, size }, [sealed]);
        }
        return { ref, size };
      }
      const stored = { ref: createHash('sha256').update(bytes).digest('hex'), size: bytes.length };
      if (Number(await link(messageId, stored)) !== stored.size) await link(messageId, stored, [bytes]);
      return stored;
    },

    async link(messageId, stored) {
      const distinct = new Map(stored.map((one) => [`${one.ref} ${one.size}`, one]));
      const faults = await Promise.all(
        [...distinct.values()].map(async ({ ref, size }): Promise<ContentFault[]> => {
          const found = Number(await link(messageId, { ref, size }));
          const storedBytes = found < 0 ? null : isSealedRef(ref) ? openSize(found) : found;
          return found === storedSize(ref, size) ? [] : [{ ref, size, storedBytes }];
        }),
      );
      return faults.flat();
    },

    async read(content) {
      // No more than the message says is read, whatever is stored: that much has been accounted for.
      const bytes = await range(content, 0, 'ref' in content ? content.size : Infinity);
      if (
        'ref' in content &&
        !isSealedRef(content.ref) &&
        createHash('sha256').update(bytes).digest('hex') !== content.ref
      ) {
        throw missing(content.ref, changed);
      }
      return bytes;
    },

    async release(messageId, refs) {
      await Promise.all(
        refs.map((ref) =>
          run(redis, releaseScript, { keys: anchored, args: { ...keysOf(ref), hash: ref, id: messageId } }),
        ),
      );
    },

    async olderThan(before, limit) {
      const refs = await redis.zrangebyscore(keys.contents, '-inf', before, 'LIMIT', 0, limit);
      return Promise.all(refs.map(async (ref) => ({ ref, messageIds: await redis.smembers(keys.contentRefs(ref)) })));
    },
  };
}

function storedSize(ref: string, size: number): number {
  return isSealedRef(ref) ? sealedSize(size) : size;
}

const short = 'it is not in Redis any more, or is shorter than the message says';
const changed = 'the stored bytes are not the ones that were stored';

function missing(ref: string, why: string): PostlaneError {
  return new PostlaneError('attachment-missing', `Stored content ${ref.slice(0, 12)}… cannot be used: ${why}`);
}
