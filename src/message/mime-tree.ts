/** The pieces of a mail of nodemailer's MIME tree: what its streams would give, without the streams. */
import type MimeNode from 'nodemailer/lib/mime-node';
import type { Piece } from './pieces.ts';

/** Content → what is written in its place: texts that are encoded already, so that nodemailer does not look at them. */
export type Prepared = ReadonlyMap<unknown, readonly Piece[]>;

/** The pieces of a node and all below it. */
export function piecesOf(node: MimeNode, prepared: Prepared, pieces: Piece[] = []): Piece[] {
  // Asked before the header is built, which writes the answer into it.
  const encoding = node.getTransferEncoding();
  pieces.push(`${node.buildHeaders()}\r\n\r\n`);
  const { content } = node;
  const ready = prepared.get(content);
  if (ready !== undefined) for (const piece of ready) pieces.push(piece);
  else if (Buffer.isBuffer(content)) pieces.push(encoding === 'base64' ? { base64: content } : content);
  else if (content !== undefined && content !== '') {
    throw new TypeError('a part is bytes or a prepared text, and nothing that has yet to be opened');
  }
  if (typeof node.multipart !== 'string') return pieces;
  node.childNodes.forEach((child, index) => {
    pieces.push(`${index === 0 ? '' : '\r\n'}--${node.boundary}\r\n`);
    piecesOf(child, prepared, pieces);
  });
  pieces.push(`\r\n--${node.boundary}--\r\n`);
  return pieces;
}
