/**
 * npm run client -- FOLDER: writes the package `postlane-client` to a new folder, from a build of this clone, ready for
 * `npm pack` or `npm publish`.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeClient } from './package.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const [given] = process.argv.slice(2);
if (given === undefined) {
  process.stderr.write('usage: npm run client -- FOLDER\n');
  process.exitCode = 2;
} else {
  const folder = resolve(given);
  // One that exists may hold files that are none of the package.
  mkdirSync(folder);
  const dist = mkdtempSync(join(tmpdir(), 'postlane-client-'));
  try {
    const args = ['-p', 'tsconfig.build.json', '--outDir', dist];
    const { status } = spawnSync(join(root, 'node_modules/.bin/tsc'), args, { cwd: root, stdio: 'inherit' });
    if (status !== 0) throw new Error('tsc failed; its output is above.');
    const packages = writeClient(root, dist, folder);
    process.stdout.write(`${folder}: postlane-client with ${packages.join(', ')}\n`);
  } finally {
    rmSync(dist, { recursive: true, force: true });
  }
}
