/** A text as its part carries it: CRLF line ends, and the encoding that its characters ask for. No step works on more than a slice of it. */
import { joinPieces, type Piece } from './pieces.ts';
import { countText, emptyTextCount, encodingOf, isPlainText, type TextEncoding } from './text-encoding.ts';
import { encodeTextQuotedPrintable } from './text-lines.ts';
import { inSlices, type Turns } from './turns.ts';

export interface TextPart {
  readonly encoding: TextEncoding;
  readonly pieces: readonly Piece[];
}

export async function textPart(text: string, turns: Turns): Promise<TextPart> {
  const { encoding, lines } = await linesOf(text, turns);
  if (encoding === '7bit') return { encoding, pieces: [lines] };
  if (encoding === 'base64') return { encoding, pieces: [{ base64: lines }] };
  return { encoding, pieces: await encodeTextQuotedPrintable(lines, turns) };
}

interface Lines {
  readonly encoding: TextEncoding;
  /** In UTF-8 with CRLF line ends. */
  readonly lines: Buffer;
}

/** Up to this length a replacement of each line end is quicker than a pass over bytes; a text of line ends alone takes it 10 ms. */
const shortText = 128 * 1024;

/** What is left behind here is not kept in memory while the lines are encoded. */
async function linesOf(text: string, turns: Turns): Promise<Lines> {
  if (text.length <= shortText) {
    const lines = Buffer.from(text.replaceAll(/\r\n|\r|\n/g, '\r\n'), 'utf8');
    if (isPlainText(lines)) return { encoding: '7bit', lines };
    return { encoding: encodingOf(countText(emptyTextCount, lines, lines.length)), lines };
  }
  const utf8 = Buffer.from(text, 'utf8');
  let count = emptyTextCount;
  await inSlices(0, utf8.length, turns, (_start, end) => {
    count = countText(count, utf8, end);
  });
  const encoding = encodingOf(count);
  if (count.lineEnds === count.crlf) return { encoding, lines: utf8 };
  return { encoding, lines: await joinPieces([{ source: utf8, start: 0, end: utf8.length }], turns) };
}
