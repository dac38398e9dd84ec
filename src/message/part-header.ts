/**
 * The header of one MIME entity, as far as it says how the entity is encoded and divided (RFC 2045, RFC 2046 section 5.1).
 *
 * Bounded, and read without an object for each line: a part may be 25 MB of header lines.
 */

const lf = 0x0a;
const cr = 0x0d;

/** What is read of a header; no program writes more. A header beyond its bound is not followed. */
const partBounds = { bytes: 64 * 1024, lines: 1_000 };
const mailBounds = { bytes: 1024 * 1024, lines: 25_000 };
/** A boundary has at most 70 characters (RFC 2046 section 5.1.1); what comes later than this in a Content-Type does not matter here. */
const maxValueChars = 2_000;

export interface Range {
  readonly start: number;
  readonly end: number;
}

export interface PartHeader {
  readonly start: number;
  /** Behind the empty line; the end of the entity if it has none. */
  readonly bodyStart: number;
  /** Where a further field goes: behind the last one. */
  readonly fieldsEnd: number;
  /** What ends the empty line: the line end of the program that wrote this entity. */
  readonly lineEnd: '\r\n' | '\n';
  /** Type and subtype in lower case. */
  readonly type: string;
  /** '' without one. */
  readonly boundary: string;
  /** In lower case; '' without one. */
  readonly charset: string;
  /** Content-Transfer-Encoding in lower case; '' without one. */
  readonly encoding: string;
  readonly encodingFields: readonly Range[];
  readonly hasVersion: boolean;
  /** The header has more bytes or lines than are read. */
  readonly isTooLong: boolean;
}

/** `isMail`: the header is that of a mail. `defaultType`: the type of an entity without a Content-Type. */
export function readPartHeader(
  bytes: Buffer,
  start: number,
  end: number,
  { isMail, defaultType = 'text/plain' }: { readonly isMail: boolean; readonly defaultType?: string },
): PartHeader {
  const bounds = isMail ? mailBounds : partBounds;
  const limit = Math.min(end, start + bounds.bytes);
  const fields: { name: string; start: number; end: number }[] = [];
  let position = start;
  let lineEnd: '\r\n' | '\n' = '\r\n';
  let bodyStart = end;
  let isTooLong = false;
  let open: { name: string; start: number } | null = null;
  for (let lines = 0; position < end; lines += 1) {
    if (lines >= bounds.lines || position >= limit) {
      isTooLong = true;
      break;
    }
    const newline = indexOfLf(bytes, position, limit);
    if (newline < 0 && limit < end) {
      isTooLong = true;
      break;
    }
    const next = newline < 0 ? end : newline + 1;
    const first = bytes[position];
    if (newline === position || (first === cr && newline === position + 1)) {
      if (open !== null) fields.push({ ...open, end: position });
      open = null;
      lineEnd = first === cr ? '\r\n' : '\n';
      bodyStart = next;
      break;
    }
    if (first !== 0x20 && first !== 0x09) {
      if (open !== null) fields.push({ ...open, end: position });
      const name = wantedName(bytes, position, next);
      open = name === null ? null : { name, start: position };
    }
    position = next;
  }
  if (open !== null) fields.push({ ...open, end: position });
  const valueOf = (wanted: string): string | null => {
    const field = fields.find(({ name }) => name === wanted);
    return field === undefined ? null : valueText(bytes, field.start, field.end);
  };
  const contentType = valueOf('content-type') ?? defaultType;
  return {
    start,
    bodyStart,
    fieldsEnd: position,
    lineEnd,
    type: token(contentType) || defaultType,
    boundary: parameter(contentType, 'boundary'),
    charset: parameter(contentType, 'charset').toLowerCase(),
    encoding: token(valueOf('content-transfer-encoding') ?? ''),
    encodingFields: fields.filter(({ name }) => name === 'content-transfer-encoding'),
    hasVersion: fields.some(({ name }) => name === 'mime-version'),
    isTooLong,
  };
}

/** Not `Buffer.indexOf`, which would read on to the next line feed, however far that is. */
function indexOfLf(bytes: Buffer, start: number, end: number): number {
  for (let i = start; i < end; i += 1) if (bytes[i] === lf) return i;
  return -1;
}

const wantedNames = ['content-type', 'content-transfer-encoding', 'mime-version'];

function wantedName(bytes: Buffer, start: number, end: number): string | null {
  const first = (bytes[start] ?? 0) | 0x20;
  if (first !== 0x63 && first !== 0x6d) return null;
  const text = bytes.toString('latin1', start, Math.min(end, start + 60));
  const colon = text.indexOf(':');
  const name = text.slice(0, Math.max(colon, 0)).trimEnd().toLowerCase();
  return wantedNames.includes(name) ? name : null;
}

/** Unfolded. */
function valueText(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('latin1', start, Math.min(end, start + maxValueChars));
  return text.slice(text.indexOf(':') + 1).replaceAll(/[\r\n]+/g, '');
}

/** The first word: without comments before it (RFC 822 allows them), parameters, and quotes that some programs put around it. */
function token(value: string): string {
  return /^(?:\s|\([^()]{0,200}\))*"?([^\s;("]*)/.exec(value)?.[1]?.toLowerCase() ?? '';
}

/** `; name=value` or `; name="value"`, one behind the other: a boundary within another parameter's quotes is none. */
const nextParameter = /[^;]*;\s*([^\s=;"]*)\s*=?\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]*))/y;

export function parameter(contentType: string, wanted: string): string {
  nextParameter.lastIndex = 0;
  for (let found = nextParameter.exec(contentType); found !== null; found = nextParameter.exec(contentType)) {
    const [, name = '', quoted, bare = ''] = found;
    if (name.toLowerCase() === wanted) return quoted?.replaceAll(/\\(.)/g, '$1') ?? bare;
  }
  return '';
}
