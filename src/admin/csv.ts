/**
 * Messages as CSV (RFC 4180), for spreadsheets. What begins a formula there is text in a message: a cell that begins with `=`, `+`, `-`, `@`, a
 * tab or a line end gets an apostrophe in front (OWASP, "CSV Injection").
 */
import { printable } from '../errors.ts';
import type { MessageSummary } from './messages.ts';

/** A cell has at most 32,767 characters in Excel; none of ours comes near. */
const mostCharacters = 8_000;

const columns: readonly (readonly [title: string, cell: (message: MessageSummary) => string | number | null])[] = [
  ['id', ({ id }) => id],
  ['state', ({ state }) => state],
  ['connector', ({ connector }) => connector],
  ['from', ({ from }) => from],
  ['recipients', ({ recipients }) => recipients.map(({ address }) => address).join('; ')],
  ['recipientCount', ({ recipientCount }) => recipientCount],
  ['at', ({ at }) => new Date(at).toISOString()],
  ['updatedAt', ({ updatedAt }) => new Date(updatedAt).toISOString()],
  ['attempts', ({ attempts }) => attempts],
  ['reason', ({ reason }) => reason],
  ['reply', ({ recipients }) => recipients.find(({ reply }) => reply !== null)?.reply ?? null],
  ['messageId', ({ messageId }) => messageId],
  ['subject', ({ subject }) => subject],
  ['metadata', ({ metadata }) => (Object.keys(metadata).length === 0 ? null : JSON.stringify(metadata))],
  [
    'bounced',
    ({ recipients }) =>
      recipients.flatMap(({ address, bounce }) => (bounce?.action === 'failed' ? [address] : [])).join('; ') || null,
  ],
];

export function csvHeader(): string {
  return columns.map(([title]) => title).join(',');
}

export function csvLine(message: MessageSummary): string {
  return columns.map(([, cell]) => csvCell(cell(message))).join(',');
}

export function csvCell(value: string | number | null): string {
  if (value === null) return '';
  if (typeof value === 'number') return String(value);
  // Before control characters become blanks: a tab or a line end may begin a formula, too.
  const guarded = /^[\s]*[=+\-@]|^[\t\r\n]/.test(value) ? `'${value}` : value;
  const text = printable(guarded, mostCharacters);
  return /[",\n\r]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
