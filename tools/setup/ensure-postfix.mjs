/** Installs Postfix and its smtp-sink where that needs no question; otherwise says what to install. It starts no service. */
import { aptInstall } from './apt.mjs';
import { findOnPath } from '../../testkit/redis-server.mjs';

/**
 * Never fails: without Postfix, what needs it is skipped and says so.
 *
 * @param {NodeJS.ProcessEnv} env
 */
export function ensurePostfix(env) {
  const path = `${env.PATH ?? ''}:/usr/sbin:/sbin`;
  if (findOnPath(['smtp-sink'], path) !== null) return;
  const able = process.getuid?.() === 0 && findOnPath(['apt-get'], path) !== null;
  if (!able) {
    say('smtp-sink, a part of Postfix, is missing (Debian: apt-get install postfix). What needs it is skipped.');
    return;
  }
  say(
    'Postfix is missing: installing the package postfix with apt-get, without a configuration. No service is started.',
  );
  try {
    // Debian asks for the kind of mail server; the answer "No configuration" leaves the system without one.
    aptInstall(['postfix'], env, 'postfix postfix/main_mailer_type select No configuration\n');
  } catch (error) {
    say(`${error instanceof Error ? error.message : String(error)}\nWhat needs Postfix is skipped.`);
  }
}

/** @param {string} text */
function say(text) {
  process.stderr.write(`${text}\n`);
}
