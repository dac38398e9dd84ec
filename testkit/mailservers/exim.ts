/** A private Exim that takes what its settings allow and hands it on to another server. */
import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../ports.ts';
import { startContained, type Contained } from './contained.ts';
import { unpackPackages } from './packages.ts';

const packages = ['exim4-daemon-light', 'exim4-base', 'libidn12'];

export interface EximOptions {
  /** Port of the server that gets what Exim takes. */
  readonly sinkPort: number;
  /** Main options, such as `recipients_max = 30`. */
  readonly settings?: readonly string[];
  /** Statements of the ACL for RCPT, before the last one, which accepts. */
  readonly rcpt?: readonly string[];
  /** The same for the ACL for MAIL. */
  readonly mail?: readonly string[];
}

export async function startExim({ sinkPort, settings = [], rcpt = [], mail = [] }: EximOptions): Promise<Contained> {
  const unpacked = await unpackPackages(packages);
  const folder = await mkdtemp(join(tmpdir(), 'postlane-exim-'));
  await chmod(folder, 0o755);
  for (const name of ['spool', 'log']) {
    await mkdir(join(folder, name));
    await chmod(join(folder, name), 0o777);
  }
  const port = await freePort();
  await writeFile(
    join(folder, 'exim.conf'),
    `exim_user = nobody
exim_group = nogroup
never_users =
spool_directory = ${folder}/spool
log_file_path = ${folder}/log/%slog
pid_file_path = ${folder}/pid
primary_hostname = exim.test
daemon_smtp_ports = ${port}
local_interfaces = 127.0.0.1
tls_advertise_hosts =
host_lookup =
rfc1413_query_timeout = 0s
smtp_enforce_sync = true
smtputf8_advertise_hosts = *
acl_smtp_mail = acl_mail
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
${settings.join('\n')}
begin acl
acl_mail:
${mail.map((line) => `  ${line}`).join('\n')}
  accept
acl_rcpt:
${rcpt.map((line) => `  ${line}`).join('\n')}
  accept
acl_data:
  accept
begin routers
all:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = sink
begin transports
sink:
  driver = smtp
  port = ${sinkPort}
  hosts_avoid_tls = *
`,
  );
  return startContained({
    packages: unpacked,
    folder,
    users: ['Debian-exim'],
    command: ['/usr/sbin/exim4', '-C', join(folder, 'exim.conf'), '-bdf', '-q1m'],
    port,
  });
}
