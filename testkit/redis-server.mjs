/**
 * Owns the answer to where a Redis server comes from on this machine, in plain JavaScript, because it is asked
 * before any dependency is installed.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Valkey answers to the same commands and options; which of the two runs makes no difference to us. */
const serverNames = ['redis-server', 'valkey-server'];

/** Homebrew's two places: a shell that was open before the installation may not have them on PATH. */
const extraFolders = ['/opt/homebrew/bin', '/usr/local/bin'];

/**
 * The first of `names` that is an executable file on `path`.
 *
 * @param {readonly string[]} names
 * @param {string} path the value of PATH
 * @returns {string | null}
 */
export function findOnPath(names, path) {
  for (const name of names) {
    for (const folder of [...path.split(delimiter), ...extraFolders]) {
      const file = join(folder, name);
      if (folder !== '' && isExecutable(file)) return file;
    }
  }
  return null;
}

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/**
 * @param {string} path the value of PATH
 * @returns {string | null}
 */
export function findRedisServer(path) {
  return findOnPath(serverNames, path);
}

/** Asks the engine, not the client: a client without an engine is common and of no use. Bounded, because a dead socket hangs. */
export function dockerAnswers() {
  const asked = spawnSync('docker', ['version', '--format', '{{.Server.Version}}'], { timeout: 5_000, stdio: 'pipe' });
  return asked.status === 0 && asked.stdout.toString().trim() !== '';
}

/**
 * @typedef {object} Machine what there is to choose from
 * @property {string | undefined} redisUrl the value of REDIS_URL
 * @property {string | null} server a Redis or Valkey binary
 * @property {boolean} root may install packages
 * @property {boolean} apt
 * @property {boolean} brew
 * @property {() => boolean} docker asked last, because asking is slow
 */

/**
 * What to do about Redis, in the order of what costs the machine least: a server that the user chose, a binary that is
 * there, a package, a container.
 *
 * @param {Machine} machine
 * @returns {'url' | 'binary' | 'apt' | 'brew' | 'docker' | 'nothing'}
 */
export function chooseRedis(machine) {
  if (machine.redisUrl !== undefined && machine.redisUrl !== '') return 'url';
  if (machine.server !== null) return 'binary';
  if (machine.apt && machine.root) return 'apt';
  if (machine.brew) return 'brew';
  return machine.docker() ? 'docker' : 'nothing';
}
