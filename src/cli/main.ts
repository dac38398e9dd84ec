#!/usr/bin/env node
/** The program `postlane`: runs the command line for this process and sets its exit code. */
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

// `explain` then takes 190 ms of processor time in place of 340 from source. The folder is in the package, and not in
// /tmp as Node's own choice: who can write here can change the program anyway. If it cannot be written, Node compiles.
enableCompileCache(fileURLToPath(new URL('../../node_modules/.cache/postlane', import.meta.url)));
// Imported only now, so that all of it comes from the cache.
const { run } = await import('./program.ts');

// A reader that stops early (`| head`) is not an error; the rest of the output is dropped.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});
process.stderr.on('error', () => undefined);

// process.exit() would cut off output that a pipe has not accepted yet.
process.exitCode = await run({ args: process.argv.slice(2), env: process.env, cwd: process.cwd(), streams: process });
