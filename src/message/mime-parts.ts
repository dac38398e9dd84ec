/** Where the parts of a multipart body are: between the lines that hold its boundary (RFC 2046 section 5.1.1). */

const lf = 0x0a;
const cr = 0x0d;

/** What one mail may ask of the search, however its multiparts are nested. */
export interface PartBudget {
  parts: number;
  /** Lines that begin like a delimiter. */
  candidates: number;
}

/** No real mail has more. */
export function newPartBudget(): PartBudget {
  return { parts: 10_000, candidates: 100_000 };
}

export interface Parts {
  /** Without the line end before the next delimiter, which belongs to that. */
  readonly ranges: readonly (readonly [number, number])[];
  /** Behind the line that closes the multipart; the end if none does. */
  readonly epilogue: number;
}

/** → null if the budget does not suffice. `budget` is spent. */
export function findParts(
  bytes: Buffer,
  start: number,
  end: number,
  boundary: string,
  budget: PartBudget,
): Parts | null {
  const body = bytes.subarray(start, end);
  const delimiter = Buffer.from(`\n--${boundary}`, 'latin1');
  const ranges: [number, number][] = [];
  let partStart = -1;
  let endsInCrlf = true;
  // At the very beginning no line feed is before it.
  const startsAtOnce = body.subarray(0, delimiter.length - 1).equals(delimiter.subarray(1));
  let at = startsAtOnce ? -1 : body.indexOf(delimiter);
  for (let found = startsAtOnce || at >= 0; found; found = at >= 0) {
    budget.candidates -= 1;
    if (budget.candidates < 0) return null;
    const after = at + delimiter.length;
    const newline = body.indexOf(lf, after);
    const lineEnd = newline < 0 ? body.length : newline;
    const rest = body.toString('latin1', after, Math.min(lineEnd, after + 200));
    const closes = rest.startsWith('--');
    // Otherwise it is a longer boundary that begins with this one.
    if (closes || rest.trim() === '') {
      if (partStart >= 0) {
        budget.parts -= 1;
        if (budget.parts < 0) return null;
        // Where lines end in LF, a CR before it is content.
        const partEnd = endsInCrlf && body[at - 1] === cr ? at - 1 : at;
        ranges.push([start + partStart, start + Math.max(partStart, partEnd)]);
      }
      if (closes || newline < 0) return { ranges, epilogue: start + Math.min(lineEnd + 1, body.length) };
      partStart = newline + 1;
      endsInCrlf = body[newline - 1] === cr;
    }
    at = body.indexOf(delimiter, lineEnd);
  }
  if (partStart >= 0) ranges.push([start + partStart, end]);
  return { ranges, epilogue: end };
}
