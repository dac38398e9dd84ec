/** Which files of the build an application needs that only enqueues: its entries, and everything that these import. */
import { posix } from 'node:path';
import { parseSync, Visitor } from 'oxc-parser';

/** The entries of `postlane` that `postlane-client` has as well. */
export const clientEntries = ['.', './nodemailer', './outbox'] as const;

export interface ClientFiles {
  /** Relative to the folder of the build: JavaScript and declarations. */
  readonly files: readonly string[];
  /** The packages that they import, types included. */
  readonly packages: readonly string[];
}

/** `read` gives the text of a file of the build, by its path within it. */
export function clientFiles(entries: readonly string[], read: (path: string) => string): ClientFiles {
  const files = new Set(entries.flatMap((entry) => [entry, entry.replace(/\.js$/, '.d.ts')]));
  const packages = new Set<string>();
  // A Set may grow while it is iterated: what a file imports is followed in turn.
  for (const path of files) {
    for (const specifier of specifiersOf(path, read(path))) {
      if (specifier.startsWith('node:')) continue;
      if (!specifier.startsWith('.')) {
        packages.add(packageOf(specifier));
        continue;
      }
      const target = posix.join(posix.dirname(path), specifier).replace(/\.ts$/, '.js');
      files.add(path.endsWith('.d.ts') ? target.replace(/\.js$/, '.d.ts') : target);
    }
  }
  return { files: [...files].toSorted(), packages: [...packages].toSorted() };
}

/** Declarations keep the extension that the source wrote, JavaScript has its own. */
function specifiersOf(path: string, text: string): string[] {
  const found: string[] = [];
  const { program, errors } = parseSync(path, text);
  if (errors[0] !== undefined) throw new Error(`${path}: ${errors[0].message}`);
  new Visitor({
    ImportDeclaration: ({ source }) => void found.push(source.value),
    ExportAllDeclaration: ({ source }) => void found.push(source.value),
    ExportNamedDeclaration: ({ source }) => void (source && found.push(source.value)),
    TSImportType: ({ source }) => void found.push(source.value),
    ImportExpression: ({ source }) => {
      if (source.type !== 'Literal' || typeof source.value !== 'string') throw new Error(`${path} computes an import`);
      found.push(source.value);
    },
  }).visit(program);
  return found;
}

function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
}
