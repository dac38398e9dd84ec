/** Sees to it that Postfix and its smtp-sink are here where that is possible without asking; otherwise says what to install. It starts none. */
import { aptInstall } from './apt.mjs';
import { findOnPath } from '../../testkit/redis-server.mjs';

/**
 * Never fails: what needs it is skipped without it, and says so.
 *
 * @param {NodeJS.ProcessEnv} env
 */
export function ensurePostfix(env) {
  const path = `${env.PATH ?? ''}:/usr/sbin:/sbin`;
  if (findOnPath(['smtp-sink'], path) !== null) return;
  const able = process.getuid?.() === 0 && findOnPath(['apt-get'], path) !== null;
  if (!able) {
    say('smtp-sink is missing, which comes with Postfix (Debian: apt-get install postfix). What needs it is skipped.');
    return;
  }
  say('No Postfix here: installing the package postfix with apt-get, not configured. No service is started.');
  try {
    // Debian asks what kind of mail server this is to be; «No configuration» leaves the system without one.
    aptInstall(['postfix'], env, 'postfix postfix/main_mailer_type select No configuration\n');
  } catch (error) {
    say(`${error instanceof Error ? error.message : String(error)}\nWhat needs Postfix is skipped.`);
  }
}

/** @param {string} text */
function say(text) {
  process.stderr.write(`${text}\n`);
}
