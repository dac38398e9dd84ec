/** A text as its part carries it: CRLF line ends, and the encoding that its characters ask for. No step works on more than a slice of it. */
import { joinPieces, type Piece } from './pieces.ts';
import { crlfLines, shortText } from './plain-mail.ts';
import {
  countText,
  crlfLength,
  emptyTextCount,
  encodingOf,
  isPlainText,
  type TextCount,
  type TextEncoding,
} from './text-encoding.ts';
import { encodeTextQuotedPrintable } from './text-lines.ts';
import { inSlices, type Turns } from './turns.ts';

export interface TextPart {
  readonly encoding: TextEncoding;
  readonly pieces: readonly Piece[];
}

export async function textPart(text: string, turns: Turns): Promise<TextPart> {
  if (text.length <= shortText) {
    const lines = Buffer.from(crlfLines(text), 'utf8');
    if (isPlainText(lines)) return { encoding: '7bit', pieces: [lines] };
    return encodedPart(lines, countText(emptyTextCount, lines, lines.length), turns);
  }
  const utf8 = Buffer.from(text, 'utf8');
  let count = emptyTextCount;
  await inSlices(0, utf8.length, turns, (_start, end) => {
    count = countText(count, utf8, end);
  });
  return encodedPart(utf8, count, turns);
}

async function encodedPart(utf8: Buffer, count: TextCount, turns: Turns): Promise<TextPart> {
  const encoding = encodingOf(count);
  const lines: Piece = { source: utf8, start: 0, end: utf8.length };
  if (encoding === '7bit') return { encoding, pieces: [lines] };
  if (encoding === 'quoted-printable') {
    return { encoding, pieces: await encodeTextQuotedPrintable(utf8, crlfLength(count), turns) };
  }
  return { encoding, pieces: [{ base64: count.lineEnds === count.crlf ? utf8 : await joinPieces([lines], turns) }] };
}
