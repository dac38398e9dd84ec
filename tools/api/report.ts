/** Owns the report of the public types: a stable text, made from the declarations of the package's exports. */
import { declarationFile } from './declarations.ts';
import type { DeclarationFile, Origin } from './declarations.ts';

/**
 * @param entries export of the package, such as `postlane/testing` → its declaration file
 * @param read the text of a declaration file, by its path relative to the folder of the declarations
 */
export function apiReport(entries: ReadonlyMap<string, string>, read: (path: string) => string): string {
  const files = new Map<string, DeclarationFile>();
  const fileAt = (path: string): DeclarationFile => {
    const known = files.get(path) ?? declarationFile(path, read(path));
    files.set(path, known);
    return known;
  };
  const shown: Shown = new Map();
  const sections = [...entries].map(([entry, path]) => section(entry, surfaceOf(entry, fileAt(path), fileAt, shown)));
  return `${introduction}\n\n${sections.join('\n')}`;
}

const introduction = `# The public types

The types of all exports of the package, without their comments.
Generated from the code by \`npm run api\`; do not edit.`;

/** Declaration → the text that stands for it in later sections. */
type Shown = Map<string, string>;

interface Surface {
  readonly exported: readonly string[];
  readonly used: readonly string[];
  readonly packages: readonly string[];
}

function section(name: string, { exported, used, packages }: Surface): string {
  const block = (lines: readonly string[]) => ['```ts', ...lines, '```', ''];
  return [
    `## ${name}`,
    '',
    ...block(exported),
    ...(used.length > 0 ? ['Used by these types, and not exported:', '', ...block(used)] : []),
    ...(packages.length > 0 ? [`From other packages: ${packages.map((text) => `\`${text}\``).join(', ')}.`, ''] : []),
  ].join('\n');
}

interface Declared {
  readonly file: DeclarationFile;
  readonly name: string;
}

const keyOf = ({ file, name }: Declared) => `${file.path}#${name}`;

/** What a file exports, and everything that its types lead to. What an earlier section has shown is not repeated. */
function surfaceOf(
  entry: string,
  file: DeclarationFile,
  fileAt: (path: string) => DeclarationFile,
  shown: Shown,
): Surface {
  const packages = new Set<string>();
  const reached = new Map<string, Declared>();
  const exported: string[] = [];
  for (const name of exportsOf(file, fileAt).toSorted()) {
    const found = resolve({ kind: 'file', file: file.path, name }, file);
    if (found === null) {
      exported.push(`export { ${name} };`);
      continue;
    }
    reached.set(keyOf(found), found);
    const alias = found.name === name ? '' : `\nexport { ${found.name} as ${name} };`;
    exported.push(shown.get(keyOf(found)) ?? textOf(found) + alias);
    shown.set(keyOf(found), `export { ${name} } from '${entry}';`);
  }
  const used: string[] = [];
  // A Map may grow while it is iterated: the declarations that a type uses are followed in turn.
  for (const declared of reached.values()) {
    if (!shown.has(keyOf(declared))) {
      const text = textOf(declared);
      used.push(text.replace(/^export (?=declare)/gm, '').replace(/^export (?=type|interface)/gm, ''));
      shown.set(keyOf(declared), text);
    }
    for (const origin of usesOf(declared)) {
      const found = resolve(origin, declared.file);
      if (found !== null) reached.set(keyOf(found), found);
    }
  }
  return { exported, used: used.toSorted(), packages: [...packages].toSorted() };

  function resolve(origin: Origin, from: DeclarationFile): Declared | null {
    if (origin.kind === 'package') {
      packages.add(`${origin.name} of ${origin.package}`);
      return null;
    }
    if (origin.kind === 'here') {
      if (from.declarations.has(origin.name)) return { file: from, name: origin.name };
      const imported = from.names.get(origin.name);
      return imported === undefined ? null : resolve(imported, from);
    }
    const target = fileAt(origin.file);
    const direct = target.exports.get(origin.name);
    if (direct !== undefined) return resolve(direct, target);
    const star = target.stars.find((path) => exportsOf(fileAt(path), fileAt).includes(origin.name));
    return star === undefined ? null : resolve({ ...origin, file: star }, target);
  }
}

function exportsOf(file: DeclarationFile, fileAt: (path: string) => DeclarationFile): string[] {
  return [...file.exports.keys(), ...file.stars.flatMap((path) => exportsOf(fileAt(path), fileAt))];
}

/** Overloads have several declarations of one name. */
function textOf({ file, name }: Declared): string {
  return (file.declarations.get(name) ?? []).map(({ text }) => text).join('\n');
}

function usesOf({ file, name }: Declared): Origin[] {
  const parts = file.declarations.get(name) ?? [];
  const inside = file.references.filter(({ start, end }) =>
    parts.some((part) => part.start <= start && end <= part.end),
  );
  return inside.map(({ origin }) => origin);
}

/**
 * The exports of the package that have types → their declaration files, relative to the folder of the build.
 *
 * @param manifest the text of package.json
 */
export function entriesOf(manifest: string): Map<string, string> {
  const { name, exports } = JSON.parse(manifest) as {
    readonly name: string;
    readonly exports: Readonly<Record<string, string | { readonly types?: string }>>;
  };
  const typed = Object.entries(exports).flatMap(([path, entry]) => {
    const types = typeof entry === 'string' ? undefined : entry.types;
    return types === undefined ? [] : [[path.replace(/^\./, name), types.replace(/^\.\/dist\//, '')] as const];
  });
  return new Map(typed);
}
