/** Replies are read the same however they arrive, and whatever a server sends is a reply or an end. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { codeOf, createReplyReader } from '../../../src/transport/smtp/reader.ts';

/** The replies of what arrives in these chunks, and what is left over. */
function read(chunks: readonly Buffer[]): { replies: readonly string[]; rest: string } {
  const reader = createReplyReader();
  const replies = chunks.flatMap((chunk) => reader.take(chunk) ?? ['too large']);
  return { replies, rest: reader.rest() };
}

function everyByte(text: string): Buffer[] {
  return [...Buffer.from(text)].map((byte) => Buffer.from([byte]));
}

describe('a reply', () => {
  test.each<[string, string, readonly string[], string]>([
    ['of one line', '250 2.0.0 ok\r\n', ['250 2.0.0 ok'], ''],
    ['of many lines', '250-a\r\n250-b\r\n250 c\r\n', ['250-a\n250-b\n250 c'], ''],
    ['among others', '250 a\r\n550 b\r\n354 c\r\n', ['250 a', '550 b', '354 c'], ''],
    ['that is not whole', '250 a\r\n421 4.7', ['250 a'], '421 4.7'],
    ['that goes on', '250-a\r\n250-', [], '250-a\n250-'],
    ['ended by a bare line feed', '250 a\n250 b\r\n', ['250 a', '250 b'], ''],
    ['behind empty lines', '\r\n \r\n250 a\r\n', ['250 a'], ''],
    ['that is none', 'what?\r\n', ['what?'], ''],
    ['with digits that are no code', '2500-x\r\n25\r\n', ['2500-x', '25'], ''],
    ['with a bare carriage return inside', '250 a\rb\r\n', ['250 a\rb'], ''],
    ['in UTF-8', '550 grüße 🎉\r\n', ['550 grüße 🎉'], ''],
  ])('%s is read', (_, text, replies, rest) => {
    expect(read([Buffer.from(text)])).toEqual({ replies, rest });
    expect(read(everyByte(text))).toEqual({ replies, rest });
  });

  test('in an old charset keeps its bytes', () => {
    expect(read([Buffer.from('550 gr\xfc\xdfe\r\n', 'latin1')]).replies).toEqual(['550 gr\xfc\xdfe']);
  });

  test('is the same however its chunks are cut', () => {
    const pieces = fc.constantFrom('250', '-', ' ', '\r', '\n', '\r\n', '421 x', 'ü', '🎉', '\0', 'text');
    const cuts = fc.array(fc.nat(200), { maxLength: 8 });
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 40 }), cuts, (some, at) => {
        const bytes = Buffer.from(some.join(''));
        const points = [0, ...at.map((point) => point % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
        const chunks = points.slice(1).map((end, index) => bytes.subarray(points[index], end));
        expect(read(chunks)).toEqual(read([bytes]));
      }),
      { numRuns: 500 },
    );
  });

  test.each<[string, string, number]>([
    ['in one line', 'x'.repeat(10_000), 110],
    ['in lines that go on', '250-and so on\r\n'.repeat(1_000), 80],
  ])('attack: without an end is given up: %s', (_, piece, times) => {
    const reader = createReplyReader();
    const taken = Array.from({ length: times }, () => reader.take(Buffer.from(piece)));
    expect(taken[0]).toEqual([]);
    expect(taken.at(-1)).toBeNull();
  });

  test('attack: that trickles byte by byte, or line by line, takes linear time', () => {
    const reader = createReplyReader();
    const before = process.cpuUsage();
    const byte = Buffer.from('x');
    for (let i = 0; i < 300_000; i += 1) reader.take(byte);
    reader.take(Buffer.from('\n'));
    const line = Buffer.from('250-x\r\n');
    for (let i = 0; i < 100_000; i += 1) reader.take(line);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1e6).toBeLessThan(3);
  });
});

describe('the code of a reply', () => {
  test.each<[string, string | null]>([
    ['250 ok', '250'],
    ['250', '250'],
    ['250-a\n250 b', '250'],
    ['250-a\n250-b\n250', '250'],
    ['250-a\n550 b', null],
    ['550-a\n250-b\n550 c', null],
    ['250-a\n', null],
    ['250-a\nb', null],
    ['250x', null],
    ['2500 ok', null],
    ['25 ok', null],
    ['199 ok', null],
    ['650 ok', null],
    [' 250 ok', null],
    ['', null],
  ])('%j → %s', (reply, code) => {
    expect(codeOf(reply)).toBe(code);
  });
});
