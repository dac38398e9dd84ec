/**
 * A private Postfix for tests: its own configuration, queue and ports under a temporary directory; nothing of the
 * system's is read or changed. It relays all it accepts to a scripted server, where a test reads it back byte for byte.
 *
 * Three doors: `gateway` (no login, as inside a network), `submission` (STARTTLS and login), `smtps` (implicit TLS and login).
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KeyAndCertificate } from './server-certificates.ts';
import { startSmtpServer, type SmtpServer } from './smtp/server.ts';
import { until } from './until.ts';

export interface Postfix {
  readonly ports: { readonly gateway: number; readonly submission: number; readonly smtps: number };
  /** Where Postfix hands on what it took. */
  readonly sink: SmtpServer;
  /** What Postfix has logged, for the message of a failing test. */
  log(): string;
  stop(): Promise<void>;
}

/** May send as sales@example.com, but not as ceo@example.com. */
export const login = { user: 'relay', password: 'correct horse' };
const realm = 'postfix.test';

/** Why it cannot run here; null if it can. */
export function postfixMissing(): string | null {
  if (process.getuid?.() !== 0) return 'Postfix is not tested: it must be started as root';
  for (const file of ['/usr/sbin/postfix', '/usr/sbin/saslpasswd2']) {
    if (!existsSync(file)) return `Postfix is not tested: ${file} is missing`;
  }
  return null;
}

export async function startPostfix(certificate: KeyAndCertificate): Promise<Postfix> {
  const root = await mkdtemp(join(tmpdir(), 'postlane-postfix-'));
  // Postfix' own processes drop root, and must reach their files.
  await chmod(root, 0o755);
  const sink = await startSmtpServer();
  const [gateway, submission, smtps] = [await freePort(), await freePort(), await freePort()];
  const uid = idOf('-u');
  const gid = idOf('-g');
  for (const folder of ['config', 'config/sasl', 'queue', 'data']) await mkdir(join(root, folder));
  await chown(join(root, 'data'), uid, gid);
  await writeFile(join(root, 'key.pem'), certificate.key, { mode: 0o600 });
  await writeFile(join(root, 'cert.pem'), certificate.cert);
  await writeFile(join(root, 'config/main.cf'), mainCf(root, sink.port));
  await writeFile(join(root, 'config/master.cf'), masterCf({ gateway, submission, smtps }));
  await writeFile(join(root, 'config/sasl/smtpd.conf'), saslConf(root));
  run('/usr/sbin/saslpasswd2', ['-p', '-c', '-f', join(root, 'sasldb2'), '-u', realm, login.user], login.password);
  await chown(join(root, 'sasldb2'), uid, gid);

  const master = spawn('/usr/sbin/postfix', ['-c', join(root, 'config'), 'start-fg'], { stdio: 'ignore' });
  const log = (): string => (existsSync(join(root, 'log')) ? readFileSync(join(root, 'log'), 'utf8') : '');
  const ended = new Promise<void>((resolve) => master.once('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    // Postfix' own stop: it waits for its processes, and knows which are its.
    spawnSync('/usr/sbin/postfix', ['-c', join(root, 'config'), 'stop'], { timeout: 10_000 });
    if (master.exitCode === null) master.kill('SIGTERM');
    await ended;
    await sink.stop();
    await rm(root, { recursive: true, force: true });
  };
  try {
    await until(() => alive(master) && greets(gateway), { what: 'Postfix to greet', timeoutMs: 20_000 });
  } catch (error) {
    const told = log();
    await stop();
    throw new Error(`Postfix did not start: ${told}`, { cause: error });
  }
  return { ports: { gateway, submission, smtps }, sink, log, stop };
}

function mainCf(root: string, sinkPort: number): string {
  return `compatibility_level = 3.6
queue_directory = ${root}/queue
data_directory = ${root}/data
maillog_file = ${root}/log
maillog_file_prefixes = ${root}
myhostname = ${realm}
mydestination =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_dns_support_level = disabled
smtp_host_lookup = native
relayhost = [127.0.0.1]:${sinkPort}
default_database_type = texthash
message_size_limit = 5000000
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_tls_cert_file = ${root}/cert.pem
smtpd_tls_key_file = ${root}/key.pem
smtpd_tls_auth_only = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = ${root}/config/sasl
smtpd_sasl_local_domain = ${realm}
smtpd_sender_login_maps = inline:{ sales@example.com=${login.user}@${realm}, ceo@example.com=ceo@${realm} }
smtpd_recipient_restrictions = check_recipient_access inline:{ gone@example.net=REJECT, later@example.net=DEFER }
smtputf8_enable = yes
`;
}

function masterCf(ports: { gateway: number; submission: number; smtps: number }): string {
  const loggedIn = `
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o smtpd_sender_restrictions=reject_sender_login_mismatch`;
  return `127.0.0.1:${ports.gateway} inet n - n - - smtpd
127.0.0.1:${ports.submission} inet n - n - - smtpd${loggedIn}
  -o smtpd_tls_security_level=encrypt
127.0.0.1:${ports.smtps} inet n - n - - smtpd${loggedIn}
  -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
postlog unix-dgram n - n - 1 postlogd
`;
}

/** Debian's Postfix looks for it in `sasl` beside main.cf, whatever cyrus_sasl_config_path says; others heed the setting. */
function saslConf(root: string): string {
  return `pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: ${root}/sasldb2\nmech_list: PLAIN LOGIN\n`;
}

function run(command: string, args: readonly string[], input: string): string {
  const done = spawnSync(command, args, { input, encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`${command}: ${done.stderr}`);
  return done.stdout;
}

function idOf(which: '-u' | '-g'): number {
  return Number(run('/usr/bin/id', [which, 'postfix'], ''));
}

function alive(child: ChildProcess): boolean {
  if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
  return true;
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('data', (chunk) => {
      socket.end('QUIT\r\n');
      resolve(chunk.toString().startsWith('220'));
    });
    socket.once('error', () => resolve(false));
    socket.setTimeout(5_000, () => socket.destroy());
  });
}
