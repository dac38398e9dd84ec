/**
 * The content store: attachments and raw messages too large to travel in jobs, stored once by their SHA-256.
 *
 * Who needs a content is kept as a set of message ids beside it. The last one that is settled takes the content along. A
 * crash between storing and enqueueing leaves an entry that no message needs; maintenance finds it by the time of storing.
 */
import { createHash } from 'node:crypto';
import type { RedisClient } from '../redis/connection.ts';
import { PostlaneError } from '../../errors.ts';
import type { Content, Message } from '../../message/message.ts';
import type { HomeKeys } from '../redis/keys.ts';
import { luaNow, run, script } from '../lua/script.ts';

/** The bytes are the only further argument, or missing. → 1 if the content is stored now. @lua */
export const storeScript = script(
  { keys: ['content', 'refs', 'contents'], args: ['hash', 'id'], moreArgs: 'given' },
  /* lua */ `${luaNow}
if redis.call('EXISTS', content) == 0 then
  if not given[1] then return 0 end
  redis.call('SET', content, given[1])
end
redis.call('SADD', refs, id)
redis.call('ZADD', contents, now, hash)
return 1
`,
);

/** → 1 if that was the last message that needed it. @lua */
export const releaseScript = script(
  { keys: ['content', 'refs', 'contents'], args: ['hash', 'id'] },
  /* lua */ `
redis.call('SREM', refs, id)
if redis.call('SCARD', refs) > 0 then return 0 end
redis.call('DEL', content, refs)
redis.call('ZREM', contents, hash)
return 1
`,
);

export interface ContentStore {
  /** Stores bytes for a message; → the reference. The bytes travel only if Redis does not have them. */
  put(messageId: string, bytes: Buffer): Promise<{ ref: string; size: number }>;
  /** Says that a message needs stored contents too; → those that are not there. */
  link(messageId: string, refs: readonly string[]): Promise<string[]>;
  /** The bytes of any content. Throws `attachment-missing` if they are gone or are not what their hash says. */
  read(content: Content): Promise<Buffer>;
  /** Throws as `read` does, and never has more than a few megabytes in memory. */
  verify(content: Content): Promise<void>;
  /**
   * The bytes from `start` up to `end`. What is stored is never changed, so that one `verify` answers for all its ranges.
   * Throws `attachment-missing` if there are fewer.
   */
  range(content: Content, start: number, end: number): Promise<Buffer>;
  /** Takes a settled message off the contents it needed. */
  release(messageId: string, refs: readonly string[]): Promise<void>;
  /** Hashes stored before `before` (ms), with the ids that need them. */
  olderThan(before: number, limit: number): Promise<{ ref: string; messageIds: string[] }[]>;
}

/** Contents younger than this may belong to a message that is being enqueued, in ms. */
export const contentGraceMs = 3_600_000;

/** The hashes that a message refers to. */
export function refsOf(message: Message): string[] {
  const contents: Content[] = [...message.attachments, ...(message.raw === undefined ? [] : [message.raw])];
  return [...new Set(contents.flatMap((content) => ('ref' in content ? [content.ref] : [])))];
}

/** Of one range: as much as costs a round trip little, and memory little. */
const rangeBytes = 4 * 1024 * 1024;

export function createContentStore(redis: RedisClient, keys: HomeKeys): ContentStore {
  const inputFor = (ref: string, id: string) => ({
    keys: { content: keys.content(ref), refs: keys.contentRefs(ref), contents: keys.contents },
    args: { hash: ref, id },
  });
  const range = async (content: Content, start: number, end: number): Promise<Buffer> => {
    if (!('ref' in content)) return Buffer.from(content.content, content.encoding).subarray(start, end);
    const bytes = await redis.getrangeBuffer(keys.content(content.ref), start, end - 1);
    if (bytes.length !== end - start) throw missing(content.ref, 'it is not in Redis any more, or has become shorter');
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
      if (hash.digest('hex') !== ref) throw missing(ref, changed);
    },

    async put(messageId, bytes) {
      const ref = createHash('sha256').update(bytes).digest('hex');
      if ((await run(redis, storeScript, inputFor(ref, messageId))) === 0) {
        await run(redis, storeScript, { ...inputFor(ref, messageId), moreArgs: [bytes] });
      }
      return { ref, size: bytes.length };
    },

    async link(messageId, refs) {
      const found = await Promise.all(refs.map((ref) => run(redis, storeScript, inputFor(ref, messageId))));
      return refs.filter((_ref, i) => found[i] === 0);
    },

    async read(content) {
      if (!('ref' in content)) return Buffer.from(content.content, content.encoding);
      const bytes = await redis.getBuffer(keys.content(content.ref));
      if (bytes === null) throw missing(content.ref, 'it is not in Redis any more');
      if (createHash('sha256').update(bytes).digest('hex') !== content.ref) {
        throw missing(content.ref, changed);
      }
      return bytes;
    },

    async release(messageId, refs) {
      await Promise.all(refs.map((ref) => run(redis, releaseScript, inputFor(ref, messageId))));
    },

    async olderThan(before, limit) {
      const refs = await redis.zrangebyscore(keys.contents, '-inf', before, 'LIMIT', 0, limit);
      return Promise.all(refs.map(async (ref) => ({ ref, messageIds: await redis.smembers(keys.contentRefs(ref)) })));
    },
  };
}

const changed = 'the stored bytes are not the ones that were stored';

function missing(ref: string, why: string): PostlaneError {
  return new PostlaneError('attachment-missing', `Stored content ${ref.slice(0, 12)}… cannot be used: ${why}`);
}
