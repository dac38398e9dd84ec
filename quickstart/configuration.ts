/** Writes the configuration of the quick start: a real postlane.yaml, with the CA and the secrets that it refers to beside it. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemName } from './content.ts';
import { senders } from './people.ts';
import type { ServerPlan, Servers } from './servers.ts';

/** → the path of the file. `directory` is the quick start's own; only this user can read it. */
export function writeConfiguration(
  directory: string,
  redis: { readonly url: string; readonly prefix: string },
  plans: readonly ServerPlan[],
  { ca, ports }: Pick<Servers, 'ca' | 'ports'>,
): string {
  const file = join(directory, 'postlane.yaml');
  writeFileSync(join(directory, 'ca.pem'), ca);
  for (const { connector, login } of plans) {
    if (login === null) continue;
    const secret = join(directory, `${connector}.password`);
    writeFileSync(secret, `${login.password}\n`);
    chmodSync(secret, 0o600);
  }
  const port = (connector: string): number => ports.get(connector) ?? 25;
  const { sales, archive, system } = senders;
  writeFileSync(
    file,
    `# Written by the quick start. docs/configuration.md explains every key.
redis: { url: "${redis.url}", prefix: "${redis.prefix}" }
hostname: mail.example.com
# Sends whatever no other connector matches.
systemDefaultGateway: relay
# From of messages that name none.
unmonitoredAddress: "${systemName} <${system.address}>"

connectors:
  # A gateway inside the network: no login, relays for every From.
  relay:
    direction: outgoing
    smtp: { host: 127.0.0.1, port: ${port('relay')}, security: none }

  # A submission server with a login, over STARTTLS, behind a private CA.
  sales:
    address: ${sales.address}
    direction: outgoing
    smtp:
      host: localhost
      port: ${port('sales')}
      security: starttls
      auth: { user: sales, password: "\${file:sales.password}" }
      tls: { ca: ca.pem }

  # A mailbox: one address and all of a domain; the SMTP session uses the mailbox's login, over TLS.
  finance:
    addresses: [finance@example.com, "*@billing.example.com"]
    direction: both
    incoming: { protocol: imap, host: imap.example.com, port: 993, user: finance, password: "\${file:finance.password}" }
    smtp: { host: localhost, port: ${port('finance')}, security: tls, tls: { ca: ca.pem } }

  # An internationalised domain.
  shop:
    addresses: ["*@bücher.example.org"]
    direction: outgoing
    smtp: { host: 127.0.0.1, port: ${port('shop')}, security: none }
    limits: { concurrency: 2 }

  # Only receives, so it is passed over.
  archive:
    address: ${archive.address}
    direction: incoming
    incoming: { protocol: pop3, host: pop.example.com, port: 995, user: archive, password: "\${file:finance.password}" }

# One process, a few seconds.
worker: { drain: 5s }
`,
  );
  return file;
}
