/** Reads a text with CRLF for each of its line ends, so much at a time: no copy of the whole is made for that. */

const cr = 0x0d;
const lf = 0x0a;

export interface CrlfReader {
  /** The next `count` bytes, or what is left; valid until the next call. */
  read(count: number): Buffer;
  /** The byte behind those that have been read; undefined at the end. */
  peek(): number | undefined;
}

/** `atMost`: the largest count that will be asked for. */
export function crlfReader(utf8: Buffer, atMost: number): CrlfReader {
  const out = Buffer.allocUnsafe(atMost);
  let at = 0;
  /** The CR of a line end has been read, and its LF has not. */
  let isWithin = false;
  return {
    read(count) {
      let length = 0;
      while (length < count && (isWithin || at < utf8.length)) {
        let byte = lf;
        if (isWithin) isWithin = false;
        else {
          byte = utf8[at] ?? 0;
          at += 1;
          if (byte === cr || byte === lf) {
            isWithin = true;
            if (byte === cr && utf8[at] === lf) at += 1;
            byte = cr;
          }
        }
        out[length] = byte;
        length += 1;
      }
      return out.subarray(0, length);
    },
    peek: () => (isWithin ? lf : utf8[at] === lf ? cr : utf8[at]),
  };
}
