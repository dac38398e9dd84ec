/**
 * Makes a fresh clone run with one command. It runs on the Node that happens to be there (20 or later), without any
 * dependency, sees to what the command needs, and then hands over to the pinned Node.
 *
 * node tools/setup/bootstrap.mjs quickstart|test|check|soak|bench|fake-graph|cli [ARG…]
 */
import { spawn } from 'node:child_process';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureDependencies, nodeFor } from './dependencies.mjs';
import { ensurePostfix } from './ensure-postfix.mjs';
import { ensureRedis } from './ensure-redis.mjs';

/** Command → what it runs, and what it needs. The CLI brings its own Redis address, so nothing is set up for it. */
const commands = {
  quickstart: { program: 'tools/quickstart/main.ts', redis: true, development: true },
  test: { program: 'tools/check.ts', redis: true, development: true },
  check: { program: 'tools/check.ts', redis: true, development: true },
  soak: { program: 'tools/soak/main.ts', redis: true, development: true },
  bench: { program: 'tools/bench/main.ts', redis: true, postfix: true, development: true },
  'fake-graph': { program: 'testkit/graph/main.ts', redis: false, development: true },
  cli: { program: 'src/cli/main.ts', redis: false, development: false },
};

const root = fileURLToPath(new URL('../..', import.meta.url));
const [name = '', ...args] = process.argv.slice(2);

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function main() {
  const command = Object.hasOwn(commands, name) ? commands[/** @type {keyof typeof commands} */ (name)] : null;
  if (command === null) {
    process.stderr.write(`usage: node tools/setup/bootstrap.mjs ${Object.keys(commands).join('|')} [ARG…]\n`);
    process.exitCode = 2;
    return;
  }
  ensureDependencies(root, command);
  const node = nodeFor(root, command);
  if (command.redis) ensureRedis(process.env);
  if ('postfix' in command) ensurePostfix(process.env);
  await handOver(node, [join(root, command.program), ...args]);
}

/**
 * Runs a program as if this process had become it: same stdio, signals passed on, same exit code or signal.
 *
 * @param {string} node
 * @param {string[]} argv
 */
async function handOver(node, argv) {
  const PATH = [join(root, 'node_modules', '.bin'), process.env.PATH ?? ''].join(delimiter);
  // npm goes to the repository's root and leaves the caller's folder in INIT_CWD; paths in the arguments are the caller's.
  const byNpm = resolve(process.cwd()) === resolve(root);
  const cwd = (byNpm ? process.env.INIT_CWD : undefined) ?? process.cwd();
  const child = spawn(node, argv, { stdio: 'inherit', cwd, env: { ...process.env, PATH } });
  // A terminal sends these to the whole foreground group: the program has them already, and a second one means
  // «at once» to it. Without a terminal somebody sent them to us alone.
  const terminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  /** @type {[NodeJS.Signals, boolean][]} */
  const passed = [
    ['SIGTERM', true],
    ['SIGINT', !terminal],
    ['SIGHUP', true],
    ['SIGQUIT', !terminal],
    ['SIGUSR2', true],
  ];
  for (const [signal, passOn] of passed) process.on(signal, () => passOn && child.kill(signal));

  await new Promise((settle, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      if (signal !== null) {
        process.removeAllListeners(signal);
        process.kill(process.pid, signal);
      }
      process.exitCode = code ?? 1;
      settle(undefined);
    });
  });
}
