/**
 * Gives a finished mail the form in which SMTP can carry it: lines that end in CRLF, and base64 for what consists of no lines.
 *
 * A CR or LF is a line end in text, and content in a picture. Which of the two it is follows from each part's own encoding
 * and type, so this is decided part by part, before anything is changed:
 * - `binary` (RFC 2045 section 2.9) is content, octet by octet. DATA carries lines only, and BINARYMIME needs BDAT
 *   (RFC 3030 section 3), so it becomes base64.
 * - `7bit` and `8bit` are lines. Text gets CRLF line ends. Other content that has NUL, or a CR or LF that cannot be a line
 *   end of the program that wrote it, is mislabelled and becomes base64, too.
 * - NUL may stand in no line (RFC 2045 section 2.8): text with one becomes base64.
 */
import { isUtf8 } from 'node:buffer';
import { lineFaults, type LineFaults } from './line-ends.ts';
import { rewriteMime, type Entity, type Policy, type Rewrite, type Rewritten } from './mime-walk.ts';
import type { PartHeader, Range } from './part-header.ts';
import { decodeQuotedPrintable, encodeQuotedPrintable } from './quoted-printable.ts';
import { inSlices, type Turns } from './turns.ts';

const lines: Rewrite = { kind: 'lines' };

/** `isClean`: no line end had to be changed. */
type Sendable = Rewritten & { readonly isClean: boolean };

/** `start`: where the header begins; `drops`: its fields that are left out. */
export async function sendableMail(
  bytes: Buffer,
  start: number,
  drops: readonly Range[],
  turns: Turns,
): Promise<Sendable> {
  const whole = await lineFaults(bytes, start, bytes.length, turns);
  const faultsOf = ({ header, end }: Entity): LineFaults | Promise<LineFaults> =>
    isClean(whole) ? whole : lineFaults(bytes, header.bodyStart, end, turns);
  const hasNul = (from: number, to: number): boolean => whole.nul && bytes.subarray(from, to).includes(0);
  const policy: Policy = {
    isFine: () => false,
    header: ({ header }) => ({
      edits: [],
      problem: hasNul(header.start, header.bodyStart) ? 'has a NUL in the header of one of its parts' : null,
    }),
    leaf: async (leaf) => rewriteLeaf(leaf, await faultsOf(leaf), turns),
    opaque: async (entity) => rewriteOpaque(entity, await faultsOf(entity)),
    margin: ({ frozen }, from, to) => {
      if (!hasNul(from, to)) return lines;
      return frozen ? refuse('has a NUL within a signed part') : { kind: 'drop' };
    },
  };
  const rewritten = await rewriteMime(bytes, { start, drops }, policy, turns);
  return { ...rewritten, isClean: isClean(whole) };
}

function isClean({ nul, bareCr, bareLf }: LineFaults): boolean {
  return !nul && !bareCr && !bareLf;
}

function refuse(problem: string): Rewrite {
  return { kind: 'refuse', problem };
}

async function rewriteLeaf(leaf: Entity, faults: LineFaults, turns: Turns): Promise<Rewrite> {
  const { bytes, header, end, frozen } = leaf;
  const { encoding } = header;
  const body = bytes.subarray(header.bodyStart, end);
  if (['', '7bit', '8bit', 'binary'].includes(encoding)) {
    if (!(await isContent(leaf, body, faults, turns))) return lines;
    if (!frozen) return { kind: 'encode', encoding: 'base64', content: [{ base64: body }] };
    if (isClean(faults)) return lines;
    return refuse('has a signed part with binary content, which cannot be encoded without breaking the signature');
  }
  if (!faults.nul) return lines;
  if (frozen) return refuse('has a NUL within a signed part');
  if (encoding === 'base64') {
    return { kind: 'encode', encoding, content: [{ base64: Buffer.from(body.toString('latin1'), 'base64') }] };
  }
  if (encoding === 'quoted-printable') {
    return {
      kind: 'encode',
      encoding,
      content: await encodeQuotedPrintable(await decodeQuotedPrintable(body, turns), turns),
    };
  }
  return refuse(`has a part with a NUL in the encoding "${encoding.slice(0, 40)}"`);
}

/** Whether the part's CR and LF are content, and no line ends. */
async function isContent({ header }: Entity, body: Buffer, faults: LineFaults, turns: Turns): Promise<boolean> {
  if (header.encoding === 'binary' || faults.nul) return true;
  // Where lines end in LF, the delimiter's LF behind a last CR makes no line end of that.
  if (isClean(faults) && !(header.lineEnd === '\n' && body.includes(0x0d))) return false;
  if (header.type.startsWith('text/')) return hasWideCharacters(header);
  if (header.type.startsWith('message/')) return false;
  if (header.lineEnd === '\r\n') return true;
  // The program that wrote this part ends its lines in LF: its text is lines, whatever it is called.
  return !(await isText(body, turns));
}

/** In UTF-16 and UTF-32 an octet 0x0A may be half of another character. */
function hasWideCharacters({ charset }: PartHeader): boolean {
  return /^(?:utf-?16|utf-?32|ucs-?[24]|iso-10646-ucs)/.test(charset);
}

/** UTF-8 without CR and other control characters than tab, LF and form feed. */
async function isText(body: Buffer, turns: Turns): Promise<boolean> {
  if (!isUtf8(body)) return false;
  let control = false;
  await inSlices(0, body.length, turns, (start, end) => {
    for (let i = start; i < end && !control; i += 1) {
      const byte = body[i] ?? 0;
      control = byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0c;
    }
  });
  return !control;
}

/** Lines go out as lines; what may be content is not changed on a guess. */
function rewriteOpaque({ header }: Entity, { nul, bareCr, bareLf }: LineFaults): Rewrite {
  if (!nul && !bareCr && (!bareLf || header.lineEnd === '\n')) return lines;
  return refuse('has a structure that cannot be followed, and octets in it that no line of a mail may have');
}
