/** Holds the shape of the code: who imports whom, how long files and functions are, and the tree in CONTRIBUTING.md. */
import { describe, expect, test } from 'vitest';
import { filesUnder, textOf } from '../support/source.ts';
import { treeDifferences, violationsOf } from './architecture-check.ts';
import { rooms } from './architecture-rules.ts';
import { workAtImport } from './parse.ts';

const code = ['src', 'testkit', 'tools', 'examples', 'test']
  .flatMap(filesUnder)
  .filter((path) => /\.(ts|mjs)$/.test(path) && !path.startsWith('tools/bench/results/'));
const files = new Map(code.map((path) => [path, textOf(path)]));

describe('architecture', () => {
  const violations = violationsOf(files);

  test('the code keeps every rule of architecture-rules.ts', () => {
    expect(violations).toEqual([]);
  });

  test('the tree in CONTRIBUTING.md lists the folders of the repository', () => {
    // Folders with a dot belong to tools, and may be there on one machine only; the tree lists those that git holds.
    const paths = filesUnder('.').filter(
      (path) => /^(\.ci|\.github)\//.test(path) || !(path.startsWith('.') || path.startsWith('tools/bench/results/')),
    );
    expect(treeDifferences(textOf('CONTRIBUTING.md'), paths)).toEqual([]);
  });
});

describe('the diagram of docs/architecture.md', () => {
  const diagram = /```mermaid\n(flowchart TD[\s\S]*?)```/.exec(textOf('docs/architecture.md'))?.[1] ?? '';
  const arrows = [...diagram.matchAll(/^ {4}(\w+) --> (.+)$/gm)].flatMap(([, from = '', to = '']) =>
    to.split(' & ').map((room) => ({ from, to: room })),
  );

  test('has an arrow only where the rules allow the import', () => {
    // `errors.ts` is open to all.
    const allowed = ({ from, to }: { from: string; to: string }) =>
      to === 'errors' || rooms[from]?.imports.includes(to);
    expect(arrows.length).toBeGreaterThan(10);
    expect(arrows.filter((arrow) => allowed(arrow) !== true)).toEqual([]);
  });

  test('has every room', () => {
    const onDisk = filesUnder('src').flatMap((path) => /^src\/([\w-]+)\//.exec(path)?.[1] ?? []);
    const drawn = arrows.flatMap(({ from, to }) => [from, to]);
    // `async` is open to all that wait, `tracing` and `sealing` to all that a message passes, so they have no arrow.
    const isOpen = (room: string): boolean => ['async', 'tracing', 'sealing'].includes(room);
    expect([...new Set(onDisk)].filter((room) => !isOpen(room) && !drawn.includes(room))).toEqual([]);
  });
});

describe('files', () => {
  // A reader opens a file to learn what it owns; the first sentence says so.
  test('every file starts with a sentence on what it owns', () => {
    const silent = [...files].filter(([, text]) => !/^(#!.*\n)?\/\*\*/.test(text));
    expect(silent.map(([path]) => path)).toEqual([]);
  });

  // Importing a module must be free of effects: an application that embeds the producer must not get a timer, a connection,
  // or a look at its environment. The CLI's main is a program, not a module.
  test('no module of src does work when it is imported', () => {
    const modules = [...files].filter(([path]) => path.startsWith('src/') && path !== 'src/cli/main.ts');
    const working = modules.flatMap(([path, text]) => workAtImport(path, text).map((line) => `${path}: ${line}`));
    expect(working).toEqual([]);
  });

  // A clone stands alone: what lies beside one work tree is missing beside all others.
  test('nothing refers to files outside of the repository', () => {
    // The brackets keep this line from matching itself.
    const outside = /\.\.\/share[d]\b|\/wor[k]\/(main|shared)\b|\bdesig[n] \d\.\d/;
    const text = filesUnder('.').filter((path) => !/^package-lock\.json$|\.(eml|png|pem|bin)$/.test(path));
    expect(text.filter((path) => outside.test(textOf(path)))).toEqual([]);
  });
});
