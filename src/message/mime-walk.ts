/**
 * Goes through the parts of a finished mail and rewrites those that a policy names; every other byte stays.
 *
 * Containers follow their parts: a label `8bit` or `binary` that no longer fits is corrected. Within multipart/signed and
 * multipart/encrypted any change breaks the signature (RFC 1847 section 2.1), so a policy is told that a part is `frozen`.
 */
import { isAscii } from 'node:buffer';
import { findParts, newPartBudget, type PartBudget } from './mime-parts.ts';
import { readPartHeader, type PartHeader, type Range } from './part-header.ts';
import type { Piece } from './pieces.ts';
import type { Turns } from './turns.ts';

export type Rewrite =
  /** As it is. */
  | { readonly kind: 'keep' }
  /** With CRLF for each bare CR and bare LF. */
  | { readonly kind: 'lines' }
  | { readonly kind: 'encode'; readonly encoding: 'base64' | 'quoted-printable'; readonly content: readonly Piece[] }
  | { readonly kind: 'drop' }
  /** The mail cannot be sent: `problem` continues a sentence that begins with it. */
  | { readonly kind: 'refuse'; readonly problem: string };

export interface Entity {
  readonly bytes: Buffer;
  readonly header: PartHeader;
  readonly end: number;
  readonly frozen: boolean;
  /** It is the mail itself, and nothing within it. */
  readonly isTop: boolean;
}

/** A range of a header and what is written in its place. */
export interface Edit extends Range {
  readonly text: string;
}

export interface HeaderRewrite {
  readonly edits: readonly Edit[];
  /** Why the mail cannot be sent. */
  readonly problem: string | null;
}

export interface Policy {
  /** Whether a range may stay, whatever its structure. */
  readonly isFine: (bytes: Buffer, start: number, end: number) => boolean;
  /** What becomes of the header of an entity. */
  readonly header: (entity: Entity) => HeaderRewrite;
  /** What becomes of a part that is no container. */
  readonly leaf: (leaf: Entity) => Rewrite | Promise<Rewrite>;
  /** What becomes of an entity whose structure cannot be followed. */
  readonly opaque: (entity: Entity) => Rewrite | Promise<Rewrite>;
  /** What becomes of the text before the first and behind the last part, which no reader shows (RFC 2046 section 5.1.1). */
  readonly margin: (entity: Entity, start: number, end: number) => Rewrite;
}

export interface Rewritten {
  readonly pieces: readonly Piece[];
  /** Parts and labels that are others now; line ends do not count. */
  readonly changes: number;
  readonly problem: string | null;
}

/** No real mail nests deeper. */
const maxDepth = 30;
/** What one entity costs beside its bytes, as bytes. */
const entityCost = 2_000;

interface Walk {
  readonly bytes: Buffer;
  readonly policy: Policy;
  readonly turns: Turns;
  readonly budget: PartBudget;
  readonly drops: readonly Range[];
  pieces: Piece[];
  changes: number;
  problem: string | null;
}

interface Place {
  readonly start: number;
  readonly end: number;
  readonly depth: number;
  readonly frozen: boolean;
  /** The header is that of a mail, and not that of a part. */
  readonly isMail: boolean;
  readonly defaultType?: string;
}

/** `start`: where the header of the mail begins; `drops`: its fields that are left out, in their order. */
export async function rewriteMime(
  bytes: Buffer,
  { start, drops }: { readonly start: number; readonly drops: readonly Range[] },
  policy: Policy,
  turns: Turns,
): Promise<Rewritten> {
  const budget = newPartBudget();
  const walk: Walk = { bytes, policy, turns, budget, drops, pieces: [], changes: drops.length, problem: null };
  await walkEntity(walk, { start, end: bytes.length, depth: 0, frozen: false, isMail: true });
  return walk;
}

async function walkEntity(walk: Walk, place: Place): Promise<void> {
  const { bytes, policy, turns } = walk;
  const { start, end, depth, frozen } = place;
  if (walk.problem !== null) return;
  const turn = turns.spend(entityCost);
  if (turn !== null) await turn;
  if (policy.isFine(bytes, start, end)) return apply(walk, { kind: 'keep' }, start, end);
  const header = readPartHeader(bytes, start, end, place);
  const entity: Entity = { bytes, header, end, frozen, isTop: depth === 0 };
  const { edits, problem } = policy.header(entity);
  walk.problem ??= problem;
  walk.changes += edits.length;
  if (header.isTooLong || depth > maxDepth) return apply(walk, await policy.opaque(entity), start, end);
  const { type, encoding } = header;
  const isPlain = ['', '7bit', '8bit', 'binary'].includes(encoding);
  if (type.startsWith('multipart/')) return walkMultipart(walk, entity, { ...place, edits });
  if (isPlain && (type === 'message/rfc822' || type === 'message/global')) {
    const inner = { start: header.bodyStart, end, depth: depth + 1, frozen, isMail: true };
    return container(walk, entity, { ...place, edits }, () => walkEntity(walk, inner));
  }
  const rewrite = await policy.leaf(entity);
  writeHeader(walk, header, { ...place, edits }, rewrite.kind === 'encode' ? rewrite.encoding : null);
  apply(walk, rewrite, header.bodyStart, end);
  // The last line end of a body belongs to the mail, not to the base64 text.
  if (depth === 0 && rewrite.kind === 'encode' && rewrite.encoding === 'base64') walk.pieces.push('\r\n');
}

