/** Reads a mail as a tree of parts, by mailsplit, within bounds: what is too much is left out, and no mail makes it fail. */
import { Splitter, type MimeNode, type SplitterChunk } from '@zone-eu/mailsplit';
import { decodedOctets, textOfOctets } from '../message/part-content.ts';
import { maxHeadBytes, maxPartBytes, maxParts, maxReadBytes } from './bounds.ts';
import { fieldsOf, type Field } from './fields.ts';

export interface Part {
  readonly fields: readonly Field[];
  /** Type and subtype in lower case. */
  readonly type: string;
  /** The Content-Type as it stands, for its parameters. */
  readonly contentType: string;
  readonly parts: readonly Part[];
  /** Decoded and cut at the bounds; '' for a container, an image and the like. */
  readonly text: string;
}

interface OpenPart {
  readonly node: MimeNode;
  readonly parts: OpenPart[];
  readonly chunks: Buffer[];
  bytes: number;
}

/** Types whose content says something; of others (images, archives), nothing is kept. */
const readable = /^(?:text|message|multipart)\//;

export async function readParts(mail: Uint8Array): Promise<Part> {
  const open = new Map<MimeNode, OpenPart>();
  let root: OpenPart | null = null;
  const splitter = new Splitter({ ignoreEmbedded: true, maxHeadSize: maxHeadBytes, maxChildNodes: maxParts });
  splitter.end(tidied(Buffer.from(mail.buffer, mail.byteOffset, Math.min(mail.byteLength, maxReadBytes))));
  try {
    for await (const chunk of splitter as AsyncIterable<SplitterChunk>) {
      if (chunk.type === 'node') {
        const part: OpenPart = { node: chunk, parts: [], chunks: [], bytes: 0 };
        open.set(chunk, part);
        root ??= part;
        if (chunk.parentNode !== false) open.get(chunk.parentNode)?.parts.push(part);
      } else keep(open.get(chunk.node), chunk.value);
    }
  } catch {
    // Too many parts, or too large a header: what was read until then is all that is judged.
  }
  return root === null ? { fields: [], type: 'text/plain', contentType: '', parts: [], text: '' } : closed(root);
}

const [cr, lf] = [0x0d, 0x0a];

/**
 * Some programs leave an empty line where a mailbox file had its line `From …`: without it the header would be empty. Files of old
 * Macintoshes end their lines with CR alone.
 */
function tidied(mail: Buffer): Buffer {
  const start = mail.findIndex((octet) => octet !== cr && octet !== lf);
  const rest = start > 0 ? mail.subarray(start) : mail;
  return rest.includes(lf) ? rest : Buffer.from(rest.map((octet) => (octet === cr ? lf : octet)));
}

function keep(part: OpenPart | undefined, value: Buffer): void {
  if (part === undefined || !readable.test(typeOf(part.node))) return;
  const room = maxPartBytes - part.bytes;
  if (room <= 0) return;
  const kept = value.subarray(0, room);
  part.chunks.push(kept);
  part.bytes += kept.length;
}

function typeOf(node: MimeNode): string {
  // Some programs leave out the semicolon before a parameter.
  return node.contentType === false ? 'text/plain' : (node.contentType.toLowerCase().split(/[\s;]/)[0] ?? '');
}

async function closed(part: OpenPart): Promise<Part> {
  const { node } = part;
  const lines = node.headers === false ? [] : node.headers.getList().flatMap(({ line }) => textOf(line).split(/\r?\n/));
  const fields = fieldsOf(lines);
  const parts: Part[] = [];
  for (const child of part.parts) parts.push(await closed(child));
  // Whose boundary does not occur: the whole is one text.
  const isText = parts.length === 0 && typeOf(node).startsWith('multipart/');
  return {
    fields,
    type: isText ? 'text/plain' : typeOf(node),
    contentType: fields.find(({ name }) => name === 'content-type')?.value ?? '',
    parts,
    text:
      part.chunks.length === 0
        ? ''
        : textOfOctets(await decodedOctets(node, Buffer.concat(part.chunks)), node.charset || ''),
  };
}

/** The raw line of a header has one character per octet. */
function textOf(line: string): string {
  return textOfOctets(Buffer.from(line, 'latin1'), '');
}
