/**
 * npm run -s replies -- FILE [--json] [--wrong]: what the reply table says of the replies in a file, against what they are.
 *
 * The file is a table with tabs: id, set, class, phase, reply, source, form; the first line names the columns. `\n` in a reply stands
 * for the end of a line. Exit code 2 for a file that is none.
 */
import { readFileSync, statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { attribute, type Attributed } from '../src/transport/smtp/attribute.ts';
import { parseReply } from '../src/transport/smtp/replies.ts';
import { replyPhases } from '../src/transport/smtp/reply-rules.ts';
import type { SmtpPhase } from '../src/transport/smtp/reply-table.ts';

const maxFileBytes = 4 * 1024 * 1024;
const columns = ['id', 'set', 'class', 'phase', 'reply'] as const;
const outcomes = ['rejected', 'open', 'deferred', 'fault'] as const;

interface Row extends Record<(typeof columns)[number], string> {
  readonly said: Attributed;
}

process.exitCode = main();

function main(): number {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { json: { type: 'boolean', default: false }, wrong: { type: 'boolean', default: false } },
    });
    const [file] = positionals;
    if (file === undefined || positionals.length > 1)
      throw new Error('usage: npm run -s replies -- FILE [--json] [--wrong]');
    const rows = read(file);
    if (values.json) for (const row of rows) process.stdout.write(`${JSON.stringify(documentOf(row))}\n`);
    else process.stdout.write(`${matrix(rows).join('\n')}\n`);
    if (values.wrong && !values.json)
      for (const row of rows.filter(isWrong))
        process.stdout.write(`${row.class}\t${row.phase}\t${row.said.outcome}\t${row.reply}\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
}

function read(file: string): Row[] {
  const stats = statSync(file);
  if (!stats.isFile() || stats.size > maxFileBytes)
    throw new Error(`${file} must be a regular file of at most ${maxFileBytes} bytes`);
  const [head = '', ...lines] = readFileSync(file, 'utf8').split(/\r?\n/);
  const names = head.split('\t');
  for (const name of columns) if (!names.includes(name)) throw new Error(`${file}:1: there is no column "${name}"`);
  return lines.flatMap((line, at) => {
    if (line.trim() === '') return [];
    const cells = line.split('\t');
    const of = (name: (typeof columns)[number]): string => cells[names.indexOf(name)] ?? '';
    const phase = of('phase');
    if (!(replyPhases as readonly string[]).includes(phase)) {
      throw new Error(`${file}:${at + 2}: the phase "${phase}" is none of ${replyPhases.join(', ')}`);
    }
    const smtpPhase = (phase === 'final' ? 'end-of-data' : phase) as SmtpPhase;
    const said = attribute(smtpPhase, parseReply(of('reply').replaceAll('\\n', '\n')));
    return [{ id: of('id'), set: of('set'), class: of('class'), phase, reply: of('reply'), said }];
  });
}

function documentOf({ id, class: kind, said }: Row): object {
  return { id, class: kind, scope: said.scope, outcome: said.outcome };
}

function isWrong({ class: kind, said }: Row): boolean {
  return kind.startsWith('permanent') ? said.outcome === 'fault' : said.outcome === 'rejected';
}

function matrix(rows: readonly Row[]): string[] {
  const kinds = [...new Set(rows.map((row) => row.class))].toSorted();
  const count = (kind: string, outcome: string): number =>
    rows.filter((row) => row.class === kind && row.said.outcome === outcome).length;
  const line = (cells: readonly (string | number)[]): string =>
    cells.map((cell, at) => (at === 0 ? String(cell).padEnd(26) : String(cell).padStart(10))).join('');
  return [
    line(['class', 'n', ...outcomes]),
    ...kinds.map((kind) =>
      line([kind, rows.filter((row) => row.class === kind).length, ...outcomes.map((outcome) => count(kind, outcome))]),
    ),
  ];
}
