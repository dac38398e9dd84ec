/** What the quick start prints: progress, the table of deliveries, and the checks. */
import type { Check } from './checks.ts';
import type { Sent } from './evidence.ts';
import { ruleOf } from './verify.ts';
import type { MessageStatus } from '../../src/producer/producer.ts';

export interface Screen {
  line(text?: string): void;
  /** A line that the next one replaces; without a terminal it is printed at most once a second. */
  progress(text: string): void;
}

export function createScreen(stream: NodeJS.WriteStream): Screen {
  let open = false;
  let printedAt = 0;
  const clear = (): void => {
    if (open) stream.write('\r\u001b[2K');
    open = false;
  };
  return {
    line(text = '') {
      clear();
      stream.write(`${text}\n`);
    },
    progress(text) {
      if (stream.isTTY) {
        clear();
        stream.write(text.slice(0, (stream.columns || 80) - 1));
        open = true;
      } else if (Date.now() - printedAt >= 1_000) {
        printedAt = Date.now();
        stream.write(`${text}\n`);
      }
    },
  };
}

/** The table: From → connector → rule → outcome → count, as the ledger has it; in the order of the example set. */
export function deliveryTable(sent: readonly Sent[], statuses: ReadonlyMap<string, MessageStatus>): string[] {
  const rows = new Map<string, { cells: readonly string[]; count: number }>();
  for (const { example, id } of sent) {
    const status = statuses.get(id) ?? null;
    const from = example.sender.from?.address ?? '(none)';
    const cells = [from, status?.connector ?? '?', ruleOf({ status }) ?? '?', outcomeOf(status)];
    const key = cells.join('\0');
    const row = rows.get(key) ?? { cells, count: 0 };
    rows.set(key, { cells, count: row.count + 1 });
  }
  const froms = [...new Set(sent.map(({ example }) => example.sender.from?.address ?? '(none)'))];
  const sorted = [...rows.values()].sort((a, b) => froms.indexOf(a.cells[0]!) - froms.indexOf(b.cells[0]!));
  return table(
    ['From', 'connector', 'rule', 'outcome', 'count'],
    sorted.map(({ cells, count }) => [...cells, String(count)]),
  );
}

function outcomeOf(status: MessageStatus | null): string {
  if (status === null) return 'not in the ledger';
  const refused = status.recipients.find(({ outcome }) => outcome === 'rejected');
  if (status.state === 'partial') return `partial: one recipient ${refused?.code ?? 'refused'}`;
  if (status.state === 'dead') return `dead letter: ${status.reason ?? '?'} ${refused?.code ?? ''}`.trim();
  if (status.recipients.some(({ reply }) => reply === 'found among the sent items')) return 'sent, found in Sent Items';
  if (status.state === 'sent' && status.attempts > 1) return `sent, at attempt ${status.attempts}`;
  return status.state;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((text, i) =>
    Math.max(...[text, ...rows.map((row) => row[i] ?? '')].map((cell) => cell.length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (/^\d+$/.test(cell) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd();
  return [line(head), widths.map((width) => '─'.repeat(width)).join('  '), ...rows.map(line)];
}

/** How many differences of one check are shown. */
const shownProblems = 8;

export function checkLines(checks: readonly Check[]): string[] {
  return checks.flatMap(({ title, looked, problems }) => {
    const hidden = problems.length - shownProblems;
    // A check that had nothing to look at proves nothing; a small --count does not have every kind of mail.
    if (looked === 0) return [`– ${title} (no such message in this set)`];
    return [
      problems.length === 0 ? `✓ ${title} (${looked})` : `✗ ${title} (${problems.length} of ${looked})`,
      ...problems.slice(0, shownProblems).map((problem) => `    ${problem}`),
      ...(hidden > 0 ? [`    … and ${hidden} more`] : []),
    ];
  });
}
