/** Holds the documents to the repository: links lead somewhere, commands exist, and the tables of states are the code's. */
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

  test('a link to nowhere is seen', () => {
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