/** An entity whose header has been judged. */
type Judged = Place & { readonly edits: readonly Edit[] };

async function walkMultipart(walk: Walk, entity: Entity, place: Judged): Promise<void> {
  const { bytes, policy, turns, budget } = walk;
  const { header, end } = entity;
  const parts = header.boundary === '' ? null : findParts(bytes, header.bodyStart, end, header.boundary, budget);
  const turn = turns.spend(end - header.bodyStart);
  if (turn !== null) await turn;
  if (parts === null || parts.ranges.length === 0) return apply(walk, await policy.opaque(entity), header.start, end);
  const { ranges, epilogue } = parts;
  const frozen = entity.frozen || header.type === 'multipart/signed' || header.type === 'multipart/encrypted';
  const inner = { ...entity, frozen };
  // RFC 2046 section 5.1.5.
  const defaultType = header.type === 'multipart/digest' ? 'message/rfc822' : 'text/plain';
  await container(walk, entity, { ...place, frozen }, async () => {
    const first = ranges[0]![0];
    // The delimiter line before the first part begins behind the last line end but one.
    const preamble = bytes.lastIndexOf(0x0a, first - 2) + 1;
    margin(walk, inner, header.bodyStart, preamble);
    let from = preamble;
    for (const [start, partEnd] of ranges) {
      apply(walk, { kind: 'lines' }, from, start);
      await walkEntity(walk, { start, end: partEnd, depth: place.depth + 1, frozen, isMail: false, defaultType });
      from = partEnd;
    }
    apply(walk, { kind: 'lines' }, from, epilogue);
    margin(walk, inner, epilogue, end);
  });
}

function margin(walk: Walk, entity: Entity, start: number, end: number): void {
  if (start < end) apply(walk, walk.policy.margin(entity, start, end), start, end);
}

/** The header of a container comes before its parts and is written after them, as its label says what is the widest inside. */
async function container(walk: Walk, { header }: Entity, place: Judged, inside: () => Promise<void>): Promise<void> {
  const before = walk.pieces;
  const changes = walk.changes;
  walk.pieces = [];
  await inside();
  const inner = walk.pieces;
  walk.pieces = before;
  let label: string | null = null;
  const { encoding } = header;
  const mayBeWrong = encoding === 'binary' || (encoding === '8bit' && walk.changes > changes);
  if (mayBeWrong && !place.frozen) {
    label = inner.every(isAsciiPiece) ? '7bit' : '8bit';
    if (label === encoding) label = null;
    else walk.changes += 1;
  }
  writeHeader(walk, header, place, label);
  for (const piece of inner) before.push(piece);
}

function isAsciiPiece(piece: Piece): boolean {
  if (typeof piece === 'string') return true;
  if (Buffer.isBuffer(piece)) return isAscii(piece);
  return 'base64' in piece || isAscii(piece.source.subarray(piece.start, piece.end));
}

function apply(walk: Walk, rewrite: Rewrite, start: number, end: number): void {
  const { bytes, pieces } = walk;
  switch (rewrite.kind) {
    case 'keep':
      if (start < end) pieces.push(bytes.subarray(start, end));
      return;
    case 'lines':
      if (start < end) pieces.push({ source: bytes, start, end });
      return;
    case 'encode':
      for (const piece of rewrite.content) pieces.push(piece);
      walk.changes += 1;
      return;
    case 'drop':
      walk.changes += 1;
      return;
    case 'refuse':
      walk.problem ??= rewrite.problem;
      return;
    default:
      rewrite satisfies never;
  }
}

/** With another Content-Transfer-Encoding if one is given. A mail without MIME-Version gets one with it, or readers would ignore the encoding. */
function writeHeader(walk: Walk, header: PartHeader, { edits, isMail }: Judged, encoding: string | null): void {
  const { start, bodyStart, fieldsEnd, encodingFields, hasVersion } = header;
  const all: Edit[] = [...edits];
  for (const range of walk.drops) if (range.start >= start && range.end <= bodyStart) all.push({ ...range, text: '' });
  if (encoding !== null) {
    const text = `${isMail && !hasVersion ? 'MIME-Version: 1.0\r\n' : ''}Content-Transfer-Encoding: ${encoding}\r\n`;
    const [field = { start: fieldsEnd, end: fieldsEnd }, ...more] = encodingFields;
    all.push({ ...field, text }, ...more.map((range) => ({ ...range, text: '' })));
  }
  let from = start;
  for (const { start: at, end, text } of all.toSorted((a, b) => a.start - b.start)) {
    if (at < from) continue;
    apply(walk, { kind: 'lines' }, from, at);
    if (text !== '') walk.pieces.push(text);
    from = end;
  }
  apply(walk, { kind: 'lines' }, from, bodyStart);
}
