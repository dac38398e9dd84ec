/**
 * Packs many inputs of a script as one argument, an array of MessagePack that `cmsgpack.unpack` takes apart. A hundred short arguments
 * cost a worker four times as much, because the Redis client looks at each of them several times, and Redis a quarter more.
 * Source of the form: https://github.com/msgpack/msgpack/blob/master/spec.md
 */
import type { ScriptValue } from './script.ts';

export interface Packing {
  /** A whole number from 0 to below 2³², which Lua sees as a number. */
  number(value: number): void;
  /** Lua sees text, also of a number: what it sees in ARGV. */
  value(value: ScriptValue): void;
  /** All since the last call. */
  take(): Buffer;
}

/** A byte for the kind and four for the length. */
const headBytes = 5;
const array32 = 0xdd;
const text16 = 0xda;
const text32 = 0xdb;
const number32 = 0xce;

export function createPacking(): Packing {
  // It grows with what is packed, up to some times the bound of a turn.
  let bytes = Buffer.allocUnsafe(32 * 1024);
  let length = headBytes;
  let count = 0;

  const makeRoom = (more: number): void => {
    count += 1;
    if (length + more <= bytes.length) return;
    const larger = Buffer.allocUnsafe(2 * (length + more));
    bytes.copy(larger, 0, 0, length);
    bytes = larger;
  };

  return {
    number(value) {
      makeRoom(headBytes);
      if (value < 0x80) {
        bytes[length] = value;
        length += 1;
      } else {
        bytes[length] = number32;
        length = bytes.writeUInt32BE(value, length + 1);
      }
    },
    value(value) {
      const given = typeof value === 'number' ? String(value) : value;
      // One UTF-16 unit has at most three bytes in UTF-8.
      const most = headBytes + 3 * given.length;
      makeRoom(most);
      const head = most < 0x10000 ? 3 : headBytes;
      const size = typeof given === 'string' ? bytes.write(given, length + head) : given.copy(bytes, length + head);
      if (head === headBytes) {
        bytes[length] = text32;
        bytes.writeUInt32BE(size, length + 1);
      } else {
        bytes[length] = text16;
        bytes[length + 1] = size >> 8;
        bytes[length + 2] = size & 0xff;
      }
      length += head + size;
    },
    take() {
      bytes[0] = array32;
      bytes.writeUInt32BE(count, 1);
      // A copy: the Redis client keeps what it has not sent, or may have to send again.
      const taken = Buffer.from(bytes.subarray(0, length));
      length = headBytes;
      count = 0;
      return taken;
    },
  };
}
