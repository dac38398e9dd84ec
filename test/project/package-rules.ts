/** Which files may import which package of npm: each is used where its reason is, and nowhere else. */

export interface PackageRule {
  /** Paths whose files may import the package. */
  readonly values: readonly string[];
  /** Paths whose files may import its types: they are handed a connection, and never make one. */
  readonly types?: readonly string[];
}

/** Package → the paths that may import it. A package that is not listed is open to no file: adding one is a decision. */
export const packages: Readonly<Record<string, PackageRule>> = {
  // A queue library is replaced, or upgraded, where it is used; the fewer places, the better.
  bullmq: {
    values: ['src/queue/bullmq/', 'src/worker/'],
    types: ['src/queue/', 'src/producer/', 'src/admin/'],
  },
  // Connections are made in one place, with one set of reasons for their options.
  ioredis: { values: ['src/queue/redis/'], types: ['src/queue/', 'src/producer/', 'src/worker/', 'src/admin/'] },
  // MIME in, SMTP out; no other room handles the bytes of a mail.
  nodemailer: { values: ['src/message/', 'src/transport/smtp/', 'src/transport/graph/'], types: ['src/nodemailer/'] },
  // MIME of strangers, split within bounds; nothing else takes mail apart that is not ours.
  '@zone-eu/mailsplit': { values: ['src/bounces/', 'src/transport/graph/'], types: ['src/message/'] },
  // IMAP, for the mailboxes that reports come to.
  imapflow: { values: ['src/bounces/'] },
  // Tokens and Graph belong to the transport, each to its wing.
  '@azure/identity': { values: ['src/transport/oauth/'] },
  '@microsoft/microsoft-graph-client': { values: ['src/transport/graph/'] },
  // Schemas are where foreign data comes in: messages and the configuration file.
  zod: { values: ['src/message/', 'src/config/', 'src/http/api/'] },
  yaml: { values: ['src/config/'] },
  // Rooms report events; only the subscriber of the events, and what creates it, know the logger.
  'smtp-server': { values: ['src/submission/'] },
  // The database of an application, where it is relayed; who has no outbox needs no driver.
  pg: { values: ['src/outbox/'] },
  pino: { values: ['src/observability/', 'src/cli/'] },
  // One room has the registry; the others report events.
  '@prometheus-io/client': { values: ['src/metrics/'] },
  // One room answers HTTP; its handlers know neither.
  hono: { values: ['src/http/'] },
  '@hono/node-server': { values: ['src/http/'] },
  commander: { values: ['src/cli/'] },
  // What is traced is said in words of ours; without an SDK, the package does nothing.
  '@opentelemetry/api': { values: ['src/tracing/'] },
};
