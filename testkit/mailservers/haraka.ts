/** A private Haraka, whose plugin refuses recipients by their name and hands nothing on. */
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startGuarded } from '../guarded.ts';
import { freePort, greets } from '../ports.ts';
import { until } from '../until.ts';
import type { Contained } from './contained.ts';

/** What the plugin does with a recipient whose name begins so; it accepts all others. Constants of haraka-constants. */
const plugin = `
exports.register = function () {
  this.register_hook('rcpt', 'onRcpt');
  this.register_hook('queue', 'onQueue');
};
exports.onRcpt = (next, connection, params) => {
  const address = String(params[0]);
  if (/^<?drop/.test(address)) return next(DENYSOFTDISCONNECT, 'go away');
  if (/^<?bad/.test(address)) return next(DENY, 'no such user');
  if (/^<?later/.test(address)) return next(DENYSOFT, 'not now');
  next(OK);
};
exports.onQueue = (next) => next(OK);
`;

/** Why Haraka cannot run; null if it can. `packages`: the folder whose node_modules has it. */
export function harakaMissing(packages: string): string | null {
  const installed = existsSync(join(packages, 'node_modules/Haraka'));
  return installed ? null : 'its packages are not installed (npm run compat does that)';
}

export async function startHaraka(packages: string): Promise<Contained> {
  const folder = await mkdtemp(join(tmpdir(), 'postlane-haraka-'));
  const haraka = join(packages, 'node_modules/Haraka');
  const port = await freePort();
  for (const name of ['config', 'plugins']) await mkdir(join(folder, name));
  await cp(join(haraka, 'config/connection.ini'), join(folder, 'config/connection.ini'));
  await writeFile(join(folder, 'config/smtp.ini'), `listen=127.0.0.1:${port}\nnodes=0\ndaemonize=false\n`);
  await writeFile(join(folder, 'config/plugins'), 'postlane\n');
  await writeFile(join(folder, 'config/me'), 'haraka.test\n');
  await writeFile(join(folder, 'plugins/postlane.js'), plugin);
  const guarded = await startGuarded([process.execPath, join(haraka, 'bin/haraka'), '-c', folder], { folder });
  const stop = async (): Promise<void> => void (await guarded.end());
  const started = await until(async () => !guarded.running() || greets(port), { what: 'Haraka to greet' }).catch(
    () => false,
  );
  if (!started || !guarded.running()) {
    await stop();
    throw new Error(`Haraka did not start: ${guarded.stderr().slice(-2_000)}`);
  }
  return { port, log: () => guarded.stderr(), stop };
}
