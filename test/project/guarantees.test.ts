/** Holds docs/guarantees.md to the tests: every test that it names exists, and every fault that is tested is in it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { filesUnder, root, textOf } from '../support/source.ts';

describe('docs/guarantees.md', () => {
  const text = textOf('docs/guarantees.md');
  const named = [...text.matchAll(/`(test\/[\w/.-]+)`/g)].map(([, path = '']) => path);

  test('names only tests that exist', () => {
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  test('names every test of a fault', () => {
    const faults = filesUnder('test/fault').filter((path) => path.endsWith('.test.ts'));
    expect(faults.filter((path) => !named.includes(path))).toEqual([]);
  });

  test('names a test for each promise about a failure', () => {
    const rows = [...text.matchAll(/^\| (.*) \|$/gm)].map(([, row = '']) => row.split(' | '));
    const promises = rows.filter((cells) => cells.length === 4 && !/^what (?:fails|is tried)$/.test(cells[0] ?? ''));
    expect(promises.length).toBeGreaterThan(20);
    expect(promises.filter((cells) => !/`test\//.test(cells[3] ?? '')).map(([what]) => what)).toEqual([]);
  });
});
