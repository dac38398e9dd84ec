/** One process after the other: `npm run` commands that start side by side in a clone must not install into it at once. */
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

const checkMs = 200;

/**
 * Runs `work` while no other process runs its own under the same file. A file of a process that is gone does not count.
 *
 * @template T
 * @param {string} file its content is the id of the process that has the turn
 * @param {() => T} work
 * @param {(pid: number) => void} onWait called once, if another process has the turn
 * @returns {T}
 */
export function inTurn(file, work, onWait) {
  const own = `${file}.${process.pid}`;
  let told = false;
  try {
    // Linked only when it is complete: a file that is created and then written could be read between the two.
    writeFileSync(own, `${process.pid}\n`);
    while (!take(own, file)) {
      const owner = ownerOf(file);
      if (owner !== null && isRunning(owner)) {
        if (!told) onWait(owner);
        told = true;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, checkMs);
      } else if (ownerOf(file) === owner) {
        rmSync(file, { force: true });
      }
    }
    try {
      return work();
    } finally {
      if (ownerOf(file) === process.pid) rmSync(file, { force: true });
    }
  } finally {
    rmSync(own, { force: true });
  }
}

/**
 * @param {string} own
 * @param {string} file
 */
function take(own, file) {
  try {
    linkSync(own, file);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * @param {string} file
 * @returns {number | null}
 */
function ownerOf(file) {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    return Number.isSafeInteger(pid) && pid > 0 ? pid : null;
  } catch {
    return null;
  }
}

/** @param {number} pid */
function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // A process of another user is running as well.
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}
