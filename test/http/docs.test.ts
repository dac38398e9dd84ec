/** The documents of the HTTP API say what the code says. */
import { expect, test } from 'vitest';
import { roles, scopeMeanings, scopes } from '../../src/config/scopes.ts';
import { problemKinds } from '../../src/http/problem.ts';
import { files } from '../../tools/schema.ts';
import { textOf } from '../support/source.ts';

const rowsOf = (text: string): string[][] =>
  [...text.matchAll(/^\| ((?:<a id="[^"]+"><\/a>)?`.+) \|$/gm)].map(([, row = '']) =>
    row.split(' | ').map((cell) => cell.trim()),
  );
const section = (file: string, title: string): string =>
  textOf(file).split(`\n## ${title}\n`)[1]?.split('\n## ')[0] ?? '';

test('docs/api.md lists every scope and every role', () => {
  const meanings = Object.entries(scopeMeanings).map(([scope, meaning]) => [`\`${scope}\``, meaning]);
  const written = Object.entries(roles).map(([role, of]) => [
    `\`${role}\``,
    of.length === scopes.length ? 'all' : of.map((scope) => `\`${scope}\``).join(', '),
  ]);
  expect(rowsOf(section('docs/api.md', 'Scopes'))).toEqual([...meanings, ...written]);
});

test('docs/errors.md lists every code of the HTTP API with its status, and is where `type` leads', () => {
  const rows = rowsOf(section('docs/errors.md', 'In the HTTP API'));
  expect(rows.map(([code, status, title]) => [code, status, title])).toEqual(
    Object.entries(problemKinds).map(([code, { status, title }]) => [
      `<a id="${code}"></a>\`${code}\``,
      `${status}`,
      title,
    ]),
  );
});

test('schema/openapi.json is what the code says (npm run schema writes it)', () => {
  expect(textOf('schema/openapi.json')).toBe(files().get('schema/openapi.json'));
});
