/** Finds a Redis server, installs one, or says what to do. It starts no server. */
import { aptInstall, run } from './apt.mjs';
import { chooseRedis, dockerAnswers, findOnPath, findRedisServer } from '../../testkit/redis-server.mjs';

/**
 * @param {NodeJS.ProcessEnv} env
 * @throws Error that says what to do, if no way is found
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
      say('Redis is missing: installing the package redis-server with apt-get. No service is started.');
      advised(() => aptInstall(['redis-server'], env));
      break;
    case 'brew':
      say('Redis is missing: installing it with Homebrew. No service is started.');
      advised(() => run('brew', ['install', 'redis'], env));
      break;
    case 'docker':
      say('Redis is missing: using the image redis:7 with Docker.');
      advised(() => run('docker', ['pull', 'redis:7'], env));
      return;
    case 'nothing':
      throw new Error(advice);
  }
  if (findRedisServer(path) === null) throw new Error(`The installation left no redis-server on PATH.\n${advice}`);
}

const advice = `Postlane needs a Redis server and found no way to install one. Do one of these:
  - install redis-server or valkey-server with your system's package manager (Debian: apt-get install redis-server);
  - start Docker;
  - set REDIS_URL to a running Redis, for example REDIS_URL=redis://127.0.0.1:6379.`;

/** @param {() => void} install */
function advised(install) {
  try {
    install();
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${advice}`, { cause: error });
  }
}

/** @param {string} text */
function say(text) {
  process.stderr.write(`${text}\n`);
}
