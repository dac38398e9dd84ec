/**
 * Splits a finished mail that is too large for one request into the parts that Graph's JSON can carry.
 *
 * Mail that its parts cannot replace is refused: signed and encrypted mail (RFC 1847), reports and invitations.
 */
import { Splitter, type MimeNode, type SplitterChunk } from '@zone-eu/mailsplit';
import { parseMailboxList } from '../../message/address.ts';
import { maxAttachments, maxHeaderBytes } from '../../message/bounds.ts';
import { decodeEncodedWords } from '../../message/encoded-words.ts';
import { readHeaderBlock, type HeaderBlock } from '../../message/header-block.ts';
import type { Attachment, Mailbox, Message } from '../../message/message.ts';
import { decodedOctets, textOfOctets } from '../../message/part-content.ts';
import type { Structured } from '../transport.ts';
import { jsonBytes } from './limits.ts';

export type TakenApart =
  | { readonly ok: true; readonly structured: Structured }
  /** `problem` continues a sentence that begins with the mail. */
  | { readonly ok: false; readonly problem: string };

/** Content types of mail that cannot be split → why. */
const indivisible: ReadonlyMap<string, string> = new Map([
  ['multipart/signed', 'is signed, and splitting it would break the signature'],
  ['multipart/encrypted', 'is encrypted, and its parts alone cannot be read'],
  ['application/pkcs7-mime', 'is signed or encrypted (S/MIME), and its parts alone cannot be read'],
  ['application/x-pkcs7-mime', 'is signed or encrypted (S/MIME), and its parts alone cannot be read'],
  ['multipart/report', 'is a report, which programs would no longer recognise'],
  ['text/calendar', 'is an invitation, which would arrive as a plain file'],
]);

/** Encodings that mailsplit decodes, and those that need no decoding (RFC 2045 section 6). */
const encodings = new Set(['', '7bit', '8bit', 'binary', 'base64', 'quoted-printable']);

interface Leaf {
  readonly node: MimeNode;
  readonly chunks: Buffer[];
}

/** `recipients`: the envelope's, to which alone it goes; a Bcc field is not carried over. */
export async function takeApart(mail: Buffer, recipients: readonly string[]): Promise<TakenApart> {
  const leaves = await leavesOf(mail);
  if (typeof leaves === 'string') return { ok: false, problem: leaves };
  const head = readHead(readHeaderBlock(mail));
  if (typeof head === 'string') return { ok: false, problem: head };
  const texts: Text[] = [];
  const files: { readonly node: MimeNode; readonly octets: Buffer }[] = [];
  for (const { node, chunks } of leaves) {
    const octets = await decodedOctets(node, Buffer.concat(chunks));
    if (!isText(node)) files.push({ node, octets });
    else {
      const text = textOfOctets(octets, node.charset || '');
      texts.push({ group: alternativeOf(node), isHtml: node.contentType === 'text/html', text });
    }
  }
  const shown = shownOf(texts);
  // Before the work that a huge text would make.
  const length = shown.reduce((sum, { text }) => sum + text.length, 0);
  if (length > jsonBytes) {
    return {
      ok: false,
      problem: `has a text of ${length} characters, and Graph takes ${jsonBytes} bytes beside attachments`,
    };
  }
  const body = bodyOf(shown);
  const shownIds = contentIdsIn(body.html ?? '');
  const attachments: Attachment[] = [];
  const contents = new Map<string, Buffer>();
  for (const { node, octets } of files) {
    const { parentNode } = node;
    const isAlternative = parentNode !== false && parentNode.multipart === 'alternative' && !isFile(node);
    if (isAlternative && texts.some(({ group }) => group === parentNode)) continue;
    const ref = String(attachments.length);
    contents.set(ref, octets);
    attachments.push({ ref, size: octets.length, ...describe(node, shownIds) });
  }
  const message: Message = {
    ...head,
    ...body,
    bcc: [],
    attachments,
    references: [],
    envelope: { to: recipients },
    priority: 'normal',
  };
  const bytesOf = (content: object): Buffer => contents.get('ref' in content ? String(content.ref) : '')!;
  const rangeOf: Structured['rangeOf'] = (content, start, end) => bytesOf(content).subarray(start, end);
  return { ok: true, structured: { message, contentOf: bytesOf, rangeOf } };
}

interface Text {
  /** The multipart/alternative that it is in. */
  readonly group: MimeNode | null;
  readonly isHtml: boolean;
  readonly text: string;
}

/** Of an alternative, the richest that Graph has a property for. */
function shownOf(texts: readonly Text[]): Text[] {
  const withHtml = new Set(texts.flatMap(({ group, isHtml }) => (isHtml ? [group] : [])));
  return texts.filter(({ group, isHtml }) => isHtml || group === null || !withHtml.has(group));
}

