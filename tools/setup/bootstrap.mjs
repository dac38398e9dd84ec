/**
 * Makes a fresh clone run with one command. It runs on the installed Node (20 or later) without dependencies, installs what
 * the command needs, and then hands over to the pinned Node.
 *
 * node tools/setup/bootstrap.mjs quickstart|test|test-encryption|check|compat|replies|bounces|screenshots|attribution|soak|bench|fake-graph|cli [ARG…]
 */
import { spawn } from 'node:child_process';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureDependencies, nodeFor } from './dependencies.mjs';
import { ensurePostfix } from './ensure-postfix.mjs';
import { ensureRedis } from './ensure-redis.mjs';

/** Command → what it runs, and what it needs. The CLI has its own setting for Redis, so it needs none here. */
const commands = {
  quickstart: { program: 'tools/quickstart/main.ts', redis: true, development: true },
  test: { program: 'tools/check.ts', redis: true, development: true },
  'test-encryption': { program: 'tools/check.ts', redis: true, development: true, env: { TEST_ENCRYPTION: '1' } },
  check: { program: 'tools/check.ts', redis: true, development: true },
  compat: { program: 'tools/compat.ts', redis: false, development: true },
  replies: { program: 'tools/replies.ts', redis: false, development: true },
  bounces: { program: 'tools/bounces.ts', redis: false, development: true },
  screenshots: { program: 'tools/screenshots/main.ts', redis: true, development: true },
  attribution: { program: 'tools/attribution/main.ts', redis: true, development: true },
  soak: { program: 'tools/soak/main.ts', redis: true, development: true },
  bench: { program: 'tools/bench/main.ts', redis: true, postfix: true, development: true },
  'fake-graph': { program: 'testkit/graph/main.ts', redis: false, development: true },
  cli: { program: 'src/cli/main.ts', redis: false, development: false },
};

/** How often to check that the process that started this one still exists. */
const parentCheckMs = 200;

const root = fileURLToPath(new URL('../..', import.meta.url));
// Read before anything takes time: the installation of the packages may outlive npm.
const parent = process.ppid;
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
  if ('env' in command) Object.assign(process.env, command.env);
  await handOver(node, [join(root, command.program), ...args]);
}

/**
 * Runs a program as if this process had become it: same stdio, signals passed on, same exit code or signal.
 *
 * @param {string} node
 * @param {string[]} argv
 */
async function handOver(node, argv) {
  if (isOrphan()) throw new Error('npm was stopped during the set-up; nothing was started.');
  const PATH = [join(root, 'node_modules', '.bin'), process.env.PATH ?? ''].join(delimiter);
  // npm changes to the root of the repository and keeps the caller's folder in INIT_CWD; the caller's paths are relative to it.
  const byNpm = resolve(process.cwd()) === resolve(root);
  const cwd = (byNpm ? process.env.INIT_CWD : undefined) ?? process.cwd();
  let asked = false;
  // Before the program begins: on a busy machine it may be there, and be asked to end, before this process has its next turn.
  passSignals(
    (signal) => child.kill(signal),
    () => (asked = true),
  );
  const child = spawn(node, argv, { stdio: 'inherit', cwd, env: { ...process.env, PATH } });
  const parentCheck = setInterval(() => {
    if (!isOrphan()) return;
    clearInterval(parentCheck);
    // A program takes a second signal as the request to end at once.
    if (!asked) child.kill('SIGTERM');
  }, parentCheckMs);

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
  }).finally(() => clearInterval(parentCheck));
}

/**
 * Whether npm's shell has ended before us. npm runs a script in a shell and sends SIGTERM to that shell alone. dash, the `sh`
 * of Debian, ends by it and passes nothing on; the system then gives its child another parent. `exec` in the script would
 * remove the shell, but cmd.exe has no `exec`. Windows does not give processes another parent.
 */
function isOrphan() {
  const byNpm = process.env.npm_lifecycle_event !== undefined;
  return byNpm && process.platform !== 'win32' && process.ppid !== parent;
}

/**
 * @param {(signal: NodeJS.Signals) => void} pass
 * @param {() => void} onEnd called when a signal has asked the program to end
 */
function passSignals(pass, onEnd) {
  // A terminal sends these to the whole foreground group: the program has them already, and would take a second one as the
  // request to end at once. Without a terminal, the sender addressed this process alone.
  const terminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  /** @type {[NodeJS.Signals, boolean][]} */
  const passed = [
    ['SIGTERM', true],
    ['SIGINT', !terminal],
    ['SIGHUP', true],
    ['SIGQUIT', !terminal],
    ['SIGUSR2', true],
  ];
  for (const [signal, passOn] of passed) {
    process.on(signal, () => {
      if (signal !== 'SIGUSR2') onEnd();
      if (passOn) pass(signal);
    });
  }
}
