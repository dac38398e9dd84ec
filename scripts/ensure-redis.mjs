/** Sees to it that a Redis server can be started here: finds it, installs it, or says what to do. It starts none. */
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { chooseRedis, dockerAnswers, findOnPath, findRedisServer } from './redis-server.mjs';

/** Debian's hook that decides whether an installation may start services: /usr/share/doc/init-system-helpers/README.policy-rc.d.gz */
const policyFile = '/usr/sbin/policy-rc.d';

/**
 * @param {NodeJS.ProcessEnv} env
 * @throws Error that says what to do, if there is no way
 */
export function ensureRedis(env) {
  const path = env.PATH ?? '';
  const choice = chooseRedis({
    redisUrl: env.REDIS_URL,
    server: findRedisServer(path),
    root: process.getuid?.() === 0,
    apt: findOnPath(['apt-get'], path) !== null,
    brew: findOnPath(['brew'], path) !== null,
    docker: dockerAnswers,
  });
  switch (choice) {
    case 'url':
    case 'binary':
      return;
    case 'apt':
      say('No Redis here: installing the package redis-server with apt-get. No service is started.');
      withoutServices(() => {
        const quiet = { ...env, DEBIAN_FRONTEND: 'noninteractive' };
        run('apt-get', ['update', '-qq'], quiet);
        run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'redis-server'], quiet);
      });
      break;
    case 'brew':
      say('No Redis here: installing it with Homebrew. No service is started.');
      run('brew', ['install', 'redis'], env);
      break;
    case 'docker':
      say('No Redis here: using the image redis:7 with Docker.');
      run('docker', ['pull', 'redis:7'], env);
      return;
    case 'nothing':
      throw new Error(advice);
  }
  if (findRedisServer(path) === null) throw new Error(`The installation left no redis-server on PATH.\n${advice}`);
}

const advice = `Postlane needs a Redis server, and there is no way to get one here. Do one of these:
  - install redis-server or valkey-server with your system's package manager (Debian: apt-get install redis-server);
  - start Docker;
  - set REDIS_URL to a Redis that runs, for example REDIS_URL=redis://127.0.0.1:6379.`;

/** @param {() => void} install */
function withoutServices(install) {
  // A machine that has such a policy keeps its own.
  const ours = !existsSync(policyFile);
  if (ours) writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    install();
  } finally {
    if (ours) rmSync(policyFile, { force: true });
  }
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 */
function run(command, args, env) {
  // stdout belongs to the command that runs afterwards.
  const done = spawnSync(command, args, { stdio: ['ignore', 2, 2], env });
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')} failed; its output is above.\n${advice}`);
}

/** @param {string} text */
function say(text) {
  process.stderr.write(`${text}\n`);
}
