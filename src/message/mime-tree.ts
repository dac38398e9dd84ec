/** The pieces of a mail of nodemailer's MIME tree: what its streams would give, without the streams. */
import type MimeNode from 'nodemailer/lib/mime-node';
import type { Piece } from './pieces.ts';
import { encodeTextQuotedPrintable } from './text-lines.ts';

/** The pieces of a node and all below it. */
export function piecesOf(node: MimeNode, pieces: Piece[] = []): Piece[] {
  // Asked before the header is built, which writes the answer into it.
  const encoding = node.getTransferEncoding();
  pieces.push(`${node.buildHeaders()}\r\n\r\n`);
  const { content } = node;
  if (typeof content === 'string' || Buffer.isBuffer(content)) {
    if (content.length > 0) pieces.push(encodedContent(content, encoding));
  } else if (content !== undefined) {
    throw new TypeError('a part is text or bytes, and nothing that has yet to be opened');
  }
  if (typeof node.multipart !== 'string') return pieces;
  node.childNodes.forEach((child, index) => {
    pieces.push(`${index === 0 ? '' : '\r\n'}--${node.boundary}\r\n`);
    piecesOf(child, pieces);
  });
  pieces.push(`\r\n--${node.boundary}--\r\n`);
  return pieces;
}

/** Content as its part carries it; what has no encoding is there as it is. */
export function encodedContent(content: string | Buffer, encoding: string | false): Piece {
  if (encoding === 'base64') return { base64: bytesOf(content) };
  return encoding === 'quoted-printable' ? encodeTextQuotedPrintable(bytesOf(content)) : content;
}

function bytesOf(content: string | Buffer): Buffer {
  return typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
}
