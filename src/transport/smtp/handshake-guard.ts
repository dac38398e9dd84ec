/**
 * Bounds what a server may say until the session is ready, before nodemailer sees it: nodemailer keeps every line it gets,
 * and works on each. Until then every command waits for the reply to the one before, so nothing may follow a reply.
 */
import { codeOf, createReplyReader, isClosing } from './reader.ts';

/** Of the whole handshake: greeting, EHLO, STARTTLS and EHLO again. Real servers send 2 KB in some 40 lines. */
const maxBytes = 64 * 1024;
const maxLines = 500;

/** What is wrong. `reply` is the server's own word, if it may be taken for that. */
interface HandshakeProblem {
  readonly text: string;
  readonly reply: string | null;
}

export interface HandshakeGuard {
  /** Null if the chunk may be passed on. */
  inspect(chunk: Buffer): HandshakeProblem | null;
  /** The refusal that has begun and was cut off; null without one. */
  cutOff(): string | null;
}

const lineFeed = 0x0a;

export function createHandshakeGuard(): HandshakeGuard {
  const reader = createReplyReader();
  let bytes = 0;
  let lines = 0;
  let greeted = false;
  return {
    inspect(chunk) {
      bytes += chunk.length;
      for (let at = chunk.indexOf(lineFeed); at >= 0; at = chunk.indexOf(lineFeed, at + 1)) lines += 1;
      if (bytes > maxBytes || lines > maxLines) {
        return {
          text: `the server sends more than ${maxBytes} bytes or ${maxLines} lines before the session is ready`,
          reply: null,
        };
      }
      const replies = reader.take(chunk);
      if (replies === null) return { text: 'the reply of the server is too long', reply: null };
      const refused = greeted ? null : refusalBehind220(replies[0]);
      greeted ||= replies.length > 0;
      if (refused !== null) return { text: 'the greeting ends with a refusal', reply: refused };
      if (replies.length < 2 && (replies.length === 0 || !reader.begun)) return null;
      const surplus = replies[1] ?? reader.rest();
      return { text: 'the server sends a reply that no command asked for', reply: isClosing(surplus) ? surplus : null };
    },
    cutOff() {
      const rest = reader.rest();
      return /^[45]\d\d[ -]/.test(rest) ? rest : null;
    },
  };
}

/**
 * Postfix' postscreen says `220-…` at once, to see who does not wait, and may then end with `521 …` or `421 …`. Its last line is what
 * it means, and all of its text is kept: https://www.postfix.org/POSTSCREEN_README.html#pregreet
 */
function refusalBehind220(greeting: string | undefined): string | null {
  const lines = greeting?.split('\n') ?? [];
  const code = /^([45]\d\d)(?: |$)/.exec(lines.at(-1) ?? '')?.[1];
  if (code === undefined || lines[0]?.startsWith('220-') !== true || codeOf(greeting ?? '') !== null) return null;
  return lines.map((line, index) => `${code}${index < lines.length - 1 ? '-' : ' '}${line.slice(4)}`).join('\n');
}
