/** docs/limits.md says what the code does: each bound that it gives with a constant has the constant's value. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const page = readFileSync('docs/limits.md', 'utf8');
const row = /^\| ([^|]+) \| ([^|]+) \| `(src\/[^`]+)` `([A-Za-z]+)` \|/gm;
const rows = [...page.matchAll(row)].map(([, bound, value, file, constant]) => ({ bound, value, file, constant }));

/** `const name = 64 * 1024;` → 65536. Products of numbers only. */
function valueOf(file: string, constant: string): number {
  const found = new RegExp(`^(?:export )?const ${constant}(?:: number)? = ([\\d_ *]+);`, 'm').exec(
    readFileSync(file, 'utf8'),
  );
  if (found?.[1] === undefined) throw new Error(`${file} has no constant ${constant} that is a product of numbers`);
  return found[1].split('*').reduce((product, factor) => product * Number(factor.trim().replaceAll('_', '')), 1);
}

function written(value: number): string[] {
  const plain = value.toLocaleString('en');
  if (value % 2 ** 20 === 0) return [`${value / 2 ** 20} MiB`, plain];
  return value % 1024 === 0 ? [`${value / 1024} KiB`, plain] : [plain];
}

test('docs/limits.md has rows with a constant', () => {
  expect(rows.length).toBeGreaterThan(10);
});

test.for(rows)(
  'the limit of $bound in docs/limits.md is that of $constant',
  ({ value = '', file = '', constant = '' }) => {
    expect(written(valueOf(file, constant))).toContain(value);
  },
);
