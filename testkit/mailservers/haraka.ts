/** A private Haraka, whose plugin refuses recipients by their name, and which hands on what it takes only if told to. */
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../ports.ts';
import { startServer, type Contained } from './contained.ts';

/** What the plugin does with a recipient whose name begins so; it accepts all others. Constants of haraka-constants. */
const plugin = (relays: boolean): string => `
const { appendFileSync } = require('node:fs');
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
exports.onQueue = (next, connection) => {
  appendFileSync(process.env.HARAKA + '/accepted', connection.transaction.rcpt_to.map((to) => to.address + '\\n').join(''));
  next(${relays ? '' : 'OK'});
};
`;

export interface HarakaOptions {
  /** Plugins of Haraka itself that come before this one. */
  readonly plugins?: readonly string[];
  /** Of the server that gets what it takes. Default: it hands nothing on. */
  readonly relayPort?: number;
  /** Files of its configuration by name, such as `limit.ini`. */
  readonly config?: Readonly<Record<string, string>>;
}

export interface Haraka extends Contained {
  /** How many copies each recipient has, by address. */
  copies(): Promise<Map<string, number>>;
}

/** Why Haraka cannot run; null if it can. `packages`: the folder whose node_modules has it. */
export function harakaMissing(packages: string): string | null {
  const installed = existsSync(join(packages, 'node_modules/Haraka'));
  return installed ? null : 'its packages are not installed (npm run compat does that)';
}

export async function startHaraka(packages: string, options: HarakaOptions = {}): Promise<Haraka> {
  const { plugins = [], config = {}, relayPort } = options;
  const folder = await mkdtemp(join(tmpdir(), 'postlane-haraka-'));
  const haraka = join(packages, 'node_modules/Haraka');
  const port = await freePort();
  for (const name of ['config', 'plugins']) await mkdir(join(folder, name));
  await cp(join(haraka, 'config/connection.ini'), join(folder, 'config/connection.ini'));
  const files = {
    'smtp.ini': `listen=127.0.0.1:${port}\nnodes=0\ndaemonize=false\n`,
    plugins: [...plugins, 'postlane', ...(relayPort === undefined ? [] : ['queue/smtp_forward']), ''].join('\n'),
    'smtp_forward.ini': `host=127.0.0.1\nport=${relayPort ?? 25}\n`,
    me: 'haraka.test\n',
    ...config,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, 'config', name), text);
  await writeFile(join(folder, 'plugins/postlane.js'), plugin(relayPort !== undefined));
  const program = [process.execPath, join(haraka, 'bin/haraka'), '-c', folder];
  const server = await startServer({ name: 'Haraka', program, folder, port });
  return {
    ...server,
    async copies() {
      const copies = new Map<string, number>();
      const lines = (await readFile(join(folder, 'accepted'), 'utf8').catch(() => '')).split('\n');
      for (const address of lines.filter((line) => line !== '')) copies.set(address, (copies.get(address) ?? 0) + 1);
      return copies;
    },
  };
}
