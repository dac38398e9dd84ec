/**
 * npm run compat [-- FILE…]: the suite with real mail servers of other makers: Exim, OpenSMTPD and Dovecot from Debian's packages,
 * Haraka from npm; the transport for nodemailer with its releases and the frameworks that send by it; and drivers for PostgreSQL. What cannot run on this machine is skipped, and said. Arguments are vitest's.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
/** What is installed from npm, each with a lock file of its own: folder → a package that shows that it is there. */
const folders = { haraka: 'Haraka', mailers: 'nodemailer-6', drivers: 'knex' };

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  for (const [name, shown] of Object.entries(folders)) {
    const folder = join(root, 'test/compat', name);
    if (existsSync(join(folder, 'node_modules', shown))) continue;
    process.stderr.write(`Installing the packages of test/compat/${name}.\n`);
    // Without install scripts: they build native parts that the tests do not need.
    const code = await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], folder);
    if (code !== 0) process.stderr.write('They could not be installed; what needs them is not tested.\n');
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
