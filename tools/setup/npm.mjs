/** Runs npm, on Windows too. */
import { spawnSync } from 'node:child_process';

/**
 * @param {readonly string[]} args plain words, because a shell may read them
 * @param {import('node:child_process').SpawnSyncOptions} options
 */
export function runNpm(args, options) {
  // On Windows npm is a batch file, which only a shell can start.
  if (process.platform === 'win32') return spawnSync(['npm', ...args].join(' '), { ...options, shell: true });
  return spawnSync('npm', args, options);
}
