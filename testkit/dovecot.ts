/**
 * Starts a private Dovecot with an IMAP mailbox: its own configuration, files and ports under a temporary folder. Debian's package is enough:
 * `apt-get install dovecot-imapd`.
 */
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCertificates } from './certificates.ts';
import { startGuarded } from './guarded.ts';
import { freePort, greets } from './ports.ts';
import { until } from './until.ts';

export const dovecotUser = { user: 'sales@example.com', password: 'right' };

export interface Dovecot {
  /** On 127.0.0.1: TLS from the first byte, and STARTTLS. */
  readonly ports: { readonly tls: number; readonly starttls: number };
  /** PEM of the CA that signed its certificate. */
  readonly ca: string;
  /** Puts mails into the INBOX, in this order, without IMAP: thousands take a second. */
  deliver(mails: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

const program = '/usr/sbin/dovecot';
const startTimeoutMs = 60_000;
const owner = { uid: 65_534, gid: 65_534 };

/** Why Dovecot cannot run here; null if it can. */
export function dovecotMissing(): string | null {
  if (!existsSync(program) || !existsSync('/usr/lib/dovecot/imap')) {
    return `${program} with IMAP is missing (Debian: apt-get install dovecot-imapd)`;
  }
  return process.getuid?.() === 0 ? null : 'Dovecot must be started as root';
}

/** `introspectionUrl`: where it asks about access tokens (RFC 7662), which it then takes for a login (XOAUTH2). Default: passwords alone. */
export async function startDovecot(introspectionUrl: string | null = null): Promise<Dovecot> {
  const folder = await mkdtemp(join(tmpdir(), 'postlane-imap-'));
  await chmod(folder, 0o755);
  for (const name of ['run', 'state', 'home']) await mkdir(join(folder, name));
  await chown(join(folder, 'home'), owner.uid, owner.gid);
  const { ca, server } = await createCertificates();
  await writeFile(join(folder, 'cert.pem'), server.cert);
  await writeFile(join(folder, 'key.pem'), server.key, { mode: 0o600 });
  const ports = { tls: await freePort(), starttls: await freePort() };
  const config = join(folder, 'dovecot.conf');
  await writeFile(config, configuration(folder, ports) + (introspectionUrl === null ? '' : oauth2(folder)));
  if (introspectionUrl !== null) await writeFile(join(folder, 'oauth2.conf'), introspection(introspectionUrl));
  const guarded = await startGuarded([program, '-F', '-c', config], { folder });
  const stop = async (): Promise<void> => {
    await guarded.end();
    await rm(folder, { recursive: true, force: true });
  };
  const ready = async (): Promise<boolean> => !guarded.running() || greets(ports.starttls);
  const started = await until(ready, { what: 'Dovecot to greet', timeoutMs: startTimeoutMs }).catch(() => false);
  if (!started || !guarded.running()) {
    const logged = guarded.stderr();
    await stop();
    throw new Error(`Dovecot did not start: ${logged.slice(-2_000)}`);
  }
  let delivered = 0;
  const deliver = async (mails: readonly string[]): Promise<void> => {
    const inbox = join(folder, 'home/mail/new');
    await mkdir(inbox, { recursive: true });
    for (const mail of mails) {
      delivered += 1;
      // Dovecot numbers them in the order of their names.
      await writeFile(
        join(inbox, `${Math.floor(Date.now() / 1_000)}.M${String(delivered).padStart(6, '0')}.host`),
        mail,
      );
    }
    for (const name of ['', '/new', '/cur', '/tmp']) {
      const path = join(folder, `home/mail${name}`);
      await mkdir(path, { recursive: true });
      await chown(path, owner.uid, owner.gid);
    }
  };
  return { ports, ca, deliver, stop };
}

function configuration(folder: string, { tls, starttls }: Dovecot['ports']): string {
  return `base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = /dev/stderr
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <${folder}/cert.pem
ssl_key = <${folder}/key.pem
auth_mechanisms = plain login
mail_location = maildir:${folder}/home/mail
mail_max_userip_connections = 100
first_valid_uid = ${owner.uid}
passdb {
  driver = static
  args = password=${dovecotUser.password}
}
userdb {
  driver = static
  args = uid=${owner.uid} gid=${owner.gid} home=${folder}/home
}
service imap-login {
  chroot =
  inet_listener imap {
    port = ${starttls}
  }
  inet_listener imaps {
    port = ${tls}
    ssl = yes
  }
}
service anvil {
  chroot =
}
`;
}

/** Settings that come later replace those before. */
function oauth2(folder: string): string {
  return `auth_mechanisms = xoauth2
passdb {
  driver = oauth2
  mechanisms = xoauth2
  args = ${folder}/oauth2.conf
}
`;
}

function introspection(url: string): string {
  return `introspection_url = ${url}
introspection_mode = post
active_attribute = active
active_value = true
username_attribute = username
`;
}
