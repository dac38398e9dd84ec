/** A private Exim that takes what its settings allow and hands it on to another server. */
import { chmod, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
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
  /** The same for the ACL after the message. */
  readonly data?: readonly string[];
  /** The same for the ACL for AUTH. */
  readonly auth?: readonly string[];
  /** Asks for a login with this name and with the password that the file has by then. */
  readonly login?: { readonly user: string; readonly passwordFile: string };
  /** Offers STARTTLS. */
  readonly tls?: { readonly key: string; readonly cert: string };
}

export interface Exim extends Contained {
  /** How many lines of its main log have this text. */
  logged(text: string): Promise<number>;
}

const indented = (lines: readonly string[]): string => lines.map((line) => `  ${line}`).join('\n');

const authenticator = ({ user, passwordFile }: { user: string; passwordFile: string }): string => `begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_set_id = $auth2
  server_condition = \${if and{{eq{$auth2}{${user}}}{eq{$auth3}{\${readfile{${passwordFile}}}}}}}`;

export async function startExim(options: EximOptions): Promise<Exim> {
  const { sinkPort, settings = [], rcpt = [], mail = [], data = [], auth = [], login, tls } = options;
  const unpacked = await unpackPackages(packages);
  const folder = await mkdtemp(join(tmpdir(), 'postlane-exim-'));
  await chmod(folder, 0o755);
  for (const name of ['spool', 'log']) {
    await mkdir(join(folder, name));
    await chmod(join(folder, name), 0o777);
  }
  const port = await freePort();
  if (tls !== undefined) {
    await writeFile(join(folder, 'tls.pem'), `${tls.key}\n${tls.cert}\n`, { mode: 0o644 });
  }
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
tls_advertise_hosts =${tls === undefined ? '' : ` *\ntls_certificate = ${folder}/tls.pem\ntls_privatekey = ${folder}/tls.pem`}
auth_advertise_hosts = *
host_lookup =
rfc1413_query_timeout = 0s
smtp_enforce_sync = true
smtputf8_advertise_hosts = *
# Each message is handed on at once, and not by the next run of the queue.
smtp_accept_queue_per_connection = 0
acl_smtp_mail = acl_mail
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
acl_smtp_auth = acl_auth
${settings.join('\n')}
begin acl
acl_mail:
${login === undefined ? '' : '  deny message = 530 5.7.0 Authentication required\n       !authenticated = *'}
${indented(mail)}
  accept
acl_rcpt:
${indented(rcpt)}
  accept
acl_data:
${indented(data)}
  accept
acl_auth:
${indented(auth)}
  accept
${login === undefined ? '' : authenticator(login)}
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
  const server = await startContained({
    packages: unpacked,
    folder,
    users: ['Debian-exim'],
    command: ['/usr/sbin/exim4', '-C', join(folder, 'exim.conf'), '-bdf', '-q1m'],
    port,
  });
  return {
    ...server,
    async logged(text) {
      const log = await readFile(join(folder, 'log/mainlog'), 'utf8').catch(() => '');
      return log.split('\n').filter((line) => line.includes(text)).length;
    },
  };
}
