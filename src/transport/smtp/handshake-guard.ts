/**
 * Bounds what a server may say until the session is ready, before nodemailer sees it: nodemailer keeps every line it gets,
 * and works on each. Until then every command waits for the reply to the one before, so nothing may follow a reply.
 */
import { createReplyReader, isClosing } from './reader.ts';

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
}

const lineFeed = 0x0a;

export function createHandshakeGuard(): HandshakeGuard {
  const reader = createReplyReader();
  let bytes = 0;
  let lines = 0;
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
      if (replies.length < 2 && (replies.length === 0 || !reader.begun)) return null;
      const surplus = replies[1] ?? reader.rest();
      return { text: 'the server sends a reply that no command asked for', reply: isClosing(surplus) ? surplus : null };
    },
  };
}
