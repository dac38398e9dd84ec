/** The bytes of a message on their way out: what DATA carries, and how much of it may have left. */
import { controlsIn, type FindControl } from '../../message/control-bytes.ts';

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

export interface WireBody {
  /** The next bytes for the socket; `end`: what ends the message and goes with the last ones, else null. Null after those. */
  next(): { readonly bytes: Buffer; readonly end: Buffer | null } | null;
}

/**
 * The message as DATA carries it: lines that begin with a dot get another one (RFC 5321 section 4.5.2), and a bare CR or LF
 * becomes CRLF. A server that takes either for a line end would otherwise find an end of data inside the message: SMTP smuggling.
 */
export function wireBody(message: Buffer): WireBody {
  const findControl = controlsIn(message);
  let start = 0;
  let ended = false;
  return {
    next() {
      if (ended) return null;
      const end = Math.min(start + chunkBytes, message.length);
      const bytes = isPlain(message, start, end, findControl)
        ? message.subarray(start, end)
        : stuffed(message, start, end);
      start = end;
      ended = end === message.length;
      return { bytes, end: ended ? terminator(message) : null };
    },
  };
}

/** Ends the last line first if it has no line end. */
function terminator(message: Buffer): Buffer {
  const last = message.at(-1);
  return Buffer.from(last === lf ? '.\r\n' : last === cr ? '\n.\r\n' : '\r\n.\r\n', 'latin1');
}

/** Whether nothing has to be inserted into the range. A CR at its end is judged with the next range, or by the terminator. */
function isPlain(message: Buffer, start: number, end: number, findControl: FindControl): boolean {
  let at = start;
  if (start === 0) {
    if (message[0] === dot) return false;
  } else {
    if (message[start - 1] === lf && message[start] === dot) return false;
    if (message[start - 1] === cr) {
      if (message[start] !== lf || message[start + 1] === dot) return false;
      at = start + 1;
    }
  }
  for (at = findControl(at, end); at < end; at = findControl(at, end)) {
    if (message[at] === lf) return false;
    if (message[at] !== cr) at += 1;
    else if (at + 1 === end) return true;
    else if (message[at + 1] !== lf || message[at + 2] === dot) return false;
    else at += 2;
  }
  return true;
}

/** A range of the message with what has to be inserted. */
function stuffed(message: Buffer, start: number, end: number): Buffer {
  const before = start === 0 ? lf : message[start - 1];
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
