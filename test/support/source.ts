/** Owns reading the repository as text, for the tests that hold its shape. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** What git does not hold either. */
const skippedFolders = new Set(['node_modules', '.git', 'dist', 'coverage', '.postlane']);

/** Paths of all files under `folder`, relative to the root, with forward slashes; [] if there is no such folder. */
export function filesUnder(folder: string): string[] {
  let entries;
  try {
    entries = readdirSync(join(root, folder), { withFileTypes: true });
  } catch {
    return [];
  }
  return entries.flatMap((entry) => {
    const path = folder === '.' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return skippedFolders.has(entry.name) ? [] : filesUnder(path);
    return entry.isFile() ? [path] : [];
  });
}

export function textOf(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

export interface Import {
  /** Package name such as `bullmq`, or a path relative to the root such as `src/errors.ts`; `node:` modules as they are. */
  readonly target: string;
  readonly ours: boolean;
  readonly typeOnly: boolean;
}

/**
 * The imports of one file, from its text: static, re-exporting, and dynamic with a literal. A regular expression will do,
 * because the formatter leaves every import in one of a few forms.
 */
export function importsOf(path: string, text: string): Import[] {
  const statements = text.matchAll(
    /^(?:import|export)\s+(type\s)?(?:[\w*$\s{},]*?\sfrom\s+)?'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm,
  );
  return [...statements].map((match) => {
    const specifier = match[2] ?? match[3] ?? '';
    const ours = specifier.startsWith('.');
    const target = ours
      ? relative(root, resolve(root, dirname(path), specifier))
          .split(sep)
          .join('/')
      : specifier.startsWith('node:')
        ? specifier
        : packageName(specifier);
    return { target, ours, typeOnly: match[1] !== undefined };
  });
}

/** `bullmq/dist/x.js` → `bullmq`, `@types/node` stays. */
function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
