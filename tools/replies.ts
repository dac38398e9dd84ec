/**
 * npm run -s replies -- FILE [--json | --wrong]: what the reply table makes of the replies in a file, against what they are.
 *
 * The file is a table with tabs, whose first line names the columns; it needs id, class, phase and reply. `\n` in a reply stands for the
 * end of a line. Exit code 2 for a file that is none.
 */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { harmless, harmlessJson, printable } from '../src/errors.ts';
import { attribute, type Attributed } from '../src/transport/smtp/attribute.ts';
import { parseReply } from '../src/transport/smtp/replies.ts';
import { replyPhases } from '../src/transport/smtp/reply-rules.ts';
import type { SmtpPhase } from '../src/transport/smtp/reply-table.ts';

const maxFileBytes = 64 * 1024 * 1024;
const columns = ['id', 'class', 'phase', 'reply'] as const;
const outcomes = ['rejected', 'open', 'deferred', 'fault'] as const;
const usage = 'usage: npm run -s replies -- FILE [--json | --wrong]';

interface Row extends Record<(typeof columns)[number], string> {
  readonly said: Attributed;
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader of a pipe has seen enough.
  if (error.code !== 'EPIPE') throw error;
});
process.exitCode = main();

function main(): number {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { json: { type: 'boolean', default: false }, wrong: { type: 'boolean', default: false } },
    });
    const [file] = positionals;
    if (file === undefined || positionals.length > 1 || (values.json && values.wrong)) throw new Error(usage);
    const rows = read(file);
    const lines = values.json
      ? rows.map((row) => harmlessJson(JSON.stringify(documentOf(row))))
      : [...matrix(rows), ...(values.wrong ? rows.filter(isWrong).map(lineOf) : [])];
    process.stdout.write(lines.map((line) => `${line}\n`).join(''));
    return 0;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? printable(error.message, 500) : String(error)}\n`);
    return 2;
  }
}

function read(file: string): Row[] {
  const [head = '', ...lines] = textOf(file).split(/\r\n|\n|\r/);
  const names = head.split('\t').map((name) => name.trim());
  const missing = columns.filter((name) => !names.includes(name));
  if (missing.length > 0) {
    throw new Error(
      `${file}:1: the first line must name the columns, with tabs between them; missing: ${missing.join(', ')}`,
    );
  }
  return lines.flatMap((line, at) => (line.trim() === '' ? [] : [rowOf(line.split('\t'), names, `${file}:${at + 2}`)]));
}

function rowOf(cells: readonly string[], names: readonly string[], where: string): Row {
  const of = (name: (typeof columns)[number]): string => {
    const cell = cells[names.indexOf(name)];
    if (cell === undefined) throw new Error(`${where}: there is no ${name}; a line must have a cell for each column`);
    return cell.trim();
  };
  const phase = of('phase');
  const reply = of('reply');
  const said = attribute(phaseOf(phase, where), parseReply(reply.replaceAll('\\n', '\n')));
  return { id: of('id'), class: of('class'), phase, reply, said };
}

function phaseOf(phase: string, where: string): SmtpPhase {
  if (phase === 'final' || phase === 'end-of-data') return 'end-of-data';
  const known = replyPhases.find((each) => each === phase);
  if (known === undefined || known === 'final') {
    throw new Error(`${where}: the phase "${printable(phase, 40)}" must be one of ${replyPhases.join(', ')}`);
  }
  return known;
}

function textOf(file: string): string {
  // npm runs a script in the folder of the package, and says where it was called.
  const path = resolve(process.env['INIT_CWD'] ?? '.', file);
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) throw new Error(`${file}: there is no such file`);
  if (!stats.isFile() || stats.size > maxFileBytes) {
    throw new Error(`${file} must be a regular file of at most ${maxFileBytes} bytes`);
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
    if (!text.includes('\0')) return text;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  throw new Error(`${file} must be a text in UTF-8`);
}

function documentOf({ id, class: kind, said }: Row): object {
  return { id, class: kind, scope: said.scope, outcome: said.outcome };
}

function lineOf(row: Row): string {
  return [row.class, row.phase, row.said.outcome, row.reply].map(harmless).join('\t');
}

/** Mail would be lost, or the connector be blamed for the message. */
function isWrong({ class: kind, said }: Row): boolean {
  return said.outcome === (/^(?:permanent|quota-mailbox)/.test(kind) ? 'fault' : 'rejected');
}

function matrix(rows: readonly Row[]): string[] {
  const counts = new Map<string, Map<string, number>>();
  for (const { class: kind, said } of rows) {
    const of = counts.get(kind) ?? new Map<string, number>();
    counts.set(kind, of.set(said.outcome, (of.get(said.outcome) ?? 0) + 1));
  }
  const line = (cells: readonly (string | number)[]): string =>
    cells.map((cell, at) => (at === 0 ? String(cell).padEnd(26) : String(cell).padStart(10))).join('');
  return [
    line(['class', 'n', ...outcomes]),
    ...[...counts.keys()].toSorted().map((kind) => {
      const of = counts.get(kind) ?? new Map<string, number>();
      const all = [...of.values()].reduce((sum, count) => sum + count, 0);
      return line([printable(kind, 25), all, ...outcomes.map((outcome) => of.get(outcome) ?? 0)]);
    }),
  ];
}
