/** A private Dovecot submission service: it logs the client in, and relays each command to another server while it answers. */
import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../ports.ts';
import { startContained, type Contained } from './contained.ts';
import { unpackPackages } from './packages.ts';

export const dovecotLogin = { user: 'sales@example.com', password: 'right' };

/** `relayPort`: of the server behind it. */
export async function startDovecot({ relayPort }: { readonly relayPort: number }): Promise<Contained> {
  const unpacked = await unpackPackages(['dovecot-core', 'dovecot-submissiond', 'libexttextcat-2.0-0']);
  const folder = await mkdtemp(join(tmpdir(), 'postlane-dovecot-'));
  await chmod(folder, 0o755);
  for (const name of ['run', 'state', 'home']) await mkdir(join(folder, name));
  await chmod(join(folder, 'home'), 0o777);
  const port = await freePort();
  const config = join(folder, 'dovecot.conf');
  await writeFile(
    config,
    `base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = /dev/stderr
protocols = submission
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
default_internal_user = dovecot
default_internal_group = dovecot
default_login_user = dovenull
mail_location = maildir:${folder}/home/mail
hostname = dovecot.test
submission_relay_host = 127.0.0.1
submission_relay_port = ${relayPort}
passdb {
  driver = static
  args = password=${dovecotLogin.password}
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=${folder}/home
}
service submission-login {
  chroot =
  inet_listener submission {
    port = ${port}
  }
}
service anvil {
  chroot =
}
`,
  );
  return startContained({
    packages: unpacked,
    folder,
    users: ['dovecot', 'dovenull'],
    command: ['/usr/sbin/dovecot', '-F', '-c', config],
    port,
  });
}
