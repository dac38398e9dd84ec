/** The results as text: the table of targets, and the table of contenders. */
import type { Figures } from './contender.ts';
import type { Role } from './processes.ts';
import type { Finding } from './rows/row.ts';
import { median, type Target } from './statistics.ts';

export interface Results {
  readonly at: string;
  readonly quick: boolean;
  readonly seconds: number;
  readonly machine: Readonly<Record<string, string>>;
  readonly rows: readonly {
    readonly id: string;
    readonly findings: readonly Finding[];
    readonly figures: readonly Figures[];
  }[];
}

export function report({ machine, rows, quick, seconds }: Results): string {
  const findings = rows.flatMap((row) => row.findings);
  const figures = rows.flatMap((row) => row.figures);
  const [head = '', rule = '', ...judged] = table(
    ['what', 'against', 'measured', 'target', ''],
    findings.map(({ what, against, measured, unit, target, verdict }) => [
      what,
      against,
      quantity(measured, unit),
      wanted(target, unit),
      verdict,
    ]),
  );
  const lines = [
    ...Object.entries(machine).map(([name, value]) => `${name.padEnd(11)}${value}`),
    `${quick ? 'quick run' : 'whole run'}, ${Math.round(seconds)} s`,
    '',
    head,
    rule,
    ...judged.flatMap((line, index) => [line, `  ${findings[index]?.note ?? ''}`]),
  ];
  if (figures.length > 0) lines.push('', ...contenders(figures), ...disturbance(figures));
  return lines.join('\n');
}

/** The benchmark itself uses that much; more is another program. */
const quietCores = 0.25;

function disturbance(figures: readonly Figures[]): string[] {
  const others = median(figures.map(({ othersCores }) => othersCores));
  if (!(others > quietCores)) return [];
  const share = `${others.toFixed(1)} processors were busy with other programs`;
  return ['', `Half of the time ${share}, or more: the speeds are what was left over.`];
}

function contenders(figures: readonly Figures[]): string[] {
  const cost = ({ cpuUs }: Figures, role: Role): string => whole(cpuUs[role]);
  const head = ['', 'messages/s', 'least–most', 'µs sender', 'µs Redis', 'µs sink', 'µs feeder'];
  const rows = figures.map((each) => [
    each.name,
    whole(each.perSecond.median),
    `${whole(each.perSecond.least)}–${whole(each.perSecond.most)}`,
    ...(['sender', 'redis', 'sink', 'feeder'] as const).map((role) => cost(each, role)),
    each.reads === null ? '' : each.reads.toFixed(1),
    each.commands === null ? '' : sum(each.commands).toFixed(1),
    whole(each.peakMb.sender),
    whole(each.peakMb.redis),
  ]);
  return table([...head, 'reads', 'commands', 'MB sender', 'MB Redis'], rows);
}

function sum(commands: Readonly<Record<string, number>>): number {
  return Object.values(commands).reduce((total, each) => total + each, 0);
}

function whole(value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? '' : Math.round(value).toLocaleString('en');
}

function quantity(measured: number, unit: Finding['unit']): string {
  if (Number.isNaN(measured)) return '–';
  const digits = unit === '×' ? 2 : unit === '' ? 0 : 1;
  return `${measured.toFixed(digits)}${unit === '' ? '' : ` ${unit}`}`;
}

function wanted(target: Target | null, unit: Finding['unit']): string {
  if (target === null) return '';
  return `${target.kind} ${target.value}${unit === '' ? '' : ` ${unit}`}`;
}

/** Columns as wide as their widest cell; the last one is as long as it is. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (column === cells.length - 1 ? cell : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd();
  return [line(head), line(widths.map((width) => '─'.repeat(width))), ...rows.map(line)];
}
