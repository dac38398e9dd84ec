/** Owns what the text of a TypeScript file says about its shape: imports, functions, work at import. It uses a real parser. */
import { dirname, posix } from 'node:path';
import { parseSync, Visitor } from 'oxc-parser';
import type { Argument, Expression, Program, Span } from 'oxc-parser';

export interface Import {
  /** Package name such as `bullmq`, or a path relative to the root such as `src/errors.ts`; `node:` modules as they are. */
  readonly target: string;
  readonly ours: boolean;
  /** Nothing of the module is loaded: `import type`, `export type`, or `import('…')` in a type. */
  readonly typeOnly: boolean;
}

/** The target of an import whose specifier is computed, so that no rule can judge it. */
export const computedTarget = '(computed)';

/** A program whose text is not known must not pass unseen. */
function programOf(path: string, text: string): Program {
  const { program, errors } = parseSync(path, text);
  const [error] = errors;
  if (error !== undefined) throw new Error(`${path}: ${error.message}`);
  return program;
}

/**
 * Every module that a file names: static imports and re-exports, `import()` in code and in types, `require` and what
 * `createRequire` returns, and files of ours that `new Worker` or `new URL(…, import.meta.url)` names.
 *
 * `import { type A }` is an import of a value: with `verbatimModuleSyntax` the module is loaded.
 */
export function importsOf(path: string, text: string): Import[] {
  const imports: Import[] = [];
  const requires = new Set(['require']);
  const add = (specifier: string | null, typeOnly: boolean) => imports.push(resolved(path, specifier, typeOnly));
  new Visitor({
    ImportDeclaration: ({ source, importKind }) => add(source.value, importKind === 'type'),
    ExportAllDeclaration: ({ source, exportKind }) => add(source.value, exportKind === 'type'),
    ExportNamedDeclaration: ({ source, exportKind }) => source && add(source.value, exportKind === 'type'),
    TSExternalModuleReference: ({ expression }) => add(expression.value, false),
    TSImportType: ({ source }) => add(source.value, true),
    ImportExpression: ({ source }) => add(literalOf(source), false),
    VariableDeclarator: ({ id, init }) => {
      if (id.type === 'Identifier' && init && callsCreateRequire(init)) requires.add(id.name);
    },
    CallExpression: ({ callee, arguments: [argument] }) => {
      const requiring = (callee.type === 'Identifier' && requires.has(callee.name)) || callsCreateRequire(callee);
      if (requiring && argument !== undefined) add(literalOf(argument), false);
    },
    NewExpression: ({ callee, arguments: [argument, base] }) => {
      if (callee.type !== 'Identifier' || argument === undefined) return;
      const file = literalOf(argument);
      const besideThis = callee.name === 'URL' && base !== undefined && /\bimport\.meta\b/.test(textOfNode(text, base));
      const ownWorker = callee.name === 'Worker' && file?.startsWith('.');
      if (file !== null && /\.[cm]?[jt]s$/.test(file) && (besideThis || ownWorker)) add(relativeTo(file), false);
    },
  }).visit(programOf(path, text));
  return imports;
}

function resolved(path: string, specifier: string | null, typeOnly: boolean): Import {
  if (specifier === null) return { target: computedTarget, ours: true, typeOnly };
  if (specifier.startsWith('.')) return { target: posix.join(dirname(path), specifier), ours: true, typeOnly };
  return { target: specifier.startsWith('node:') ? specifier : packageName(specifier), ours: false, typeOnly };
}

/** `bullmq/dist/x.js` → `bullmq`, `@types/node` stays. */
function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** `new URL('worker.ts', import.meta.url)` names a neighbour without a dot. */
function relativeTo(file: string): string {
  return file.startsWith('.') ? file : `./${file}`;
}

/** The string that an expression always is; null if it is computed. */
function literalOf(node: Argument): string | null {
  if (node.type === 'Literal') return typeof node.value === 'string' ? node.value : null;
  if (node.type !== 'TemplateLiteral' || node.expressions.length > 0) return null;
  return node.quasis[0]?.value.cooked ?? null;
}

function callsCreateRequire(node: Expression): boolean {
  return node.type === 'CallExpression' && node.callee.type === 'Identifier' && node.callee.name === 'createRequire';
}

function textOfNode(text: string, { start, end }: Span): string {
  return text.slice(start, end);
}

export interface FunctionLength {
  readonly name: string;
  /** From the line of the function's first word to that of its closing brace. */
  readonly lines: number;
}

/** Every function of a file, also those inside another one; each counts whole, with what it encloses. */
export function functionsOf(path: string, text: string): FunctionLength[] {
  const functions: FunctionLength[] = [];
  const add = (node: Span & { readonly id?: { readonly name: string } | null }) => {
    const own = textOfNode(text, node);
    functions.push({ name: node.id?.name ?? own.split('\n')[0] ?? '', lines: own.split('\n').length });
  };
  new Visitor({
    FunctionDeclaration: add,
    FunctionExpression: add,
    ArrowFunctionExpression: ({ start, end }) => add({ start, end }),
  }).visit(programOf(path, text));
  return functions;
}

/**
 * The first lines of the top-level statements that do something when the module is imported: a call for its effect, `await`, a
 * look at the environment, a variable that can change. Constants, types, functions and classes do nothing.
 */
export function workAtImport(path: string, text: string): string[] {
  const program = programOf(path, text);
  const functions: Span[] = [];
  const effects: Span[] = [];
  new Visitor({
    FunctionDeclaration: (node) => functions.push(node),
    FunctionExpression: (node) => functions.push(node),
    ArrowFunctionExpression: (node) => functions.push(node),
    AwaitExpression: (node) => effects.push(node),
    MemberExpression: (node) => textOfNode(text, node) === 'process.env' && effects.push(node),
  }).visit(program);
  const now = effects.filter((effect) => !functions.some((body) => encloses(body, effect)));
  const working = program.body.filter((statement) => {
    const declared = statement.type === 'ExportNamedDeclaration' ? (statement.declaration ?? statement) : statement;
    if (declared.type === 'VariableDeclaration' && declared.kind !== 'const') return true;
    const declares = /^(Variable|Import|Export|TS|Function|Class)/.test(declared.type);
    return !declares || now.some((effect) => encloses(statement, effect));
  });
  return working.map((statement) => textOfNode(text, statement).split('\n')[0] ?? '');
}

function encloses(outer: Span, inner: Span): boolean {
  return outer.start <= inner.start && inner.end <= outer.end;
}
