/** The bytes of a message on their way out, and how many of them may have left. */
import { Readable } from 'node:stream';

/** How much of a body may have left: nothing; a part, which the server must discard (RFC 5321 section 4.1.1.4); all, with the final dot. */
export type BodyProgress = 'none' | 'part' | 'whole';

/** A body that tells how much of it has been taken. `whole` is said just before the final dot can be written, never after. */
export function bodyOf(bytes: Buffer): { stream: Readable; progress: () => BodyProgress } {
  const chunkBytes = 64 * 1024;
  let offset = 0;
  let ended = false;
  const stream = new Readable({
    highWaterMark: chunkBytes,
    read() {
      const chunk = bytes.subarray(offset, offset + chunkBytes);
      offset += chunk.length;
      this.push(chunk.length === 0 ? null : chunk);
    },
  });
  stream.once('end', () => {
    ended = true;
  });
  return { stream, progress: () => (ended ? 'whole' : stream.readableDidRead ? 'part' : 'none') };
}
