#!/usr/bin/env node
/** The program `postlane`: runs the command line for this process and sets its exit code. */
import { run } from './program.ts';

// A reader that stops early (`| head`) is not an error; the rest of the output is dropped.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});
process.stderr.on('error', () => undefined);

// process.exit() would cut off output that a pipe has not accepted yet.
process.exitCode = await run({ args: process.argv.slice(2), env: process.env, cwd: process.cwd(), streams: process });
