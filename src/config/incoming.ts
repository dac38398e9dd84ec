/** The `incoming` section of a connector: its schema, and the settings it becomes. */
import { z } from 'zod';
import type { ProxyRoute } from '../transport/proxy.ts';
import type { IncomingSettings } from './config.ts';
import { buildOAuth, oauth2 } from './oauth.ts';
import * as value from './values.ts';

export const incoming = z.strictObject({
  protocol: z.enum(['imap', 'pop3']).describe('Protocol of the mailbox server.'),
  host: value.host.describe('Mailbox server.'),
  port: value.port
    .optional()
    .describe('Port. Default: 993 for `imap` and 995 for `pop3`; with `security: starttls`, 143 and 110.'),
  security: z
    .enum(['tls', 'starttls'])
    .optional()
    .describe(
      '`tls`: TLS from the first byte (default). `starttls`: STARTTLS, required (default at ports 143 and 110).',
    ),
  user: value.text.describe('User name. The connector’s SMTP session uses it too.'),
  password: value.secret
    .optional()
    .describe('Password for both, normally a reference. Required unless `oauth2` is set.'),
  oauth2: oauth2.optional().describe('Logs in with an access token (XOAUTH2) instead of a password, also by SMTP.'),
  tls: value.serverTls,
});

const ports = { imap: { tls: 993, starttls: 143 }, pop3: { tls: 995, starttls: 110 } } as const;

export function buildIncoming(file: z.output<typeof incoming>, route: ProxyRoute | null): IncomingSettings {
  const { protocol, host, user, password = '' } = file;
  const security = file.security ?? (file.port === 143 || file.port === 110 ? 'starttls' : 'tls');
  return {
    protocol,
    host,
    port: file.port ?? ports[protocol][security],
    security,
    auth: file.oauth2 === undefined ? { user, password } : { user, oauth2: buildOAuth(file.oauth2, route) },
    tls: { ca: file.tls.ca ?? null, servername: file.tls.servername ?? null },
    proxy: route,
  };
}
