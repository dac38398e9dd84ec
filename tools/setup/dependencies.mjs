/** Owns what must be installed before anything else can run: the packages of package-lock.json, and a Node that runs TypeScript. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Type stripping is on by default since this version (nodejs.org/api/typescript.html); `engines` says the same. */
const oldestNode = { major: 22, minor: 18 };

/**
 * Installs the packages if they are missing or not those of package-lock.json; otherwise says nothing and takes milliseconds.
 *
 * @param {string} root
 * @param {{ development: boolean }} needs whether the packages for development have to be there
 */
export function ensureDependencies(root, needs) {
  const installedLock = join(root, 'node_modules', '.package-lock.json');
  const wanted = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const installed = existsSync(installedLock) ? readFileSync(installedLock, 'utf8') : null;
  const stale = staleReason(wanted, installed, needs);
  if (stale === null) return;
  process.stderr.write(`Installing dependencies with npm ci (${stale}).\n`);
  // stdout belongs to the command that runs afterwards.
  const stdio = /** @type {const} */ (['ignore', 2, 2]);
  // --include=dev: a shell with NODE_ENV=production would otherwise leave out the tools, and this would never end.
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund'];
  const done = spawnSync('npm', args, { cwd: root, stdio: [...stdio], env: npmEnvironment(root) });
  if (done.error !== undefined) throw new Error(`npm ci could not be started: ${done.error.message}`);
  if (done.status !== 0) throw new Error('npm ci failed; its output is above. Nothing else was tried.');
}

/**
 * npm as the user would call it: not by the Node inside node_modules, which npm is about to delete, and not as silent as
 * the `npm run -s` that called us.
 *
 * @param {string} root
 */
function npmEnvironment(root) {
  const { npm_config_loglevel: _, ...env } = process.env;
  const own = join(root, 'node_modules');
  const path = (env.PATH ?? '').split(delimiter).filter((folder) => !folder.startsWith(own));
  return { ...env, PATH: path.join(delimiter) };
}

/**
 * Why node_modules is not what package-lock.json says, or null if it is. npm leaves in node_modules a lock of what it
 * installed; comparing the two finds changed, missing and left-over packages without looking at any of them.
 *
 * @param {string} wantedText package-lock.json
 * @param {string | null} installedText node_modules/.package-lock.json
 * @param {{ development: boolean }} needs
 * @returns {string | null}
 */
export function staleReason(wantedText, installedText, needs) {
  if (installedText === null) return 'there are none yet';
  const wanted = packagesOf(wantedText);
  const installed = packagesOf(installedText);
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '') continue;
    const found = installed[path];
    if (found === undefined) {
      // Binaries for other systems, and peers that nobody asked for, are never installed.
      if (entry.optional || entry.devOptional || entry.peer) continue;
      if (entry.dev && !needs.development) continue;
      return `${path} is missing`;
    }
    if (found.version !== entry.version || found.integrity !== entry.integrity) return `${path} has changed`;
  }
  const extra = Object.keys(installed).find((path) => wanted[path] === undefined);
  return extra === undefined ? null : `${extra} is left over`;
}

/**
 * @typedef {{ version?: string, integrity?: string, dev?: boolean, optional?: boolean, devOptional?: boolean, peer?: boolean }} LockEntry
 * @param {string} text
 * @returns {Record<string, LockEntry>}
 */
function packagesOf(text) {
  try {
    return JSON.parse(text).packages ?? {};
  } catch {
    // A lock cut off in the middle: whatever it was of, it has to be installed again.
    return {};
  }
}

/**
 * The Node to run TypeScript with: the pinned one for development, so that everybody sees the same; any that is new
 * enough for the CLI, because that is what a user has.
 *
 * @param {string} root
 * @param {{ development: boolean }} needs
 * @returns {string} path of the binary
 */
export function nodeFor(root, needs) {
  const runningWill = runsTypeScript(process.versions.node);
  if (runningWill && !needs.development) return process.execPath;
  const pinned = join(root, 'node_modules', '.bin', 'node');
  // Running it is the test: where install scripts are blocked it is missing, on Alpine it is there but does not start.
  if (spawnSync(pinned, ['--version']).status === 0) return pinned;
  if (runningWill) return process.execPath;
  throw new Error(
    [
      `Postlane runs on Node ${oldestNode.major}.${oldestNode.minor} or later; this is ${process.versions.node},`,
      'and the pinned Node in node_modules does not start (were install scripts blocked?).',
      'Either install a newer Node, or run: npm rebuild node --ignore-scripts=false',
    ].join('\n'),
  );
}

/**
 * @param {string} version such as `22.18.0`
 * @returns {boolean}
 */
export function runsTypeScript(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > oldestNode.major || (major === oldestNode.major && minor >= oldestNode.minor);
}
