/** A text as its part carries it: CRLF line ends, and the encoding that its characters ask for. No step works on more than a slice of it. */
import { joinPieces, type Piece } from './pieces.ts';
import { countText, emptyTextCount, encodingOf, type TextEncoding } from './text-encoding.ts';
import { encodeTextQuotedPrintable } from './text-lines.ts';
import { inSlices, type Turns } from './turns.ts';

export interface TextPart {
  readonly encoding: TextEncoding;
  readonly pieces: readonly Piece[];
}

export async function textPart(text: string, turns: Turns): Promise<TextPart> {
  const { encoding, lines } = await linesOf(text, turns);
  if (encoding === '7bit') return { encoding, pieces: [{ source: lines, start: 0, end: lines.length }] };
  if (encoding === 'base64') return { encoding, pieces: [{ base64: lines }] };
  return { encoding, pieces: await encodeTextQuotedPrintable(lines, turns) };
}

/** The text in UTF-8. Only what is encoded gets its CRLF here; the rest gets it when the mail is written. What is left behind is not kept in memory. */
async function linesOf(text: string, turns: Turns): Promise<{ encoding: TextEncoding; lines: Buffer }> {
  const utf8 = Buffer.from(text, 'utf8');
  let count = emptyTextCount;
  await inSlices(0, utf8.length, turns, (_start, end) => {
    count = countText(count, utf8, end);
  });
  const encoding = encodingOf(count);
  if (encoding === '7bit' || count.lineEnds === count.crlf) return { encoding, lines: utf8 };
  return { encoding, lines: await joinPieces([{ source: utf8, start: 0, end: utf8.length }], turns) };
}
