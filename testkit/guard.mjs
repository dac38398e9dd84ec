/**
 * Runs one command for as long as its own stdin is open, so that the command ends with its starter, even after a SIGKILL:
 * an exit handler does not run then, but the kernel always closes the pipe.
 *
 * node guard.mjs FOLDER COMMAND [ARG…]   prints the command's process id; FOLDER, unless empty, is removed at the end.
 * A line `keep` on stdin before it closes: end the command, but keep the folder.
 */
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';

/** From SIGTERM to SIGKILL. Redis writes its append-only file at SIGTERM, and a worker drains. */
const killAfterMs = 5_000;

const [folder = '', command = '', ...args] = process.argv.slice(2);
const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
let keep = false;
let ending = false;

const end = () => {
  if (ending) return;
  ending = true;
  child.kill('SIGTERM');
  setTimeout(() => child.kill('SIGKILL'), killAfterMs).unref();
};

child.once('spawn', () => process.stdout.write(`${child.pid}\n`));
child.once('error', (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(127);
});
child.once('exit', (code, signal) => {
  if (ending && !keep && folder !== '') rmSync(folder, { recursive: true, force: true });
  process.exit(signal === null ? (code ?? 1) : 1);
});

process.stdin.setEncoding('utf8');
process.stdin.on('data', (text) => {
  if (String(text).includes('keep')) keep = true;
});
process.stdin.once('end', end);
process.stdin.once('error', end);
// The starter may be gone when these are written.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});
for (const signal of /** @type {const} */ (['SIGTERM', 'SIGINT', 'SIGHUP'])) process.once(signal, end);
