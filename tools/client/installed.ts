/** What npm installs with a package: the folders of its dependencies and of theirs, as they are installed here, and their bytes. */
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Folders of packages below `root/node_modules`, those of optional packages as far as this machine has them. */
export function installedFolders(root: string, names: readonly string[]): readonly string[] {
  const folders = new Set<string>();
  const add = (name: string, from: string, optional: boolean): void => {
    const folder = resolve(root, name, from);
    if (folder !== null) folders.add(folder);
    else if (!optional) throw new Error(`${name} is not installed`);
  };
  for (const name of names) add(name, root, false);
  // It grows while it is iterated.
  for (const folder of folders) {
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
      readFileSync(join(folder, 'package.json'), 'utf8'),
    ) as Readonly<Record<'dependencies' | 'optionalDependencies', Readonly<Record<string, string>> | undefined>>;
    for (const name of Object.keys(dependencies)) add(name, folder, name in optionalDependencies);
    for (const name of Object.keys(optionalDependencies)) add(name, folder, true);
  }
  return [...folders];
}

/** As Node looks: in the package, then in each folder above it. */
function resolve(root: string, name: string, from: string): string | null {
  for (let at = from; ; at = dirname(at)) {
    const folder = join(at, 'node_modules', name);
    if (existsSync(join(folder, 'package.json'))) return folder;
    if (at === root || at === dirname(at)) return null;
  }
}

/** Of all files below the folders, without packages that are nested in them: those are folders of their own. */
export function bytesOf(folders: readonly string[]): number {
  let bytes = 0;
  for (const folder of folders) {
    for (const file of globSync('**', { cwd: folder, exclude: (name) => name === 'node_modules' })) {
      const about = statSync(join(folder, file));
      if (about.isFile()) bytes += about.size;
    }
  }
  return bytes;
}
