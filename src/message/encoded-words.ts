/** Encoded words (RFC 2047): decodes `=?charset?Q|B?text?=` in the names of address lists. */

const encodedWord = /=\?([\w-]{1,40})(?:\*[\w-]{0,20})?\?([QB])\?([^?\s]{0,4096})\?=/gi;

function decodeWord(charset: string, encoding: string, text: string): string | null {
  let bytes: Buffer;
  if (encoding.toUpperCase() === 'B') bytes = Buffer.from(text, 'base64');
  else {
    const unescaped = text
      .replaceAll('_', ' ')
      .replaceAll(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    bytes = Buffer.from(unescaped, 'latin1');
  }
  try {
    return new TextDecoder(charset).decode(bytes);
  } catch {
    return null; // A charset that this Node does not know: the word stays as it is.
  }
}

/** The text with its encoded words decoded. White space between two encoded words disappears (RFC 2047 section 6.2). */
export function decodeEncodedWords(text: string): string {
  return text
    .replaceAll(/\?=[ \t\r\n]{1,10}(?==\?)/g, '?=')
    .replaceAll(
      encodedWord,
      (word, charset: string, encoding: string, body: string) => decodeWord(charset, encoding, body) ?? word,
    );
}
