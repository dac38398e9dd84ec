/** Bytes below 0x20 are found wherever they stand, at any place in memory. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { controlsIn } from '../../src/message/control-bytes.ts';

test('the first byte below 0x20 in a range is found, and the end of the range without one', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    // Mostly others, at the edges of what counts.
    fc.array(fc.constantFrom(0x1f, 0x20, 0x20, 0x7f, 0x7f, 0x80, 0x9f, 0xff), { maxLength: 60 }),
  );
  fc.assert(
    fc.property(bytes, fc.nat({ max: 7 }), fc.nat({ max: 60 }), fc.nat({ max: 60 }), (list, offset, one, other) => {
      const found = Buffer.concat([Buffer.alloc(offset, 1), Uint8Array.from(list)]).subarray(offset);
      const [start, end] = [one, other].map((at) => Math.min(at, found.length)).toSorted((a, b) => a - b);
      const first = found.findIndex((byte, at) => at >= start! && at < end! && byte < 0x20);
      expect(controlsIn(found)(start!, end!)).toBe(first < 0 ? end : first);
    }),
    { numRuns: 2_000 },
  );
});

test('an empty text has none', () => {
  expect(controlsIn(Buffer.alloc(0))(0, 0)).toBe(0);
});
