/** What people see: tables, colours, progress, and foreign text that a terminal must not obey. */
import { PassThrough, Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { table } from '../../src/cli/table.ts';
import { ago, createTerminal, iso, type Streams } from '../../src/cli/terminal.ts';

const plain = (text: string): string => text;

describe('tables', () => {
  const columns = [
    { title: 'NAME', cell: ({ name }: { name: string | null }) => name },
    { title: 'COUNT', align: 'right' as const, cell: ({ count }: { count: number }) => count },
    { title: 'TEXT', cell: ({ text }: { text: string }) => text },
  ];

  test('columns are as wide as their widest cell, and an empty cell is a dash', () => {
    const rows = [
      { name: 'a', count: 1, text: '' },
      { name: null, count: 1000, text: 'x' },
    ];
    expect(table(rows, columns, plain)).toEqual(['NAME  COUNT  TEXT', 'a         1  -', '-      1000  x']);
  });

  test('attack: a reply with escape sequences and line breaks is printed as one line without them', () => {
    const [, row] = table([{ name: 'a', count: 1, text: 'x\r\n\u001b[2J\u202egnp.exe' }], columns, plain);
    expect(row).toBe('a         1  x [2J gnp.exe');
  });

  test('a long cell is cut', () => {
    const [, row = ''] = table([{ name: 'a', count: 1, text: 'x'.repeat(500) }], columns, plain);
    expect(row.length).toBeLessThan(120);
  });
});

describe('the terminal', () => {
  function terminalOf(tty: boolean, json: boolean, env: Record<string, string> = {}) {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()].map((stream) =>
      Object.assign(stream, { isTTY: tty }),
    );
    const streams: Streams = { stdin: Readable.from([]), stdout: stdout!, stderr: stderr! };
    const said = (): { out: string; err: string } => ({
      out: String(stdout?.read() ?? ''),
      err: String(stderr?.read() ?? ''),
    });
    return { terminal: createTerminal(streams, { json, env }), said };
  }

  test.each([
    ['a terminal', true, false, {}, true],
    ['no terminal', false, false, {}, false],
    ['NO_COLOR', true, false, { NO_COLOR: '1' }, false],
    ['an empty NO_COLOR', true, false, { NO_COLOR: '' }, true],
    ['--json', true, true, {}, false],
  ])('colours with %s: %s', (_name, tty, json, env, coloured) => {
    expect(terminalOf(tty, json, env).terminal.bold('x') !== 'x').toBe(coloured);
  });

  test('with --json, stdout has documents only, and notes and progress are not printed', () => {
    const { terminal, said } = terminalOf(true, true);
    terminal.note('a note');
    terminal.progress('1 of 2');
    terminal.results([{ a: 1 }, { a: 2 }], () => ['for people']);
    expect(said()).toEqual({ out: '{"a":1}\n{"a":2}\n', err: '' });
  });

  const attack = 'x\u001b]0;title\u0007\u001b[2J\r\n\u0085\u009b2J\u007f\u061c\u200f\u2028\u202e\u2066y';
  // oxlint-disable-next-line no-control-regex -- control characters are what this finds
  const obeyed = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

  test.each([false, true])('attack: an id that a terminal would obey is one harmless line, with --json %s', (json) => {
    const { terminal, said } = terminalOf(false, json);
    terminal.result({ id: attack, ids: [attack] }, () => [`  ${attack}  dropped`]);
    terminal.results([attack], () => [attack]);
    terminal.note(attack);
    const { out, err } = said();
    expect(out + err).not.toMatch(obeyed);
    expect(out.split('\n')).toHaveLength(3);
    expect(err.split('\n')).toHaveLength(json ? 1 : 2);
    const [first = ''] = out.split('\n');
    expect(json ? JSON.parse(first) : first.replace(/x.*y/, 'x')).toEqual(
      json ? { id: attack, ids: [attack] } : '  x  dropped',
    );
  });

  test('attack: with colours, ours pass and nothing else', () => {
    const { terminal, said } = terminalOf(true, false);
    terminal.result(null, () => [`${terminal.bold(attack)} ${terminal.bad('dead')}`]);
    terminal.error(`not found: ${attack}`);
    terminal.progress(attack);
    const { out, err } = said();
    // oxlint-disable-next-line no-control-regex -- what the terminal itself writes
    const without = (text: string): string => text.replaceAll(/\u001b\[(?:0|1|31)m|\r\u001b\[2K/g, '');
    expect(out).toContain('\u001b[31mdead\u001b[0m');
    expect(without(out)).not.toMatch(obeyed);
    expect(without(err)).not.toMatch(obeyed);
  });

  test('without a terminal there is no progress', () => {
    const { terminal, said } = terminalOf(false, false);
    terminal.progress('1 of 2');
    expect(said()).toEqual({ out: '', err: '' });
  });
});

test.each([
  [0, '0 ms'],
  [999, '999 ms'],
  [61_000, '61 s'],
  [600_000, '10 min'],
  [5_400_000 * 2, '3.0 h'],
  [86_400_000 * 3, '3 d'],
])('%i ms reads as %s', (ms, text) => {
  expect(ago(ms)).toBe(text);
});

test('a listing survives a number in Redis that is not a valid time', () => {
  expect(iso(Number.NaN)).toBe('NaN');
  expect(iso(0)).toBe('1970-01-01T00:00:00.000Z');
});
