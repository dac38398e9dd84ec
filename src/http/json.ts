/** Reads JSON from a client: its nesting and its parts are counted on the bytes, before anything is made of them. */
import { maxJsonDepth, maxJsonParts } from './limits.ts';

export type JsonRead = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly detail: string };

const [quote, backslash, comma, openBracket, closeBracket, openBrace, closeBrace] = [...Buffer.from('"\\,[]{}')] as [
  number,
  number,
  number,
  number,
  number,
  number,
  number,
];

/** A body in UTF-8 (RFC 8259 section 8.1). */
export function readJson(bytes: Buffer): JsonRead {
  const excess = excessOf(bytes);
  if (excess !== null) return { ok: false, detail: excess };
  try {
    return { ok: true, value: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown };
  } catch {
    // The parser's own message quotes the body.
    return { ok: false, detail: 'the body is not JSON in UTF-8' };
  }
}

/** What is too much in it, or null. Texts are passed over by native search, so that a large attachment costs next to nothing. */
function excessOf(bytes: Buffer): string | null {
  let depth = 0;
  let parts = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    switch (bytes[at]!) {
      case quote:
        at = endOfText(bytes, at + 1);
        parts += 1;
        break;
      case openBracket:
      case openBrace:
        depth += 1;
        parts += 1;
        if (depth > maxJsonDepth) return `the JSON is nested deeper than ${maxJsonDepth} levels`;
        break;
      case closeBracket:
      case closeBrace:
        depth -= 1;
        break;
      case comma:
        parts += 1;
        break;
      default:
    }
    if (parts > maxJsonParts) return `the JSON has more than ${maxJsonParts} values and names`;
  }
  return null;
}

/** The place of the quotation mark that ends a text. */
function endOfText(bytes: Buffer, start: number): number {
  for (let from = start; ;) {
    const at = bytes.indexOf(quote, from);
    if (at < 0) return bytes.length;
    let before = at;
    while (before > start && bytes[before - 1] === backslash) before -= 1;
    if ((at - before) % 2 === 0) return at;
    from = at + 1;
  }
}
