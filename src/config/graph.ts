/** The `graph` section of a connector: its schema, and how it becomes the transport's settings. */
import { z } from 'zod';
import { clouds, graphTimeouts, type GraphSettings } from '../transport/graph/settings.ts';
import type { ProxyRoute } from '../transport/proxy.ts';
import { buildIdentity, cloudNames, identityKeys } from './identity.ts';
import * as value from './values.ts';

const written = (ms: number): string => (ms % 60_000 === 0 ? `${ms / 60_000}m` : `${ms / 1000}s`);
const timeout = (ms: number, description: string) => value.duration(1).prefault(written(ms)).describe(description);

export const graph = z.strictObject({
  ...identityKeys,
  cloud: z.enum(cloudNames).default('global').describe('National cloud of the tenant.'),
  graphBaseUrl: value.httpsOrigin.optional().describe('Microsoft Graph endpoint, if not that of `cloud`.'),
  authorityHost: value.httpsOrigin.optional().describe('Microsoft Entra endpoint, if not that of `cloud`.'),
  mailbox: value.mailbox
    .optional()
    .describe(
      'Mailbox that sends every message; it needs Send As for other From addresses. Default: the From address of each message.',
    ),
  saveToSentItems: z
    .boolean()
    .default(true)
    .describe(
      'Keeps copies in Sent Items. `false` applies to messages of up to 2,240 KB that are not `raw`; they lose most header fields, and an unknown result cannot be verified.',
    ),
  tls: z
    .strictObject({
      ca: value.certificates
        .optional()
        .describe(
          'Private CAs instead of the public ones, for a proxy that inspects TLS: PEM text (normally `${file:ca.pem}`), or the path of a `.pem` or `.crt` file.',
        ),
    })
    .prefault({})
    .describe('How certificates are verified. Verification cannot be turned off.'),
  timeouts: z
    .strictObject({
      token: timeout(graphTimeouts.tokenMs, 'Until Entra has issued a token.'),
      request: timeout(
        graphTimeouts.requestMs,
        'One request to Graph, with its response. A shorter time makes more messages uncertain.',
      ),
      upload: timeout(graphTimeouts.uploadMs, 'One large message with all its attachments.'),
      sentItems: timeout(
        graphTimeouts.sentItemsMs,
        'How late a copy may appear in Sent Items. Until then, a missing copy does not mean that the message was not sent.',
      ),
    })
    .prefault({})
    .describe('How long each step may take.'),
});

export function buildGraph(file: z.output<typeof graph>, route: ProxyRoute | null): GraphSettings {
  const { cloud, mailbox, saveToSentItems, tls, timeouts } = file;
  return {
    ...buildIdentity(file),
    cloud: {
      graphBaseUrl: file.graphBaseUrl ?? clouds[cloud].graphBaseUrl,
      authorityHost: file.authorityHost ?? clouds[cloud].authorityHost,
    },
    mailbox: mailbox?.address ?? null,
    saveToSentItems,
    tls: { ca: tls.ca ?? null },
    proxy: route,
    timeouts: {
      tokenMs: timeouts.token,
      requestMs: timeouts.request,
      uploadMs: timeouts.upload,
      sentItemsMs: timeouts.sentItems,
    },
  };
}
