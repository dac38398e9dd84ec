/** Installs what must exist before anything else can run: the packages of package-lock.json, and a Node that runs TypeScript. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { runNpm } from './npm.mjs';
import { inTurn } from './turn.mjs';

/** Type stripping is on by default since this version (nodejs.org/api/typescript.html); `engines` says the same. */
const oldestNode = { major: 22, minor: 18 };

/**
 * Installs the packages if they are missing or differ from package-lock.json; otherwise prints nothing and takes milliseconds.
 *
 * @param {string} root
 * @param {{ development: boolean }} needs whether the development packages are needed
 */
export function ensureDependencies(root, needs) {
  if (staleness(root, needs) === null) return;
  const waits = (/** @type {number} */ pid) => {
    process.stderr.write(`Waiting for process ${pid}, which installs the dependencies.\n`);
  };
  inTurn(
    join(root, '.installing'),
    () => {
      const stale = staleness(root, needs);
      if (stale !== null) install(root, stale);
    },
    waits,
  );
}

/**
 * @param {string} root
 * @param {{ development: boolean }} needs
 */
function staleness(root, needs) {
  const installedLock = join(root, 'node_modules', '.package-lock.json');
  const wanted = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const installed = existsSync(installedLock) ? readFileSync(installedLock, 'utf8') : null;
  return staleReason(wanted, installed, needs);
}

/**
 * @param {string} root
 * @param {string} stale why
 */
function install(root, stale) {
  process.stderr.write(`Installing dependencies with npm ci (${stale}).\n`);
  // stdout belongs to the command that runs afterwards.
  const stdio = /** @type {const} */ (['ignore', 2, 2]);
  // --include=dev: with NODE_ENV=production, npm would leave out the tools, and every run would install again.
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund'];
  const done = runNpm(args, { cwd: root, stdio: [...stdio], env: npmEnvironment(root) });
  if (done.error !== undefined) throw new Error(`npm ci could not be started: ${done.error.message}`);
  if (done.status !== 0) throw new Error('npm ci failed; its output is above. Nothing else was tried.');
}

/**
 * npm as the user would call it: not with the Node inside node_modules, which npm is about to delete, and not as silent as
 * the `npm run -s` that started this process.
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
 * Why node_modules differs from package-lock.json, or null if it does not. npm writes a lock of what it installed into
 * node_modules; comparing the two finds changed, missing and left-over packages without reading the packages.
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
      // Binaries for other systems and optional peers are never installed.
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
    // An installation was interrupted while it wrote its lock; it has to run again.
    return {};
  }
}

/**
 * The Node that runs TypeScript: for development the pinned one, the same on every machine; for the CLI any that is new
 * enough, because that is what a user has.
 *
 * @param {string} root
 * @param {{ development: boolean }} needs
 * @returns {string} path of the binary
 */
export function nodeFor(root, needs) {
  const runningWill = runsTypeScript(process.versions.node);
  if (runningWill && !needs.development) return process.execPath;
  const pinned = join(root, 'node_modules', '.bin', 'node');
  // The only proof is to run it: without install scripts it is missing, and on Alpine it exists but does not start.
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
