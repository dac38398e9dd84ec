/** Pieces of a mail that are written into one buffer at the end, encoded on the way: no piece is held twice. */
import { base64LinesSize, writeBase64Lines } from './base64-lines.ts';
import { bareLineEnds, writeCrlf, type LineRange } from './line-ends.ts';
import { inSlices, type Turns } from './turns.ts';

const cr = 0x0d;
const lf = 0x0a;

/** A string is written as UTF-8, `base64` in lines. */
export type Piece = string | Buffer | { readonly base64: Buffer } | LineRange;

/** Pieces whose size is known, before anything is allocated for them. */
export interface Measured {
  readonly pieces: readonly Piece[];
  /** In bytes, as they will be written. */
  readonly size: number;
}

export async function measurePieces(some: readonly Piece[], turns: Turns): Promise<Measured> {
  const pieces = adjoined(some);
  let size = 0;
  for (const piece of pieces) size += await sizeOf(piece, turns);
  return { pieces, size };
}

export async function joinPieces(pieces: readonly Piece[], turns: Turns): Promise<Buffer> {
  return (await joined(await measurePieces(pieces, turns), turns)).out;
}

export async function joinMeasured(measured: Measured, turns: Turns): Promise<Buffer> {
  return (await joined(measured, turns)).out;
}

/** The same, and its last line is ended if it is not. */
export async function joinLines(measured: Measured, turns: Turns): Promise<Buffer> {
  const { out, room } = await joined(measured, turns);
  const last = out.at(-1);
  if (last === lf) return out;
  const end = out.length + room.write(last === cr ? '\n' : '\r\n', out.length, 'latin1');
  return room.subarray(0, end);
}

/** `room` has two bytes more than `out`. */
async function joined({ pieces, size }: Measured, turns: Turns): Promise<{ out: Buffer; room: Buffer }> {
  const room = Buffer.allocUnsafe(size + 2);
  let at = 0;
  for (const piece of pieces) at = await write(piece, room, at, turns);
  return { out: room.subarray(0, at), room };
}

/** Ranges one behind the other become one: a CR and an LF that an edge divides are a line end. */
function adjoined(pieces: readonly Piece[]): Piece[] {
  const whole: Piece[] = [];
  let last = null as LineRange | null;
  for (const piece of pieces) {
    const range: LineRange | null = typeof piece === 'object' && 'source' in piece ? piece : null;
    if (range !== null && last !== null && range.source === last.source && range.start === last.end) {
      last = { ...last, end: range.end };
      whole[whole.length - 1] = last;
      continue;
    }
    whole.push(piece);
    last = range;
  }
  return whole;
}

async function sizeOf(piece: Piece, turns: Turns): Promise<number> {
  if (typeof piece === 'string') return Buffer.byteLength(piece, 'utf8');
  if (Buffer.isBuffer(piece)) return piece.length;
  if ('base64' in piece) return base64LinesSize(piece.base64.length);
  let size = piece.end - piece.start;
  await inSlices(piece.start, piece.end, turns, (start, end) => {
    size += bareLineEnds(piece, start, end);
  });
  return size;
}

/** → where the piece ends. */
async function write(piece: Piece, out: Buffer, start: number, turns: Turns): Promise<number> {
  if (typeof piece === 'string') return start + out.write(piece, start, 'utf8');
  let at = start;
  if (Buffer.isBuffer(piece)) {
    await inSlices(0, piece.length, turns, (from, to) => {
      at += piece.copy(out, at, from, to);
    });
  } else if ('base64' in piece) at = await writeBase64Lines(piece.base64, out, at, turns);
  else {
    await inSlices(piece.start, piece.end, turns, (from, to) => {
      at = writeCrlf(piece, from, to, out, at);
    });
  }
  return at;
}
