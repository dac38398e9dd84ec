/** A private OpenSMTPD that hands on what it takes to another server. */
import { chmod, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../ports.ts';
import { startContained, type Contained } from './contained.ts';
import { unpackPackages } from './packages.ts';

export interface OpenSmtpdOptions {
  /** Port of the server that gets what OpenSMTPD takes. */
  readonly sinkPort: number;
  /** Lines of smtpd.conf, such as `smtp limit max-rcpt 30`. */
  readonly settings?: readonly string[];
}

export async function startOpenSmtpd({ sinkPort, settings = [] }: OpenSmtpdOptions): Promise<Contained> {
  const unpacked = await unpackPackages(['opensmtpd']);
  const folder = await mkdtemp(join(tmpdir(), 'postlane-opensmtpd-'));
  await chmod(folder, 0o755);
  const port = await freePort();
  const config = join(folder, 'smtpd.conf');
  const lines = [
    // Hands on as quickly as it takes.
    ...['host', 'route', 'source', 'connector', 'relay', 'domain'].map((what) => `mta limit conn-delay-${what} 0`),
    'mta limit reconn-delay-route 0',
    'mta limit session-mail-max 1000',
    `listen on 127.0.0.1 port ${port} hostname opensmtpd.test`,
    ...settings,
    `action "sink" relay host smtp://127.0.0.1:${sinkPort}`,
    'match from any for domain "refused.test" reject',
    'match from any for any action "sink"',
  ];
  await writeFile(config, `${lines.join('\n')}\n`, { mode: 0o644 });
  return startContained({
    packages: unpacked,
    folder,
    users: ['opensmtpd', 'opensmtpq'],
    emptyFolders: { '/var/spool': ['smtpd'], '/var/lib': ['opensmtpd/empty'], '/run': [] },
    command: ['/usr/sbin/smtpd', '-d', '-f', config],
    port,
  });
}
