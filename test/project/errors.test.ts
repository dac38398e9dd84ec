/** Holds docs/errors.md to the table of error codes in the code, both ways. */
import { expect, test } from 'vitest';
import { errorCodes } from '../../src/errors.ts';
import { textOf } from '../support/source.ts';

const rows = [...textOf('docs/errors.md').matchAll(/^\| `([^`]+)` \| (.+?) \| (.+?) \|$/gm)].map(
  ([, code = '', meaning = '', advice = '']) => ({ code, meaning, advice }),
);

test('docs/errors.md has the codes and meanings of the code, and no others', () => {
  expect(Object.fromEntries(rows.map(({ code, meaning }) => [code, meaning]))).toEqual(errorCodes);
});

test('docs/errors.md has each code once', () => {
  expect(rows).toHaveLength(Object.keys(errorCodes).length);
});
