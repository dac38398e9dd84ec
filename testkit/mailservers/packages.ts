/**
 * Debian's mail servers without installing them: each replaces the others when it is installed. Packages are downloaded with apt
 * and unpacked into a folder of the system's temporary files, which later runs use again.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const downloadMs = 120_000;

/** Why packages cannot be unpacked and contained here; null if they can. */
export function mailServersMissing(): string | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'mount namespaces need Linux and root';
  const missing = ['/usr/bin/apt-get', '/usr/bin/dpkg-deb', '/usr/bin/unshare'].find((file) => !existsSync(file));
  return missing === undefined ? null : `${missing} is missing`;
}

/** The folder that has what the packages install under `/usr`. @throws Error if apt does not find or get one. */
export async function unpackPackages(names: readonly string[]): Promise<string> {
  const folder = join(tmpdir(), `postlane-packages-${names.join('+')}`);
  if (existsSync(folder)) return folder;
  const made = await mkdtemp(`${folder}-`);
  try {
    const downloads = join(made, 'downloads');
    await mkdir(downloads);
    await run('apt-get', ['download', '-qq', ...names], { cwd: downloads, timeout: downloadMs });
    for (const file of await readdir(downloads))
      await run('dpkg-deb', ['-x', join(downloads, file), join(made, 'root')]);
    // A run beside this one may have been quicker.
    await rename(join(made, 'root'), folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(made, { recursive: true, force: true });
  }
  return folder;
}
