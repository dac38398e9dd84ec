/** Cuts what an SMTP server sends into replies (RFC 5321 section 4.2). It trusts nothing: sizes are bounded, and noise is a reply too. */

/** More than any real reply, of all its lines together (section 4.5.3.1.5: 512 octets each). */
const maxReplyChars = 1024 * 1024;

export interface ReplyReader {
  /** The replies that end in this chunk, their lines joined by line feeds; null once the server says more than any reply needs. */
  take(chunk: Buffer): readonly string[] | null;
  /** What has come of the next reply. */
  rest(): string;
}

/** A reply ends with the first line that is not `250-…`; empty lines between replies are passed over. */
export function createReplyReader(): ReplyReader {
  /** Whole lines of the reply that goes on. */
  let lines = '';
  let line = '';
  return {
    take(chunk) {
      const replies: string[] = [];
      // One character for each byte: a UTF-8 sequence may be cut anywhere, also between two chunks.
      const text = chunk.toString('latin1');
      let start = 0;
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
        const whole = line + text.slice(start, end > start && text[end - 1] === '\r' ? end - 1 : end);
        // The carriage return may have been the end of the chunk before.
        const one = start === end && whole.endsWith('\r') ? whole.slice(0, -1) : whole;
        line = '';
        start = end + 1;
        if (lines === '' && one.trim() === '') continue;
        lines = lines === '' ? one : `${lines}\n${one}`;
        if (lines.length > maxReplyChars) return null;
        if (/^\d{3}-/.test(one)) continue;
        replies.push(decoded(lines));
        lines = '';
      }
      if (start < text.length) line += text.slice(start);
      return lines.length + line.length > maxReplyChars ? null : replies;
    },
    rest: () => (lines === '' ? line : `${lines}\n${line}`),
  };
}

/** UTF-8 if it is that (RFC 6531 section 3.7.4), else a character for each byte. */
function decoded(reply: string): string {
  if (!/[\u0080-\u00ff]/.test(reply)) return reply;
  const utf8 = Buffer.from(reply, 'latin1').toString('utf8');
  return utf8.includes('\ufffd') ? reply : utf8;
}

/** The code that every line of a whole reply bears; null if there is no such code, and nobody can say what the server meant. */
export function codeOf(reply: string): string | null {
  const lines = reply.split('\n');
  const last = /^([2-5]\d\d)(?: |$)/.exec(lines.at(-1) ?? '');
  const code = last?.[1] ?? null;
  if (code === null || lines.length === 1) return code;
  return lines.slice(0, -1).every((one) => one.startsWith(`${code}-`)) ? code : null;
}
