/** Sealed contents under attack: each test is named after what the attacker does. */
import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  chunkBytes,
  chunksOf,
  headerBytes,
  keyOfContent,
  openChunks,
  openSize,
  readHeader,
  sealContent,
  sealedRef,
  sealedSize,
} from '../../src/sealing/contents.ts';
import { createSealing } from '../../src/sealing/sealing.ts';

const { keyring } = createSealing({ active: 'k1', keys: { k1: randomBytes(32) } });
const key = keyring.sealing!;
const turn = async (): Promise<void> => undefined;
const stored = async (bytes: Buffer) => {
  const ref = sealedRef(key, bytes);
  return { ref, size: bytes.length, sealed: await sealContent(ref, bytes, key, keyring, turn) };
};

function open({ ref, size, sealed }: { ref: string; size: number; sealed: Buffer }, start: number, end: number) {
  const { first, from, to } = chunksOf(start, end, size);
  const name = readHeader(sealed.subarray(0, headerBytes))!;
  const derived = keyOfContent(ref, name, keyring)!;
  const bytes = openChunks(sealed.subarray(from, to), { ref, size, first, name: name.name, key: derived });
  return bytes?.subarray(start - first * chunkBytes, end - first * chunkBytes) ?? null;
}

const step = chunkBytes + 16;
const content = randomBytes(3 * chunkBytes + 5_000);
const one = await stored(content);

test.each([1, 100, chunkBytes - 1, chunkBytes, chunkBytes + 1, 2 * chunkBytes])(
  'opens what has %i bytes',
  async (size) => {
    const bytes = randomBytes(size);
    const content = await stored(bytes);
    expect(content.sealed).toHaveLength(sealedSize(size));
    expect(openSize(content.sealed.length)).toBe(size);
    expect(open(content, 0, size)!.equals(bytes)).toBe(true);
  },
);

test('opens any range, by the chunks that have it alone', () => {
  const at = fc.nat({ max: content.length - 1 });
  fc.assert(
    fc.property(at, at, (a, b) => {
      const [start, end] = [Math.min(a, b), Math.max(a, b) + 1];
      expect(open(one, start, end)!.equals(content.subarray(start, end))).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test('the same content is stored in the same bytes, under another key in others', async () => {
  expect((await stored(content)).sealed.equals(one.sealed)).toBe(true);
  const other = createSealing({ active: 'k1', keys: { k1: randomBytes(32) } }).keyring;
  expect(sealedRef(other.sealing!, content)).not.toBe(one.ref);
});

describe('who can write to Redis', () => {
  const changed = (edit: (sealed: Buffer) => Buffer) => ({ ...one, sealed: edit(Buffer.from(one.sealed)) });

  test('cannot flip a bit of any chunk', () => {
    for (const at of [headerBytes, headerBytes + step - 1, headerBytes + step, one.sealed.length - 1]) {
      const flipped = changed((sealed) => {
        sealed[at]! ^= 1;
        return sealed;
      });
      expect(open(flipped, 0, one.size)).toBeNull();
    }
  });

  test('cannot exchange two chunks', () => {
    const swapped = changed((sealed) => {
      const first = Buffer.from(sealed.subarray(headerBytes, headerBytes + step));
      sealed.copy(sealed, headerBytes, headerBytes + step, headerBytes + 2 * step);
      first.copy(sealed, headerBytes + step);
      return sealed;
    });
    expect(open(swapped, 0, chunkBytes)).toBeNull();
    expect(open(swapped, 2 * chunkBytes, one.size)).not.toBeNull();
  });

  test('cannot put a chunk of another content in its place', async () => {
    const other = await stored(randomBytes(content.length));
    expect(open({ ...one, sealed: other.sealed }, 0, 10)).toBeNull();
  });

  test('cannot drop the end, nor say that the content is shorter', () => {
    expect(open({ ...one, sealed: one.sealed.subarray(0, -10) }, 3 * chunkBytes, one.size)).toBeNull();
    expect(open({ ...one, size: 3 * chunkBytes }, 0, chunkBytes)).toBeNull();
    expect(open({ ...one, sealed: one.sealed.subarray(0, headerBytes + 8) }, 0, 10)).toBeNull();
  });

  test('cannot write a header that is read beyond its end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const name = readHeader(Buffer.from(bytes));
        expect(name === null || name.name.length <= 32).toBe(true);
      }),
    );
    const long = Buffer.from(one.sealed.subarray(0, headerBytes));
    long[12] = 255;
    expect(readHeader(long)).toBeNull();
  });
});
