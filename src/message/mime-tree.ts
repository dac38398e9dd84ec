/** Writes a mail of nodemailer's MIME tree into one buffer: what its streams would give, without the streams. */
import type MimeNode from 'nodemailer/lib/mime-node';
import { base64LinesSize, writeBase64Lines } from './base64-lines.ts';
import { encodeTextQuotedPrintable } from './text-lines.ts';

/** A string is written as UTF-8. */
export type Piece = string | Buffer | { readonly base64: Buffer };

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

/** The finished mail; its last line is ended if it is not. */
export function joinPieces(pieces: readonly Piece[]): Buffer {
  let size = 2;
  for (const piece of pieces) size += sizeOf(piece);
  const out = Buffer.allocUnsafe(size);
  let at = 0;
  for (const piece of pieces) {
    if (typeof piece === 'string') at += out.write(piece, at, 'utf8');
    else if (Buffer.isBuffer(piece)) at += piece.copy(out, at);
    else at = writeBase64Lines(piece.base64, out, at);
  }
  if (out[at - 1] !== 0x0a) at += out.write(out[at - 1] === 0x0d ? '\n' : '\r\n', at, 'latin1');
  return out.subarray(0, at);
}

function sizeOf(piece: Piece): number {
  if (typeof piece === 'string') return Buffer.byteLength(piece, 'utf8');
  return Buffer.isBuffer(piece) ? piece.length : base64LinesSize(piece.base64.length);
}
