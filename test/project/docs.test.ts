/** Compares the documents with the repository: links and paths resolve, commands exist, tables match the code. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { deadReasons } from '../../src/queue/ledger/dead-letters.ts';
import { ledgerStates, terminalStates } from '../../src/queue/ledger/ledger.ts';
import { waitReasons } from '../../src/queue/lanes/wait-reasons.ts';
import { filesUnder, root, textOf } from '../support/source.ts';

const documents = filesUnder('.').filter((path) => path.endsWith('.md') && !path.startsWith('.'));

describe('documents', () => {
  test('links to files and headings of this repository resolve', () => {
    const broken = documents.flatMap((path) =>
      linksOf(textOf(path))
        .filter((link) => !/^[a-z]+:/.test(link) && !resolves(path, link))
        .map((link) => `${path}: ${link}`),
    );
    expect(broken).toEqual([]);
  });

  test('a broken link is detected', () => {
    expect(resolves('README.md', 'docs/nowhere.md')).toBe(false);
    expect(resolves('README.md', '#no-such-heading')).toBe(false);
    expect(resolves('docs/states.md', 'retries.md')).toBe(true);
    expect(resolves('docs/flow.md', '../README.md#enqueuing-without-the-library')).toBe(true);
  });

  test('every npm script that a document names exists', () => {
    const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
    const named = documents.flatMap((path) =>
      [...textOf(path).matchAll(/\bnpm (?:run (?:-s )?([a-z-]+)|(test)\b)/g)].map(
        ([, run, plain]) => run ?? plain ?? '',
      ),
    );
    expect(named).toContain('quickstart');
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
  });
});

describe('paths', () => {
  // What a document names in code marks begins with one of our folders; measurements are written there by a run.
  const pathsOf = (text: string): string[] =>
    [...text.matchAll(/`((?:src|testkit|tools|test|docs|examples|deploy|schema)\/[\w./-]*)`/g)]
      .map(([, path = '']) => path)
      .filter((path) => !path.startsWith('tools/bench/results/'));

  test('every path that a document names exists', () => {
    const missing = documents.flatMap((path) =>
      pathsOf(textOf(path))
        .filter((named) => !existsSync(join(root, named)))
        .map((named) => `${path}: ${named}`),
    );
    expect(missing).toEqual([]);
  });

  test('every file of ours that an example imports exists', () => {
    const missing = documents.flatMap((path) =>
      importsOf(textOf(path))
        .filter((named) => !existsSync(join(root, named)))
        .map((named) => `${path}: ${named}`),
    );
    expect(documents.flatMap((path) => importsOf(textOf(path)))).toContain('testkit/graph/faults.ts');
    expect(missing).toEqual([]);
  });

  test('a missing path is detected', () => {
    expect(pathsOf('see `src/nowhere.ts` and `npm test`')).toEqual(['src/nowhere.ts']);
  });

  test('the reading map of docs/architecture.md is about as long as it says', () => {
    const text = textOf('docs/architecture.md');
    const [, places = '', lines = ''] = /(\d+) places, about ([\d,]+) lines/.exec(text) ?? [];
    const map = [...text.matchAll(/^\| \d+ \| `([^`]+)` \|/gm)].map(([, path = '']) => path);
    const length = map
      .flatMap((path) => (path.endsWith('/') ? filesUnder(path.slice(0, -1)) : [path]))
      .reduce((sum, path) => sum + textOf(path).trimEnd().split('\n').length, 0);
    expect(map).toHaveLength(Number(places));
    expect(Math.round(length / 500) * 500).toBe(Number(lines.replace(',', '')));
  });
});

describe('docs/README.md', () => {
  test('links to every page', () => {
    const linked = linksOf(textOf('docs/README.md')).map((link) => link.split('#')[0]);
    const pages = documents.flatMap((path) => /^docs\/([\w-]+\.md)$/.exec(path)?.[1] ?? []);
    expect(pages.filter((page) => page !== 'README.md' && !linked.includes(page))).toEqual([]);
  });
});

describe('docs/decisions', () => {
  const decisions = documents.filter((path) => /^docs\/decisions\/\d{4}-/.test(path)).toSorted();

  test('are numbered without a gap, and each is in the index', () => {
    const index = linksOf(textOf('docs/decisions/README.md'));
    expect(index).toEqual(decisions.map((path) => path.slice('docs/decisions/'.length)));
    expect(decisions.map((path) => Number(path.slice(15, 19)))).toEqual(decisions.map((_, i) => i + 1));
  });

  test('each have a context, a choice and a price', () => {
    const headings = decisions.map((path) => [...textOf(path).matchAll(/^## (.+)$/gm)].map(([, heading]) => heading));
    expect(headings).toEqual(decisions.map(() => ['Context', 'Choice', 'Price']));
  });
});

describe('docs/states.md', () => {
  const text = textOf('docs/states.md');
  const rows = [...text.matchAll(/^\| `([^`]+)` \| (.+?) \|(.*)\|$/gm)].map(([, name = '', second = '']) => ({
    name,
    second,
  }));

  test('has every state of the ledger, and says of each whether it is terminal', () => {
    const states = rows.filter(({ second }) => second === 'yes' || second === 'no');
    expect(states.map(({ name }) => name)).toEqual([...ledgerStates]);
    expect(states.filter(({ second }) => second === 'yes').map(({ name }) => name)).toEqual([...terminalStates]);
  });

  test('draws every state of the ledger, and no others', () => {
    const diagram = /```mermaid\n([\s\S]*?)```/.exec(text)?.[1] ?? '';
    const drawn = [...diagram.matchAll(/^ {4}(\S+) --> ([^\s:]+)/gm)].flatMap(([, from = '', to = '']) => [from, to]);
    expect([...new Set(drawn)].filter((name) => name !== '[*]').toSorted()).toEqual([...ledgerStates].toSorted());
  });

  test('has every reason of a dead letter', () => {
    const reasons = rows.filter(({ second }) => second !== 'yes' && second !== 'no').map(({ name }) => name);
    expect(reasons).toEqual([...deadReasons]);
  });
});

describe('docs/operations.md', () => {
  test('has everything that a lane may wait for', () => {
    const table = textOf('docs/operations.md').split('| `waitingFor` | meaning |')[1]?.split('\n\n')[0] ?? '';
    expect([...table.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name)).toEqual([...waitReasons]);
  });
});

/** What the examples of a document import by a relative path, as if they were in a folder of the root. */
function importsOf(text: string): string[] {
  return [...text.matchAll(/^import .* from '\.\.\/([^']+)';$/gm)].map(([, path = '']) => path);
}

/** Targets of inline links, outside of code blocks. */
function linksOf(text: string): string[] {
  const prose = text.replaceAll(/^```[\s\S]*?^```/gm, '').replaceAll(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\[[^\]]*\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
}

function resolves(path: string, link: string): boolean {
  const [file = '', heading] = link.split('#');
  const target = file === '' ? path : join(dirname(path), file);
  if (!existsSync(join(root, target))) return false;
  return heading === undefined || headingsOf(textOf(target)).includes(heading);
}

/** Headings as GitHub makes anchors of them. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
