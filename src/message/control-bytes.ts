/** Finds the bytes below 0x20 in a text: line ends, and what does not belong there. Most of a text is none, so it looks at four at once. */

/** → the first byte below 0x20 from `start` on, `end` if there is none. */
export type FindControl = (start: number, end: number) => number;

const space = 0x20;

export function controlsIn(bytes: Buffer): FindControl {
  // Words must be aligned in memory, so some bytes may stand before the first one.
  const before = -bytes.byteOffset & 3;
  const count = (bytes.length - before) >> 2;
  const words = count > 0 ? new Int32Array(bytes.buffer, bytes.byteOffset + before, count) : new Int32Array();
  return (start, end) => {
    let at = start;
    for (; at < end && ((at - before) & 3) !== 0; at += 1) if ((bytes[at] ?? 0) < space) return at;
    let word = (at - before) >> 2;
    // Sets the highest bit of a byte that is below 0x20: https://graphics.stanford.edu/~seander/bithacks.html#HasLessInWord
    for (const last = (end - before) >> 2; word < last; word += 1) {
      const four = words[word] ?? 0;
      if (((four - 0x20202020) & ~four & 0x80808080) !== 0) break;
    }
    for (at = Math.max(at, word * 4 + before); at < end; at += 1) if ((bytes[at] ?? 0) < space) return at;
    return end;
  };
}
