/**
 * The suppression list as a file: CSV (RFC 4180) with a header, as it is exported, or one address a line. Pure.
 *
 * A cell that a spreadsheet would take for a formula has an apostrophe in front (csv.ts), which is taken away again.
 */
import { parseAddress } from '../message/address.ts';
import type { NewSuppression, Suppression } from '../queue/suppressions.ts';
import { csvCell } from './csv.ts';

export type FileEntry = Pick<NewSuppression, 'address' | 'reason' | 'until'>;

/** `line` is from 1. `problem` continues a sentence that begins with the line. */
interface FileProblem {
  readonly line: number;
  readonly problem: string;
}

export interface SuppressionFile {
  readonly entries: readonly FileEntry[];
  readonly problems: readonly FileProblem[];
}

const columns = ['address', 'reason', 'origin', 'by', 'at', 'until'] as const;

export const suppressionCsvHeader = columns.join(',');

export function suppressionCsvLine(entry: Suppression): string {
  const { address, reason, origin, by, at, until } = entry;
  const times = [at, until].map((ms) => (ms === null ? null : new Date(ms).toISOString()));
  return [address, reason, origin, by, ...times].map(csvCell).join(',');
}

/** Every line is looked at. What stands in `origin`, `by` and `at` is not taken over: the importer has its own. */
export function readSuppressionFile(text: string): SuppressionFile {
  const entries: FileEntry[] = [];
  const problems: FileProblem[] = [];
  let place = { address: 0, reason: 1, until: 2 };
  let isFirst = true;
  for (const { line, cells } of rowsOf(text.replace(/^\ufeff/, ''))) {
    if (cells.every((cell) => cell.trim() === '')) continue;
    const names = cells.map((cell) => cell.trim().toLowerCase());
    if (isFirst && names.includes('address')) {
      place = { address: names.indexOf('address'), reason: names.indexOf('reason'), until: names.indexOf('until') };
      isFirst = false;
      continue;
    }
    isFirst = false;
    const cell = (at: number): string => (cells[at] ?? '').trim().replace(/^'(?=[\s]*[=+\-@])/, '');
    const address = parseAddress(cell(place.address));
    const until = endOf(cell(place.until));
    if (!address.ok) problems.push({ line, problem: `has an address that ${address.problem}` });
    else if (until === undefined) problems.push({ line, problem: 'has an end that is no ISO 8601 time with a zone' });
    else entries.push({ address: address.value, reason: cell(place.reason) || null, until });
  }
  return { entries, problems };
}

/** undefined: it is no time. */
function endOf(text: string): number | null | undefined {
  if (text === '') return null;
  if (!/^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2}))?$/.test(text))
    return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

interface Row {
  readonly line: number;
  readonly cells: readonly string[];
}

/** Linear in the length. */
function* rowsOf(text: string): Generator<Row> {
  let [line, start, cells, cell, quoted] = [1, 1, [] as string[], '', false];
  for (let i = 0; i < text.length; i += 1) {
    const char = text[i]!;
    if (char === '\n') line += 1;
    if (quoted) {
      if (char !== '"') cell += char;
      else if (text[i + 1] === '"') {
        cell += '"';
        i += 1;
      } else quoted = false;
    } else if (char === '"' && cell.trim() === '') [quoted, cell] = [true, ''];
    else if (char === ',') {
      cells.push(cell);
      cell = '';
    } else if (char === '\n') {
      yield { line: start, cells: [...cells, cell] };
      [cells, cell, start] = [[], '', line];
    } else if (char !== '\r') cell += char;
  }
  if (cells.length > 0 || cell !== '') yield { line: start, cells: [...cells, cell] };
}
