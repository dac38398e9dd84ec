/**
 * npm run compat [-- FILE…]: the suite with real mail servers of other makers: Exim, OpenSMTPD and Dovecot from Debian's packages,
 * Haraka from npm. What cannot run on this machine is skipped, and said. Arguments are vitest's.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const haraka = join(root, 'test/compat/haraka');

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  if (!existsSync(join(haraka, 'node_modules/Haraka'))) {
    process.stderr.write('Installing Haraka.\n');
    // Without install scripts: they build native parts that a test of SMTP does not need.
    const code = await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], haraka);
    if (code !== 0) process.stderr.write('Haraka could not be installed, and is not tested.\n');
  }
  return run(join(root, 'node_modules/.bin/vitest'), ['run', '--config', 'vitest.compat.config.ts', ...args], root);
}

async function run(command: string, args: readonly string[], cwd: string): Promise<number> {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] });
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on('SIGINT', pass).on('SIGTERM', pass);
  const [code] = (await once(child, 'exit')) as [number | null];
  process.off('SIGINT', pass).off('SIGTERM', pass);
  return code ?? 1;
}
