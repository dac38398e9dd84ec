/** Cuts what an SMTP server sends into replies (RFC 5321 section 4.2). It trusts nothing: sizes are bounded, and noise is a reply, too. */

/** More than all lines of any real reply together (section 4.5.3.1.5: 512 octets each). */
const maxReplyBytes = 64 * 1024;

export interface ReplyReader {
  /** The replies that end in this chunk, their lines joined by line feeds; null once a reply is longer than any real one. */
  take(chunk: Buffer): readonly string[] | null;
  /** A reply has begun and has not ended. */
  readonly begun: boolean;
  /** What has come so far of the next reply. */
  rest(): string;
}

/** A reply ends with the first line that is not `250-…`; empty lines between replies are skipped. */
export function createReplyReader(): ReplyReader {
  /** Complete lines of a reply that continues. */
  let lines = '';
  let line = '';
  return {
    take(chunk) {
      const replies: string[] = [];
      // One character for each byte: a UTF-8 sequence may be cut anywhere, also between two chunks.
      const text = chunk.toString('latin1');
      let start = 0;
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
        const complete = line + text.slice(start, end > start && text[end - 1] === '\r' ? end - 1 : end);
        // The carriage return may have ended the previous chunk.
        const one = start === end && complete.endsWith('\r') ? complete.slice(0, -1) : complete;
        line = '';
        start = end + 1;
        if (lines === '' && one.trim() === '') continue;
        lines = lines === '' ? one : `${lines}\n${one}`;
        if (lines.length > maxReplyBytes) return null;
        if (/^\d{3}-/.test(one)) continue;
        replies.push(decoded(lines));
        lines = '';
      }
      if (start < text.length) line += text.slice(start);
      return lines.length + line.length > maxReplyBytes ? null : replies;
    },
    get begun() {
      return lines !== '' || !(line === '' || line === '\r');
    },
    rest: () => (lines === '' ? line : `${lines}\n${line}`),
  };
}

/** Decoded as UTF-8 if it is that (RFC 6531 section 3.7.4), else one character for each byte. */
function decoded(reply: string): string {
  if (!/[\u0080-\u00ff]/.test(reply)) return reply;
  const utf8 = Buffer.from(reply, 'latin1').toString('utf8');
  return utf8.includes('\ufffd') ? reply : utf8;
}

/** The code that every line of a reply carries; null if the lines disagree, and so the reply means nothing. */
export function codeOf(reply: string): string | null {
  if (!reply.includes('\n')) return /^([2-5]\d\d)(?: |$)/.exec(reply)?.[1] ?? null;
  const lines = reply.split('\n');
  const last = /^([2-5]\d\d)(?: |$)/.exec(lines.at(-1) ?? '');
  const code = last?.[1] ?? null;
  if (code === null) return null;
  return lines.slice(0, -1).every((one) => one.startsWith(`${code}-`)) ? code : null;
}

/** RFC 5321 section 3.8: whatever a 421 answers, and without a command too, the server closes. */
export function isClosing(reply: string): boolean {
  return /^421(?:[ -]|$)/.test(reply);
}
