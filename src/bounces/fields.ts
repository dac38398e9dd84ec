/** Fields as a header and a delivery status have them: name, colon, value, folded lines (RFC 5322 section 2.2). */
import { maxFields, maxLineChars } from './bounds.ts';

export interface Field {
  /** In lower case. */
  readonly name: string;
  /** Unfolded, with single blanks. */
  readonly value: string;
}

const fieldLine = /^([!-9;-~]{1,100})[ \t]*:(.*)$/;
/** Some servers indent all fields; without this list they would be folded lines of the first. */
const indented =
  /^[ \t]+(?:reporting-mta|received-from-mta|arrival-date|(?:final|original|x-actual)-recipient|action|status|remote-mta|diagnostic-code|last-attempt-date|will-retry-until|message-id|from|to|subject|date|mime-version|content-type)[ \t]*:/i;

/** The fields of a block. Lines that are no fields are passed over, as is an mbox line (`From …`). */
export function fieldsOf(lines: readonly string[]): Field[] {
  const fields: { name: string; value: string }[] = [];
  for (const raw of lines) {
    const line = raw.slice(0, maxLineChars);
    const open = fields.at(-1);
    const isFolded = /^[ \t]/.test(line) && !indented.test(line);
    if (isFolded) {
      if (open !== undefined && open.value.length < maxLineChars) open.value += ` ${line}`;
      continue;
    }
    const found = fieldLine.exec(line.trimStart());
    if (found === null) continue;
    if (fields.length >= maxFields) break;
    fields.push({ name: (found[1] ?? '').toLowerCase(), value: found[2] ?? '' });
  }
  return fields.map(({ name, value }) => ({ name, value: collapsed(value) }));
}

export function collapsed(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}

/** The first value of a field; '' without one. */
export function valueOf(fields: readonly Field[], ...names: readonly string[]): string {
  for (const name of names) {
    const found = fields.find((field) => field.name === name);
    if (found !== undefined) return found.value;
  }
  return '';
}

/** Without comments in brackets (RFC 5322 section 3.2.2), which quotes do not open. */
export function withoutComments(value: string): string {
  let depth = 0;
  let isQuoted = false;
  let kept = '';
  for (let i = 0; i < value.length; i += 1) {
    const char = value.charAt(i);
    if (char === '\\') {
      if (depth === 0) kept += value.slice(i, i + 2);
      i += 1;
    } else if (char === '"' && depth === 0) {
      isQuoted = !isQuoted;
      kept += char;
    } else if (char === '(' && !isQuoted) depth += 1;
    else if (char === ')' && !isQuoted && depth > 0) depth -= 1;
    else if (depth === 0) kept += char;
  }
  return kept.trim();
}

/** `type; value` of a field of a delivery status (RFC 3464 section 2.1.2). Without a type, all is the value. */
export function typed(value: string): { readonly type: string; readonly value: string } {
  const found = /^([\w+.-]{0,40})[ \t]*(?:\([^()]{0,200}\)[ \t]*)?;(.*)$/s.exec(value);
  if (found === null) return { type: '', value: value.trim() };
  return { type: (found[1] ?? '').toLowerCase(), value: (found[2] ?? '').trim() };
}
