/** Writes the configuration of the quick start: a real postlane.yaml, and beside it the CA and the secrets that it refers to. */
import { createHash } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemName } from './content.ts';
import { senders } from './people.ts';
import type { ServerPlan, Servers } from './servers.ts';

/** Of the token that may do everything. */
export const tokenId = 'quickstart';

/** → the path of the file. `directory` is the quick start's own; only this user can read it. */
export function writeConfiguration(
  directory: string,
  redis: { readonly url: string; readonly prefix: string },
  plans: readonly ServerPlan[],
  { ca, ports, graph }: Pick<Servers, 'ca' | 'ports' | 'graph'>,
  api: { readonly port: number; readonly token: string },
): string {
  const file = join(directory, 'postlane.yaml');
  writeFileSync(join(directory, 'ca.pem'), ca);
  writeFileSync(join(directory, 'graph-ca.pem'), graph.ca);
  for (const { connector, login } of plans) {
    if (login === null) continue;
    const secret = join(directory, `${connector}.password`);
    writeFileSync(secret, `${login.password}\n`);
    chmodSync(secret, 0o600);
  }
  const port = (connector: string): number => ports.get(connector) ?? 25;
  const { sales, support, archive, system } = senders;
  const clientId = plans.find(({ connector }) => connector === 'support')?.login?.user ?? '';
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

  # A mailbox in Microsoft 365, here a fake one. With a real tenant: no cloud of one's own, no CA, and
  # limits: { preset: exchange-online }, which paces 30 messages a minute.
  support:
    address: ${support.address}
    direction: outgoing
    graph:
      tenantId: ${graph.tenantId}
      clientId: ${clientId}
      credential: { clientSecret: "\${file:support.password}" }
      graphBaseUrl: ${graph.graphBaseUrl}
      authorityHost: ${graph.authorityHost}
      tls: { ca: graph-ca.pem }
    retry: { firstDelay: 1s }

  # Only receives, so it is passed over.
  archive:
    address: ${archive.address}
    direction: incoming
    incoming: { protocol: pop3, host: pop.example.com, port: 995, user: archive, password: "\${file:finance.password}" }

# The HTTP API of the worker process, and who may use it; "postlane token new" makes such an entry.
api:
  listen: 127.0.0.1:${api.port}
  tokens:
    - { id: ${tokenId}, sha256: ${createHash('sha256').update(api.token).digest('hex')}, scopes: [admin] }

# One process, a few seconds.
worker: { drain: 5s }
`,
  );
  return file;
}
