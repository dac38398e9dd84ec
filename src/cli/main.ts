#!/usr/bin/env node
/** The program `postlane`: hands the process to the command line and keeps its exit code. */
import { run } from './program.ts';

// A reader that has seen enough (`| head`) is no error; what is still to be written goes nowhere.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});
process.stderr.on('error', () => undefined);

// Not process.exit: it would cut off what a pipe has not taken yet.
process.exitCode = await run({ args: process.argv.slice(2), env: process.env, cwd: process.cwd(), streams: process });
