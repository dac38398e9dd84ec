/** The `graph` block of a connector: its schema, and the transport's settings out of it. */
import { z } from 'zod';
import { clouds, graphTimeouts, type GraphSettings } from '../transport/graph/settings.ts';
import { buildIdentity, cloudNames, identityKeys } from './identity.ts';
import * as value from './values.ts';

const written = (ms: number): string => (ms % 60_000 === 0 ? `${ms / 60_000}m` : `${ms / 1000}s`);
const timeout = (ms: number, description: string) => value.duration(1).prefault(written(ms)).describe(description);

export const graph = z.strictObject({
  ...identityKeys,
  cloud: z.enum(cloudNames).default('global').describe('National cloud that the tenant is in.'),
  graphBaseUrl: value.httpsOrigin.optional().describe('Microsoft Graph, where it is not the one of `cloud`.'),
  authorityHost: value.httpsOrigin.optional().describe('Microsoft Entra, where it is not the one of `cloud`.'),
  mailbox: value.mailbox
    .optional()
    .describe(
      'Mailbox that everything is sent through; it needs Send As for other From addresses. Default: the From address of each message.',
    ),
  saveToSentItems: z
    .boolean()
    .default(true)
    .describe(
      'Keep copies in Sent Items. `false` holds for messages of up to 2 MB that are not `raw`, costs them header fields other than `X-`, and leaves doubt unverified.',
    ),
  tls: z
    .strictObject({
      ca: value.certificates
        .optional()
        .describe(
          'Private CAs that replace the public ones, for a proxy that looks into TLS: PEM text (normally `${file:ca.pem}`), or the path of a `.pem` or `.crt` file.',
        ),
    })
    .prefault({})
    .describe('How certificates are verified. They always are.'),
  timeouts: z
    .strictObject({
      token: timeout(graphTimeouts.tokenMs, 'Until Entra has given a token.'),
      request: timeout(
        graphTimeouts.requestMs,
        'One request to Graph with its answer. Shorter makes more messages uncertain.',
      ),
      upload: timeout(graphTimeouts.uploadMs, 'One large message with all its attachments.'),
      sentItems: timeout(
        graphTimeouts.sentItemsMs,
        'How late a copy may show in Sent Items. Until then, that none is there says nothing of an attempt without a result.',
      ),
    })
    .prefault({})
    .describe('How long things may take.'),
});

export function buildGraph(file: z.output<typeof graph>): GraphSettings {
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
    timeouts: {
      tokenMs: timeouts.token,
      requestMs: timeouts.request,
      uploadMs: timeouts.upload,
      sentItemsMs: timeouts.sentItems,
    },
  };
}
