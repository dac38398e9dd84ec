/** Tables for people: columns as wide as their widest cell, two spaces apart, without control characters. */
import { printable } from '../errors.ts';

export interface Column<Row> {
  readonly title: string;
  readonly align?: 'left' | 'right';
  readonly cell: (row: Row) => string | number | null;
}

/** Longer cells are cut: a server's reply may have 500 characters. `--json` has all of it. */
const maxCell = 80;

/** The lines of a table with a header; `-` marks an empty cell. `heading` formats the header line. */
export function table<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  heading: (text: string) => string,
): string[] {
  const cells = rows.map((row) =>
    columns.map(({ cell }) => {
      const value = cell(row);
      return value === null || value === '' ? '-' : printable(String(value), maxCell);
    }),
  );
  const titles = columns.map(({ title }) => title);
  const widths = columns.map((_, i) => Math.max(...[titles, ...cells].map((line) => width(line[i] ?? ''))));
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, i) => {
        const fill = ' '.repeat((widths[i] ?? 0) - width(text));
        return columns[i]?.align === 'right' ? fill + text : text + fill;
      })
      .join('  ')
      .trimEnd();
  return [heading(line(titles)), ...cells.map(line)];
}

/** In code points, not UTF-16 units. Wide East Asian characters count as one; addresses rarely have them. */
function width(text: string): number {
  return Array.from(text).length;
}
