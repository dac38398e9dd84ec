/** What DATA carries: the server reads the message and nothing else, whatever it contains. */
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import * as fc from 'fast-check';
import DataStream from 'nodemailer/lib/smtp-connection/data-stream';
import { describe, expect, test } from 'vitest';
import { wireBody } from '../../../src/transport/smtp/body.ts';
import { readBody } from '../../../testkit/smtp/body.ts';

function chunksOf(message: Buffer): Buffer[] {
  const body = wireBody(message);
  const chunks: Buffer[] = [];
  for (let part = body.next(); part !== null; part = body.next())
    chunks.push(part.end === null ? part.bytes : Buffer.concat([part.bytes, part.end]));
  return chunks;
}

const onWire = (message: Buffer): Buffer => Buffer.concat(chunksOf(message));

async function byNodemailer(message: Buffer): Promise<Buffer> {
  const source = new PassThrough();
  const out = buffer(source.pipe(new DataStream()));
  source.end(message);
  return out;
}

const pieces = ['\r', '\n', '\r\n', '.', '..', 'a', '\n.\n', '\r\n.\r\n', '\r.\r', '\0', 'ü', 'word'];
const some = fc.array(fc.constantFrom(...pieces), { maxLength: 30 }).map((list) => list.join(''));

/** A recipe, so that a counterexample is short: with `times`, the text lies around the edges of what is written at a time. */
const recipe = fc.record({
  head: some,
  unit: fc.constantFrom(...pieces),
  off: fc.integer({ min: -3, max: 3 }),
  tail: some,
  times: fc.integer({ min: 0, max: 2 }),
});

function cook({ head, unit, off, tail, times }: typeof recipe extends fc.Arbitrary<infer T> ? T : never): Buffer {
  const first = Buffer.from(head);
  const fill = Buffer.alloc(64 * 1024 - first.length + off, unit);
  const last = Buffer.from(tail);
  return Buffer.concat([first, ...Array.from({ length: times }, () => Buffer.concat([fill, last])), last]);
}

describe('a message on the wire', () => {
  test('arrives with CRLF line ends and is otherwise unchanged', () => {
    fc.assert(
      fc.property(recipe, (how) => {
        const message = cook(how);
        const { bytes, rest } = readBody().take(onWire(message));
        const text = message.toString('latin1').replaceAll(/\r\n|\r|\n/g, '\r\n');
        expect(bytes?.toString('latin1')).toBe(text.endsWith('\n') ? text : `${text}\r\n`);
        expect(rest.length).toBe(0);
      }),
      { numRuns: 100 },
    );
  });

  test('attack: contains no line end but CRLF, and no dot alone on a line before its end', () => {
    fc.assert(
      fc.property(recipe, (how) => {
        const message = cook(how);
        const text = `\r\n${onWire(message).toString('latin1')}`;
        expect(/\r(?!\n)|(?<!\r)\n/.exec(text)).toBeNull();
        expect(text.indexOf('\r\n.\r\n')).toBe(text.length - 5);
      }),
      { numRuns: 100 },
    );
  });

  test('equals what nodemailer sends', async () => {
    await fc.assert(
      fc.asyncProperty(recipe, async (how) => {
        const message = cook(how);
        fc.pre(message.length > 0);
        expect(onWire(message).equals(await byNodemailer(message))).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  test('is handed over in pieces, and pieces that need no change are not copied', () => {
    const message = Buffer.from(`${'x'.repeat(78)}\r\n`.repeat(5_000));
    const chunks = chunksOf(message);
    expect(chunks.length).toBe(Math.ceil(message.length / (64 * 1024)));
    expect(chunks.slice(0, -1).every((chunk) => chunk.buffer === message.buffer)).toBe(true);
  });

  test.each<[string, string]>([
    ['LF.LF', 'a\n.\nMAIL FROM:<evil@example.com>\n'],
    ['LF.CRLF', 'a\n.\r\nMAIL FROM:<evil@example.com>\r\n'],
    ['CRLF.LF', 'a\r\n.\nMAIL FROM:<evil@example.com>\n'],
    ['CR.CR', 'a\r.\rMAIL FROM:<evil@example.com>\r'],
    ['CR.CRLF', 'a\r.\r\nMAIL FROM:<evil@example.com>\r\n'],
    ['CRLF.CR', 'a\r\n.\rMAIL FROM:<evil@example.com>\r'],
    ['CRCRLF.CRLF', 'a\r\r\n.\r\nMAIL FROM:<evil@example.com>\r\n'],
    ['LFCR.CRLF', 'a\n\r.\r\nMAIL FROM:<evil@example.com>\r\n'],
    ['NUL before the dot', 'a\r\n\0.\r\n.\r\nMAIL FROM:<evil@example.com>\r\n'],
    ['a dot at the very beginning', '.\r\nMAIL FROM:<evil@example.com>\r\n'],
  ])('attack: %s smuggles no command', (_, text) => {
    const { bytes, rest } = readBody().take(onWire(Buffer.from(text)));
    expect(rest.length).toBe(0);
    expect(bytes?.toString()).toContain('MAIL FROM:<evil@example.com>');
    expect(onWire(Buffer.from(text)).toString()).not.toMatch(/(?:^|[\r\n])\.[\r\n]+MAIL/);
  });
});
