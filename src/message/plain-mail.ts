/**
 * The mail of one text that needs no encoding, header and text in one buffer. Most mails are small texts, and making another buffer
 * costs as much as composing one of them.
 */
import { isPlainText } from './text-encoding.ts';

/** Up to this length a replacement of each line end is quicker than a pass over bytes; a text of line ends alone takes it 10 ms. */
export const shortText = 128 * 1024;

export function crlfLines(text: string): string {
  return text.includes('\r') ? text.replaceAll(/\r\n|\r|\n/g, '\r\n') : text.replaceAll('\n', '\r\n');
}

/** Null where the text is no short one, needs an encoding, or makes the mail larger than `maxBytes`. */
export function plainMail(header: string, text: string, maxBytes: number): Buffer | null {
  if (text.length > shortText) return null;
  const lines = crlfLines(text);
  const start = Buffer.byteLength(header);
  if (start + lines.length > maxBytes) return null;
  // Of a character beyond ASCII at least one byte fits in, which the text is not plain with.
  const mail = Buffer.allocUnsafe(start + lines.length + 2);
  mail.write(header, 0);
  const end = start + mail.write(lines, start);
  if (!isPlainText(mail.subarray(start, end))) return null;
  return lines.endsWith('\n') ? mail.subarray(0, end) : mail.subarray(0, end + mail.write('\r\n', end));
}
