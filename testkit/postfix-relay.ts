/**
 * A private Postfix that relays everything to a scripted server, where it can be read back byte for byte. Three
 * listeners: `gateway` (no login, as inside a network), `submission` (STARTTLS and login), `smtps` (implicit TLS and login).
 */
import { spawnSync } from 'node:child_process';
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyAndCertificate } from './certificates.ts';
import { postfixMissing, startPostfix } from './postfix.ts';
import { startSmtpServer, type SmtpServer } from './smtp/server.ts';

export interface PostfixRelay {
  readonly ports: { readonly gateway: number; readonly submission: number; readonly smtps: number };
  /** The server to which Postfix hands on every message. */
  readonly sink: SmtpServer;
  stop(): Promise<void>;
}

/** May send as sales@example.com, but not as ceo@example.com. */
export const login = { user: 'relay', password: 'correct horse' };

const realm = 'postfix.test';
const saslpasswd = '/usr/sbin/saslpasswd2';

/** Why it cannot run here; null if it can. */
export function postfixRelayMissing(): string | null {
  return postfixMissing([saslpasswd]);
}

export async function startPostfixRelay(certificate: KeyAndCertificate): Promise<PostfixRelay> {
  const sink = await startSmtpServer();
  const loggedIn = [
    'smtpd_sasl_auth_enable=yes',
    'smtpd_client_restrictions=permit_sasl_authenticated,reject',
    'smtpd_relay_restrictions=permit_sasl_authenticated,reject',
    'smtpd_sender_restrictions=reject_sender_login_mismatch',
  ];
  try {
    const postfix = await startPostfix({
      settings: (folder) => settings(folder, sink.port),
      listeners: {
        gateway: [],
        submission: [...loggedIn, 'smtpd_tls_security_level=encrypt'],
        smtps: [...loggedIn, 'smtpd_tls_wrappermode=yes'],
      },
      async prepare(folder, { uid, gid }) {
        await writeFile(join(folder, 'key.pem'), certificate.key, { mode: 0o600 });
        await writeFile(join(folder, 'cert.pem'), certificate.cert);
        // Debian's Postfix looks for it in `sasl` beside main.cf, whatever cyrus_sasl_config_path says; others heed the setting.
        await mkdir(join(folder, 'config/sasl'));
        await writeFile(join(folder, 'config/sasl/smtpd.conf'), saslConf(folder));
        addLogin(join(folder, 'sasldb2'));
        await chown(join(folder, 'sasldb2'), uid, gid);
      },
    });
    const { gateway = 0, submission = 0, smtps = 0 } = postfix.ports;
    return {
      ports: { gateway, submission, smtps },
      sink,
      async stop() {
        await postfix.stop();
        await sink.stop();
      },
    };
  } catch (error) {
    await sink.stop();
    throw error;
  }
}

function settings(folder: string, sinkPort: number): string[] {
  return [
    `myhostname = ${realm}`,
    `relayhost = [127.0.0.1]:${sinkPort}`,
    'message_size_limit = 5000000',
    'smtputf8_enable = yes',
    `smtpd_tls_cert_file = ${folder}/cert.pem`,
    `smtpd_tls_key_file = ${folder}/key.pem`,
    'smtpd_tls_auth_only = yes',
    'smtpd_sasl_type = cyrus',
    'smtpd_sasl_path = smtpd',
    `cyrus_sasl_config_path = ${folder}/config/sasl`,
    `smtpd_sasl_local_domain = ${realm}`,
    `smtpd_sender_login_maps = inline:{ sales@example.com=${login.user}@${realm}, ceo@example.com=ceo@${realm} }`,
    'smtpd_recipient_restrictions = check_recipient_access inline:{ gone@example.net=REJECT, later@example.net=DEFER }',
  ];
}

function saslConf(folder: string): string {
  return `pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: ${folder}/sasldb2\nmech_list: PLAIN LOGIN\n`;
}

function addLogin(file: string): void {
  const args = ['-p', '-c', '-f', file, '-u', realm, login.user];
  const { status, stderr } = spawnSync(saslpasswd, args, { input: login.password, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${saslpasswd}: ${stderr}`);
}
