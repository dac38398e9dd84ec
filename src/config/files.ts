/**
 * Reads files that an operator names: regular files of bounded size.
 *
 * A path can lead to anything, and can lead elsewhere at the next reload: a FIFO or a terminal would block, a device such as
 * /dev/zero never ends. So the file is opened without blocking, looked at through the open handle rather than by its path, and
 * read up to the limit, whatever size it claims to have.
 */
import { constants, type Stats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';

/** `problem` completes "cannot be read (…)". It never contains anything from the file. */
export type FileRead = { readonly ok: true; readonly bytes: Buffer } | FileProblem;
export type TextRead = { readonly ok: true; readonly text: string } | FileProblem;
export interface FileProblem {
  readonly ok: false;
  readonly problem: string;
}

/** Limit of the configuration and of each file that it references; 15,000 connectors have about as much. */
export const maxConfigFileBytes = 1024 * 1024;

const firstChunkBytes = 64 * 1024;

/** Never rejects. */
export async function readRegularFile(path: string, maxBytes: number): Promise<FileRead> {
  let handle: FileHandle;
  try {
    // Windows has neither flag, nor FIFOs in the file system.
    handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0));
  } catch (thrown) {
    return { ok: false, problem: codeOf(thrown) };
  }
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) return { ok: false, problem: `it is ${kindOf(stats)}, not a regular file` };
    if (stats.size > maxBytes) return tooLarge(maxBytes);
    return await readUpTo(handle, stats.size, maxBytes);
  } catch (thrown) {
    return { ok: false, problem: codeOf(thrown) };
  } finally {
    await handle.close();
  }
}

/** The size is a hint only: files of /proc claim to be empty, and a file may grow while it is read. */
async function readUpTo(handle: FileHandle, size: number, maxBytes: number): Promise<FileRead> {
  let buffer = Buffer.allocUnsafe(Math.min(Math.max(size, firstChunkBytes), maxBytes) + 1);
  let length = 0;
  for (;;) {
    const { bytesRead } = await handle.read(buffer, length, buffer.length - length, null);
    length += bytesRead;
    if (length > maxBytes) return tooLarge(maxBytes);
    if (bytesRead === 0) return { ok: true, bytes: buffer.subarray(0, length) };
    if (length === buffer.length) {
      const larger = Buffer.allocUnsafe(Math.min(buffer.length * 2, maxBytes + 1));
      buffer.copy(larger, 0, 0, length);
      buffer = larger;
    }
  }
}

/** UTF-8 without a byte order mark. Anything else would become U+FFFD in silence: a password that no server accepts. */
export function decodeText(bytes: Uint8Array): TextRead {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return { ok: false, problem: 'it is not UTF-8 text' };
  }
  return text.includes('\0') ? { ok: false, problem: 'it contains a NUL character' } : { ok: true, text };
}

export function tooLarge(maxBytes: number): FileProblem {
  return { ok: false, problem: `it has more than ${maxBytes} bytes` };
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a directory';
  if (stats.isFIFO()) return 'a FIFO';
  if (stats.isSocket()) return 'a socket';
  return 'a device';
}

/** `ENOENT` and the like; the message of an error could quote more than it should. */
function codeOf(thrown: unknown): string {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  return typeof code === 'string' ? code : 'unreadable';
}
