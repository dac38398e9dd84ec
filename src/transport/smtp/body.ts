/** The bytes of a message on their way out: what DATA carries, and how much of it may have left. */

/**
 * How much of a body may have left: nothing; a part, which the server must discard (RFC 5321 section 4.1.1.4); all of it, with
 * the end of data.
 */
export type BodyProgress = 'none' | 'partial' | 'complete';

/** The socket gets this much at a time. The end of data follows only once the socket has taken what comes before it. */
const chunkBytes = 64 * 1024;

const lf = 0x0a;
const cr = 0x0d;
const dot = 0x2e;
/** LF and a dot: nothing else needs a second dot once line ends are CRLF. */
const dotLine = Buffer.from('\n.', 'latin1');

export interface WireBody {
  /** The next bytes for the socket; the last ones contain the end of data. Null after those. */
  next(): { readonly bytes: Buffer; readonly isLast: boolean } | null;
}

/**
 * The message as DATA carries it: lines that begin with a dot get another one (RFC 5321 section 4.5.2), and a bare CR or LF
 * becomes CRLF. A server that takes either for a line end would otherwise find an end of data inside the message: SMTP smuggling.
 */
export function wireBody(message: Buffer): WireBody {
  let start = 0;
  let ended = false;
  return {
    next() {
      if (ended) return null;
      const end = Math.min(start + chunkBytes, message.length);
      const chunk = stuffed(message, start, end);
      start = end;
      ended = end === message.length;
      return { bytes: ended ? Buffer.concat([chunk, terminator(message)]) : chunk, isLast: ended };
    },
  };
}

/** Ends the last line first if it has no line end. */
function terminator(message: Buffer): Buffer {
  const last = message.at(-1);
  return Buffer.from(last === lf ? '.\r\n' : last === cr ? '\n.\r\n' : '\r\n.\r\n', 'latin1');
}

/** A range of the message; the same bytes if nothing has to be inserted. */
function stuffed(message: Buffer, start: number, end: number): Buffer {
  const before = start === 0 ? lf : message[start - 1];
  const plain = message.subarray(start, end);
  const beginsWithDot = before === lf && plain[0] === dot;
  if (!beginsWithDot && !plain.includes(dotLine) && !hasBareLineEnd(message, start, end)) return plain;
  // At most two bytes are added for each.
  const out = Buffer.allocUnsafe((end - start) * 3);
  let length = 0;
  let previous = before;
  for (let i = start; i < end; i += 1) {
    const byte = message[i] ?? 0;
    const afterBareCr = previous === cr && byte !== lf;
    if (afterBareCr) {
      out[length] = lf;
      length += 1;
    } else if (byte === lf && previous !== cr) {
      out[length] = cr;
      length += 1;
    }
    if (byte === dot && (previous === lf || afterBareCr)) {
      out[length] = dot;
      length += 1;
    }
    out[length] = byte;
    length += 1;
    previous = byte;
  }
  return out.subarray(0, length);
}

const bareLineEnd = /\r(?!\n)|(?<!\r)\n/;

/** A CR at the end of the range is judged with the next range, or by the terminator. */
function hasBareLineEnd(message: Buffer, start: number, end: number): boolean {
  const startsInCrlf = start > 0 && message[start - 1] === cr;
  if (startsInCrlf && message[start] !== lf) return true;
  const endsInCr = end > start && message[end - 1] === cr;
  // A regular expression over a string is three times as fast as a loop over the bytes.
  return bareLineEnd.test(message.toString('latin1', startsInCrlf ? start + 1 : start, endsInCr ? end - 1 : end));
}
