/** Holds that the report of the public types shows whatever a user's code can reach, and only that. */
import { expect, test } from 'vitest';
import { apiReport, entriesOf } from '../../../tools/api/report.ts';

/** The report of declaration files in memory; `index.d.ts` is the package, `testing.d.ts`, if there is one, its second export. */
function report(files: Readonly<Record<string, string>>): string {
  const entries = new Map([['pkg', 'index.d.ts']]);
  if (files['testing.d.ts'] !== undefined) entries.set('pkg/testing', 'testing.d.ts');
  const text = apiReport(entries, (path) => {
    const file = files[path];
    if (file === undefined) throw new Error(`no file ${path}`);
    return file;
  });
  return text.slice(text.indexOf('## pkg'));
}

/** The lines within the code blocks of a report. */
const code = (files: Readonly<Record<string, string>>) =>
  [...report(files).matchAll(/```ts\n([\s\S]*?)```/g)].map(([, block = '']) => block);

test('shows what is exported, sorted by name, without comments', () => {
  const index = `
    /** The second. */
    export interface B { /** A field. */ readonly a: string; }
    export declare function A(): void; // the first
    declare const hidden: number;`;
  expect(code({ 'index.d.ts': index })).toEqual([
    'export declare function A(): void;\nexport interface B {  readonly a: string; }\n',
  ]);
});

test('follows names through re-exports, aliases and export *', () => {
  const files = {
    'index.d.ts': "export { a as b, type T } from './a/a.ts';\nexport * from './c.js';",
    'a/a.d.ts': "export declare const a: 1;\nimport type { Other } from '../other.ts';\nexport type { Other as T };",
    'other.d.ts': 'export type Other = 2;',
    'c.d.ts': 'export type C = 3;',
  };
  expect(code(files)).toEqual([
    'export type C = 3;\nexport type Other = 2;\nexport { Other as T };\nexport declare const a: 1;\nexport { a as b };\n',
  ]);
});

test('shows the types that the exported ones use, wherever they are', () => {
  const files = {
    'index.d.ts': `
      import type { Far } from './far.ts';
      export interface A extends Base<Far> { near: Near; value: typeof values; inline: import('./inline.ts').Inline; }
      interface Base<T> { t: T }
      type Near = 'near';
      declare const values: 1;
      type Unused = 'unused';`,
    'far.d.ts': "import type { Deep } from './deep.ts';\nexport type Far = Deep[];\nexport type Unused = 1;",
    'deep.d.ts': 'export type Deep = 4;',
    'inline.d.ts': 'export type Inline = 5;',
  };
  const [, used = ''] = code(files);
  expect(used.trimEnd().split('\n')).toEqual([
    'declare const values: 1;',
    'interface Base<T> { t: T }',
    'type Deep = 4;',
    'type Far = Deep[];',
    'type Inline = 5;',
    "type Near = 'near';",
  ]);
});

test('shows every overload of a function, and what a class extends', () => {
  const index = `
    export declare function f(a: string): void;
    export declare function f(a: number): void;
    export declare class C extends Parent {}
    declare class Parent {}`;
  expect(code({ 'index.d.ts': index })).toEqual([
    'export declare class C extends Parent {}\nexport declare function f(a: string): void;\nexport declare function f(a: number): void;\n',
    'declare class Parent {}\n',
  ]);
});

test('names the types of other packages, because their changes are changes of this surface', () => {
  const index = "import type { Job } from 'bullmq';\nimport * as z from 'zod';\nexport type A = Job | z.infer<string>;";
  expect(report({ 'index.d.ts': index })).toContain('From other packages: `* of zod`, `Job of bullmq`.');
});

test('does not repeat in a second export what the first has shown', () => {
  const files = {
    'index.d.ts': "export type { A } from './a.ts';",
    'testing.d.ts': "export type { A, Uses } from './a.ts';",
    'a.d.ts': 'type Inner = 1;\nexport type A = Inner;\nexport type Uses = A | Inner;',
  };
  expect(code(files)).toEqual([
    'export type A = Inner;\n',
    'type Inner = 1;\n',
    "export { A } from 'pkg';\nexport type Uses = A | Inner;\n",
  ]);
});

test('covers every export of the package that has types', () => {
  const manifest = {
    name: 'pkg',
    exports: {
      '.': { types: './dist/index.d.ts', default: './dist/index.js' },
      './testing': { types: './dist/testing.d.ts', default: './dist/testing.js' },
      './package.json': './package.json',
    },
  };
  expect([...entriesOf(JSON.stringify(manifest))]).toEqual([
    ['pkg', 'index.d.ts'],
    ['pkg/testing', 'testing.d.ts'],
  ]);
});
