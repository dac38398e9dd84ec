/** Owns reading a declaration file (.d.ts): what it declares and exports, and which names each declaration uses. */
import { posix } from 'node:path';
import { parseSync, Visitor } from 'oxc-parser';
import type { Directive, Span, Statement } from 'oxc-parser';

/** Where a name comes from: a declaration of this file, a name of another file, or a package. */
export type Origin =
  | { readonly kind: 'here'; readonly name: string }
  | { readonly kind: 'file'; readonly file: string; readonly name: string }
  | { readonly kind: 'package'; readonly package: string; readonly name: string };

interface Reference extends Span {
  readonly origin: Origin;
}

/** What one declaration file says; all files are read this way, and linked by name. */
export interface DeclarationFile {
  readonly path: string;
  /** Name → its declarations, without comments; several for overloads. */
  readonly declarations: ReadonlyMap<string, readonly (Span & { readonly text: string })[]>;
  readonly exports: ReadonlyMap<string, Origin>;
  /** Files of which everything is exported. */
  readonly stars: readonly string[];
  readonly names: ReadonlyMap<string, Origin>;
  readonly references: readonly Reference[];
}

export function declarationFile(path: string, source: string): DeclarationFile {
  const { program, comments, errors } = parseSync(path, source);
  if (errors[0] !== undefined) throw new Error(`${path}: ${errors[0].message}`);
  const declarations = new Map<string, (Span & { text: string })[]>();
  const exports = new Map<string, Origin>();
  const names = new Map<string, Origin>();
  const stars: string[] = [];
  for (const statement of program.body) readStatement(statement);
  return { path, declarations, exports, stars, names, references: referencesOf(path, source) };

  function readStatement(statement: Directive | Statement): void {
    if (statement.type === 'ImportDeclaration') {
      for (const specifier of statement.specifiers) {
        const imported = specifier.type === 'ImportSpecifier' ? nameOf(specifier.imported) : '*';
        names.set(specifier.local.name, originOf(path, statement.source.value, imported));
      }
    } else if (statement.type === 'ExportAllDeclaration') {
      stars.push(posix.join(posix.dirname(path), declarationPath(statement.source.value)));
    } else if (statement.type === 'ExportNamedDeclaration') {
      for (const { local, exported } of statement.specifiers) {
        const from = statement.source?.value;
        const name = nameOf(local);
        exports.set(nameOf(exported), from === undefined ? { kind: 'here', name } : originOf(path, from, name));
      }
      if (statement.declaration !== null) declare(statement, statement.declaration, true);
    } else {
      declare(statement, statement, false);
    }
  }

  function declare(span: Span, declaration: object, exported: boolean): void {
    for (const name of declaredNames(declaration)) {
      const part = { start: span.start, end: span.end, text: withoutComments(span) };
      declarations.set(name, [...(declarations.get(name) ?? []), part]);
      if (exported) exports.set(name, { kind: 'here', name });
    }
  }

  function withoutComments({ start, end }: Span): string {
    const inner = comments.filter((comment) => comment.start >= start && comment.end <= end);
    let text = '';
    let at = start;
    for (const comment of inner) {
      text += source.slice(at, comment.start);
      at = comment.end;
    }
    const lines = (text + source.slice(at, end)).split('\n').filter((line) => line.trim() !== '');
    // tsc indents by four spaces.
    return lines.map((line) => line.replace(/^(?: {4})+/, (indent) => '  '.repeat(indent.length / 4))).join('\n');
  }
}

function declaredNames(declaration: object): string[] {
  if ('declarations' in declaration) {
    const { declarations } = declaration as { declarations: readonly { id: { name?: string } }[] };
    return declarations.flatMap(({ id }) => id.name ?? []);
  }
  const { id } = declaration as { id?: { name?: string } | null };
  return id?.name === undefined ? [] : [id.name];
}

/** Every place of a file that names a type or a value of another declaration. */
function referencesOf(path: string, source: string): Reference[] {
  const references: Reference[] = [];
  const add = ({ start, end }: Span, named: { readonly type: string }) => {
    const name = leftmost(named);
    if (name !== null) references.push({ start, end, origin: { kind: 'here', name } });
  };
  new Visitor({
    TSTypeReference: (node) => add(node, node.typeName),
    TSTypeQuery: (node) => add(node, node.exprName),
    TSInterfaceHeritage: (node) => add(node, node.expression),
    TSClassImplements: (node) => add(node, node.expression),
    ClassDeclaration: (node) => node.superClass && add(node.superClass, node.superClass),
    TSImportType: ({ start, end, source, qualifier }) => {
      const name = qualifier === null ? '*' : (leftmost(qualifier) ?? '*');
      references.push({ start, end, origin: originOf(path, source.value, name) });
    },
  }).visit(parseSync(path, source).program);
  return references;
}

/** `a.b.c` → `a`. */
function leftmost(node: { readonly type: string }): string | null {
  const { name, left } = node as { name?: string; left?: { readonly type: string } };
  return left === undefined ? (name ?? null) : leftmost(left);
}

function nameOf(node: { readonly type: string }): string {
  const { name, value } = node as { name?: string; value?: string };
  return name ?? value ?? '';
}

function originOf(path: string, specifier: string, name: string): Origin {
  if (!specifier.startsWith('.')) return { kind: 'package', package: specifier, name };
  return { kind: 'file', file: posix.join(posix.dirname(path), declarationPath(specifier)), name };
}

/** tsc keeps the endings of imports: `./a.ts` is declared in `./a.d.ts`. */
function declarationPath(specifier: string): string {
  return specifier.replace(/\.(ts|js)$/, '.d.ts');
}
