/** The boundary of a mail's multiparts: the same in every process, and in none of its parts. */
import { createHash, type Hash } from 'node:crypto';
import { inSlices, type Turns } from './turns.ts';

/** What the boundary follows from. */
export interface Bounded {
  readonly seed: string;
  readonly text: string | undefined;
  readonly html: string | undefined;
  /** Parts that are in the mail as they are: base64 fits no boundary. */
  readonly parts: readonly Buffer[];
}

/**
 * The seed alone would not do: an attacker who knows the id beforehand and controls part of the text could write the boundary
 * into the text and add parts. No text contains its own hash: that of the JSON of seed and texts, and of the parts.
 */
export async function boundaryOf({ seed, text, html, parts }: Bounded, turns: Turns): Promise<string> {
  const hash = createHash('sha256').update(`[${JSON.stringify(seed)},`);
  await updateJson(hash, text, turns);
  hash.update(',');
  await updateJson(hash, html, turns);
  hash.update(']');
  for (const bytes of parts) {
    await inSlices(0, bytes.length, turns, (start, end) => {
      hash.update(bytes.subarray(start, end));
    });
  }
  return hash.digest('hex').slice(0, 32);
}

/** Characters whose JSON is made at a time. */
const sliceChars = 64 * 1024;

/** `JSON.stringify` of the text in slices: megabytes of line ends would be twice as many at once. */
async function updateJson(hash: Hash, text: string | undefined, turns: Turns): Promise<void> {
  if (text === undefined) {
    hash.update('null');
    return;
  }
  hash.update('"');
  for (let start = 0; start < text.length;) {
    let end = Math.min(start + sliceChars, text.length);
    // A pair of surrogates is one character.
    if (end < text.length && (text.charCodeAt(end) & 0xfc00) === 0xdc00) end -= 1;
    hash.update(JSON.stringify(text.slice(start, end)).slice(1, -1));
    const turn = turns.spend(end - start);
    if (turn !== null) await turn;
    start = end;
  }
  hash.update('"');
}
