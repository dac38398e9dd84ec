/** Holds that no form of import, and no work at import, escapes the parser. */
import { expect, test } from 'vitest';
import { functionsOf, importsOf, workAtImport } from './parse.ts';

const ours = (target: string, typeOnly = false) => ({ target, ours: true, typeOnly });
const theirs = (target: string, typeOnly = false) => ({ target, ours: false, typeOnly });

test.each([
  ['a package', "import { a } from 'bullmq';", theirs('bullmq')],
  ['a file of a package', "import f from '@scope/f/g.js';", theirs('@scope/f')],
  ['a module of Node', "import net, { type Socket } from 'node:net';", theirs('node:net')],
  ['a type', "import type { B } from '../worker/events.ts';", ours('src/worker/events.ts', true)],
  // With verbatimModuleSyntax the module is loaded nonetheless.
  ['only inline types', "import { type B } from '../worker/events.ts';", ours('src/worker/events.ts')],
  ['several lines', "import {\n  c,\n  type D,\n} from './d.ts';", ours('src/queue/d.ts')],
  ['an effect', "import 'side/effect.js';", theirs('side')],
  ['double quotes without spaces', 'import{a}from"./d.ts"', ours('src/queue/d.ts')],
  ['re-exported names', "export { e } from './e.ts';", ours('src/queue/e.ts')],
  ['re-exported types', "export type { E } from './e.ts';", ours('src/queue/e.ts', true)],
  ['everything re-exported', "export * from './e.ts';", ours('src/queue/e.ts')],
  ['everything re-exported as types', "export type * from './e.ts';", ours('src/queue/e.ts', true)],
  ['import()', "async () => await import('./f.ts');", ours('src/queue/f.ts')],
  ['import() of a template literal', 'async () => await import(`./f.ts`);', ours('src/queue/f.ts')],
  ['import() of a computed name', 'async () => await import(`./${name}.ts`);', ours('(computed)')],
  ['import() in a type', "type G = import('./g.ts').G;", ours('src/queue/g.ts', true)],
  ['require', "const h = require('./h.cjs');", ours('src/queue/h.cjs')],
  ['import = require', "import h = require('./h.cjs');", ours('src/queue/h.cjs')],
  [
    'what createRequire made',
    "const load = createRequire(import.meta.url);\nload('./i.cjs');",
    ours('src/queue/i.cjs'),
  ],
  ['createRequire, called at once', "createRequire(import.meta.url)('./i.cjs');", ours('src/queue/i.cjs')],
  ['a worker thread', "new Worker(new URL('k.ts', import.meta.url));", ours('src/queue/k.ts')],
  ['a worker thread by its path', "new Worker('./k.ts');", ours('src/queue/k.ts')],
  ['a program beside the file', "new URL('../cli/main.ts', import.meta.url);", ours('src/cli/main.ts')],
])('sees %s', (_, text, imported) => {
  expect(importsOf('src/queue/here.ts', text)).toEqual([imported]);
});

test.each([
  ['comments', "// import { a } from './a.ts';\n/* import './b.ts'; */"],
  ['strings', 'const text = "import { a } from \'./a.ts\';";'],
  ['templates', "const lua = `\nimport { a } from './a.ts';\n`;"],
  ['files that are no code', "new URL('../../package.json', import.meta.url);"],
  ['addresses', "new URL('https://example.org/a.js', base);"],
])('sees no import in %s', (_, text) => {
  expect(importsOf('src/queue/here.ts', text)).toEqual([]);
});

test('refuses a file that it cannot parse', () => {
  expect(() => importsOf('src/queue/here.ts', 'import {')).toThrow('src/queue/here.ts: ');
});

test('counts the lines of every function, nested ones included', () => {
  const text = 'export function outer() {\n  const inner = async () => {\n    step();\n  };\n  return inner;\n}\n';
  expect(functionsOf('a.ts', text)).toEqual([
    { name: 'outer', lines: 6 },
    { name: 'async () => {', lines: 3 },
  ]);
});

test.each([
  'await start();',
  'export const client = await connect();',
  'const level = process.env.LEVEL;',
  'setInterval(tick, 1000);',
  'let count = 0;',
  'export let shared: string | null = null;',
  'if (flag) start();',
  'for (const item of items) add(item);',
  "globalThis.name = 'x';",
])('sees work at import: %s', (line) => {
  expect(workAtImport('a.ts', line)).toEqual([line]);
});

test.each([
  "import 'node:net';",
  'export async function start() {\n  await run(process.env.LEVEL);\n  let count = 0;\n}',
  'const read = () => process.env.LEVEL;',
  "const pattern = new Map([\n  ['a', 1],\n]);",
  "const script = `\nredis.call('DEL', KEYS[1])\n`;",
  '/** let me say that await is fine in comments */',
  'export type A = string;\nexport interface B {}\nexport class C {}',
])('sees no work at import in: %s', (text) => {
  expect(workAtImport('a.ts', text)).toEqual([]);
});