function bodyOf(shown: readonly Text[]): { readonly html?: string; readonly text?: string } {
  return shown.some(({ isHtml }) => isHtml)
    ? { html: shown.map(({ isHtml, text }) => (isHtml ? text : asHtml(text))).join('\r\n') }
    : { text: shown.map(({ text }) => text).join('\r\n') };
}

/** The parts that are no containers, in their order, or why the mail stays whole. */
async function leavesOf(mail: Buffer): Promise<Leaf[] | string> {
  const leaves = new Map<MimeNode, Leaf>();
  const splitter = new Splitter({ ignoreEmbedded: true, maxHeadSize: maxHeaderBytes, maxChildNodes: maxAttachments });
  splitter.end(mail);
  try {
    for await (const chunk of splitter as AsyncIterable<SplitterChunk>) {
      if (chunk.type === 'body') leaves.get(chunk.node)?.chunks.push(chunk.value);
      if (chunk.type !== 'node') continue;
      const { contentType, encoding } = chunk;
      const why = contentType === false ? undefined : indivisible.get(contentType);
      // A calendar that is a file says nothing about the mail.
      if (why !== undefined && !(contentType === 'text/calendar' && isFile(chunk))) return why;
      if (chunk.multipart !== false) continue;
      if (encoding !== false && !encodings.has(encoding)) return 'has a part in an encoding that is not known';
      leaves.set(chunk, { node: chunk, chunks: [] });
    }
  } catch {
    return `has more than ${maxAttachments} parts, or a header of more than ${maxHeaderBytes} bytes`;
  } finally {
    splitter.destroy();
  }
  return [...leaves.values()];
}

type Head = Pick<Message, 'from' | 'sender' | 'to' | 'cc' | 'replyTo' | 'subject' | 'headers'>;

/** What of the header has a property in Graph. An address that cannot be read is a problem: Graph has no field to keep it in. */
function readHead({ fields }: HeaderBlock): Head | string {
  const lists = {
    from: [] as Mailbox[],
    sender: [] as Mailbox[],
    to: [] as Mailbox[],
    cc: [] as Mailbox[],
    'reply-to': [] as Mailbox[],
  };
  const headers: Record<string, string[]> = {};
  let subject: string | undefined;
  for (const { name: written, value } of fields) {
    const name = written.toLowerCase();
    const text = Buffer.from(value, 'latin1').toString('utf8');
    if (name === 'from' || name === 'sender' || name === 'to' || name === 'cc' || name === 'reply-to') {
      const parsed = parseMailboxList(text);
      if (!parsed.ok) return `has a ${written} field that ${parsed.problem}`;
      lists[name].push(...parsed.value);
    } else if (name === 'subject') subject ??= decodeEncodedWords(text).trim();
    else if (name.startsWith('x-')) (headers[written] ??= []).push(text.trim());
  }
  const [from] = lists.from;
  const [sender] = lists.sender;
  return {
    ...(from === undefined ? {} : { from }),
    ...(sender === undefined ? {} : { sender }),
    ...(subject === undefined ? {} : { subject }),
    to: lists.to,
    cc: lists.cc,
    replyTo: lists['reply-to'],
    headers,
  };
}

function isFile({ disposition, filename }: MimeNode): boolean {
  return disposition === 'attachment' || filename !== false;
}

function isText(node: MimeNode): boolean {
  return (node.contentType === 'text/plain' || node.contentType === 'text/html') && !isFile(node);
}

/** The innermost multipart/alternative that a part is in. */
function alternativeOf(node: MimeNode): MimeNode | null {
  for (let above = node.parentNode; above !== false; above = above.parentNode)
    if (above.multipart === 'alternative') return above;
  return null;
}

/** Content-IDs that HTML refers to (RFC 2392). */
function contentIdsIn(html: string): ReadonlySet<string> {
  return new Set([...html.matchAll(/\bcid:([^\s"'<>()]+)/gi)].map(([, id = '']) => decoded(id)));
}

function decoded(id: string): string {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

/** Inline is what the HTML refers to: other parts would be hidden from the reader. */
function describe(
  node: MimeNode,
  shownIds: ReadonlySet<string>,
): Omit<Attachment, 'content' | 'encoding' | 'ref' | 'size'> {
  const { contentType, filename } = node;
  const cid = /<([^<>\s]+)>/.exec(node.headers === false ? '' : node.headers.getFirst('content-id'))?.[1];
  const isInline = cid !== undefined && shownIds.has(cid);
  const name = filename !== false && filename !== '' ? filename : contentType === 'message/rfc822' ? 'message.eml' : '';
  return {
    ...(name === '' ? {} : { filename: name }),
    ...(contentType === false ? {} : { contentType }),
    ...(cid === undefined ? {} : { cid }),
    disposition: isInline ? 'inline' : 'attachment',
  };
}

/** A plain text between HTML, such as the footer of a mailing list. */
function asHtml(text: string): string {
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return `<pre>${escaped}</pre>`;
}
