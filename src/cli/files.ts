/** Reads the files of a command: regular files or stdin, all together no more than a message may have. */
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { asError } from '../errors.ts';
import { readRegularFile, tooLarge, type FileRead } from '../config/files.ts';
import type { Call } from './command.ts';
import { UsageError } from './failure.ts';

export interface FileReader {
  /** The bytes of the file, or of stdin for `-` with `--eml`. Rejects with a UsageError that names the option. */
  read(option: '--attach' | '--calendar' | '--eml', file: string): Promise<Buffer>;
}

/** `maxBytes`: for all files together. What is left of it bounds each further file, so that none is read in vain. */
export function createFileReader({ cwd, streams }: Pick<Call, 'cwd' | 'streams'>, maxBytes: number): FileReader {
  let leftBytes = maxBytes;
  return {
    async read(option, file) {
      const isStdin = option === '--eml' && file === '-';
      const read = isStdin
        ? await readStream(streams.stdin, leftBytes)
        : await readRegularFile(resolve(cwd, file), leftBytes);
      if (!read.ok) {
        const limit = leftBytes === maxBytes ? '' : ` left of the ${maxBytes} of message.maxSize`;
        throw new UsageError(`${option} ${isStdin ? 'stdin' : file} cannot be read: ${read.problem}${limit}`);
      }
      leftBytes -= read.bytes.length;
      return read.bytes;
    },
  };
}

/** `until`: a character behind which it is not read on, as a terminal has no end. */
export async function readStream(stream: Readable, maxBytes: number, until?: string): Promise<FileRead> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > maxBytes) return tooLarge(maxBytes);
      chunks.push(chunk);
      if (until !== undefined && chunk.includes(until)) break;
    }
  } catch (thrown) {
    return { ok: false, problem: asError(thrown).message };
  }
  return { ok: true, bytes: Buffer.concat(chunks) };
}

/**
 * A message without the line `From sender date` that an mbox file puts before it (RFC 4155). That line is no header field, and
 * with it the message would have none.
 */
export function withoutMboxLine(bytes: Buffer): Buffer {
  if (!bytes.subarray(0, 5).equals(Buffer.from('From '))) return bytes;
  const end = bytes.indexOf(0x0a);
  return end < 0 ? bytes : bytes.subarray(end + 1);
}
