/** Collects a message as it arrives after DATA, up to the final dot, and undoes the dot-stuffing. */

export interface BodyReader {
  /** `bytes` is the message once it is whole; `rest` is what followed it. */
  take(input: Buffer): { readonly bytes: Buffer | null; readonly rest: Buffer };
  /** Bytes so far. */
  size(): number;
}

const crlf = Buffer.from('\r\n');

export function readBody(): BodyReader {
  // The terminator is CRLF.CRLF, and the first CRLF may be the one that ended DATA (RFC 5321 section 4.1.1.4).
  const chunks: Buffer[] = [crlf];
  let size = 0;
  return {
    size: () => size,
    take(input) {
      // The terminator may be split over chunks: look at the end of what is there already, too.
      const last = chunks.at(-1) ?? crlf;
      const tail = last.subarray(-4);
      const at = Buffer.concat([tail, input]).indexOf('\r\n.\r\n');
      if (at === -1) {
        size += input.length;
        // Chunks shorter than the terminator are joined, so that the tail above always sees four bytes.
        if (last.length < 64) chunks[chunks.length - 1] = Buffer.concat([last, input]);
        else if (input.length > 0) chunks.push(input);
        return { bytes: null, rest: Buffer.alloc(0) };
      }
      // Where the dot is in `input`; negative if it ended an earlier chunk.
      const dot = at + 2 - tail.length;
      const before = Buffer.concat([...chunks, input.subarray(0, Math.max(dot, 0))]);
      const end = dot < 0 ? before.length + dot : before.length;
      return { bytes: unstuff(before.subarray(crlf.length, end)), rest: input.subarray(dot + 3) };
    },
  };
}

/** RFC 5321 section 4.5.2: a line that begins with a dot carries one more. */
function unstuff(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1');
  return Buffer.from(text.replace(/^\.\./, '.').replaceAll('\r\n..', '\r\n.'), 'latin1');
}
