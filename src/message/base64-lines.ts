/** Base64 in lines of 76 characters (RFC 2045 section 6.8), written where it is wanted: large attachments are not held twice. */
import type { Turns } from './turns.ts';

const lineChars = 76;
const lineBytes = 57;
/** Lines that are encoded at a time: few calls, and little memory. */
const linesAtOnce = 512;

/** Bytes that `writeBase64Lines` writes for `count` bytes of content; there is no line end behind the last line. */
export function base64LinesSize(count: number): number {
  const chars = Math.ceil(count / 3) * 4;
  return chars + Math.max(Math.ceil(chars / lineChars) - 1, 0) * 2;
}

/** → where the text ends. Lines are joined as strings and written together: half the time of a copy for each line. */
export async function writeBase64Lines(bytes: Buffer, out: Buffer, start: number, turns: Turns): Promise<number> {
  let at = start;
  for (let from = 0; from < bytes.length; from += lineBytes * linesAtOnce) {
    const text = bytes.toString('base64', from, Math.min(from + lineBytes * linesAtOnce, bytes.length));
    let lines = '';
    for (let line = 0; line < text.length; line += lineChars) {
      lines += `${from + line === 0 ? '' : '\r\n'}${text.slice(line, line + lineChars)}`;
    }
    at += out.write(lines, at, 'latin1');
    const turn = turns.spend(lines.length);
    if (turn !== null) await turn;
  }
  return at;
}
