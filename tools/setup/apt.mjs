/** Installs Debian packages without starting their services. */
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';

/** Debian's hook that decides whether an installation may start services: /usr/share/doc/init-system-helpers/README.policy-rc.d.gz */
const policyFile = '/usr/sbin/policy-rc.d';

/**
 * @param {string[]} packages
 * @param {NodeJS.ProcessEnv} env
 * @param {string} [answers] to the questions of the packages, in the format of debconf-set-selections
 */
export function aptInstall(packages, env, answers = '') {
  const quiet = { ...env, DEBIAN_FRONTEND: 'noninteractive' };
  // A policy that exists stays.
  const ours = !existsSync(policyFile);
  if (ours) writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    if (answers !== '') spawnSync('debconf-set-selections', { input: answers, stdio: ['pipe', 2, 2], env: quiet });
    run('apt-get', ['update', '-qq'], quiet);
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], quiet);
  } finally {
    if (ours) rmSync(policyFile, { force: true });
  }
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @throws Error if it fails
 */
export function run(command, args, env) {
  // stdout belongs to the command that runs afterwards.
  const done = spawnSync(command, args, { stdio: ['ignore', 2, 2], env });
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')} failed; its output is above.`);
}
