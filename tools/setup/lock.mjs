/**
 * Writes package-lock.json after a change of dependencies, complete for every platform, with a checksum for every package.
 *
 * npm drops an optional package that the registry does not have at the moment (a mirror may be behind), and then `npm ci`
 * fails on every machine. It also keeps an entry without a checksum as it is, and `npm ci` installs such a package
 * unchecked. So this program removes such entries, lets npm look the packages up again, and fails if any is still missing.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { lockProblems } from './lock-problems.mjs';
import { runNpm } from './npm.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const lockFile = fileURLToPath(new URL('../../package-lock.json', import.meta.url));

const lock = JSON.parse(readFileSync(lockFile, 'utf8'));
for (const [path, entry] of Object.entries(lock.packages)) {
  if (path !== '' && entry.integrity === undefined) delete lock.packages[path];
}
writeFileSync(lockFile, `${JSON.stringify(lock, null, 2)}\n`);

const npm = runNpm(['install', '--package-lock-only', '--no-audit', '--no-fund'], { cwd: root, stdio: 'inherit' });
const problems = npm.status === 0 ? lockProblems(readFileSync(lockFile, 'utf8')) : ['npm failed; its output is above.'];
if (problems.length > 0) {
  process.stderr.write(
    `${problems.join('\n')}\nThe lock cannot be used. Run again with a registry that has all packages.\n`,
  );
  process.exitCode = 1;
}
