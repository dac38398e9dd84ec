/** Owns the rules of the architecture as data: rooms, wings, doors. Packages are in package-rules.ts. The reason stands beside each rule. */

export interface Room {
  /** The rooms that it may import. `errors.ts` is open to all. */
  readonly imports: readonly string[];
  /** Files of higher rooms whose types, not values, it may import. */
  readonly types?: readonly string[];
  /** The files that other rooms may import. Without a list: `<room>/<room>.ts`. */
  readonly doors?: readonly string[];
  /**
   * The inside of a large room, from top to bottom. A wing is a folder or a file; `*` stands for the files that have no line
   * of their own. A wing imports what is below it, and never its neighbours on the same floor.
   */
  readonly floors?: readonly (readonly string[])[];
}

const foundation = ['message', 'async', 'tracing', 'sealing'];
const parts = ['queue', 'routing', 'transport', ...foundation];
/** What the rooms of an entry to Postlane (HTTP, SMTP submission, webhooks) stand on. */
const entry = ['producer', 'admin', 'observability', 'config', ...parts];

/** What rooms report. */
const eventTypes = ['worker', 'submission', 'bounces', 'outbox'].map((room) => `src/${room}/events.ts`);
const processEvents = 'src/observability/process-events.ts';
/** The rooms that are one. */
const entries = ['http', 'submission', 'webhooks', 'outbox', 'bounces'];

/** Every room of src. Imports go one way, so that a room can be understood, and tested, with what is below it alone. */
export const rooms: Readonly<Record<string, Room>> = {
  // Codes and their meaning: open to all, so it depends on nothing.
  'errors.ts': { imports: [] },
  // Races, waits and limits of promises: used everywhere, so it knows nothing. All of it is a door.
  async: { imports: [], doors: ['*'] },
  // Spans and contexts of OpenTelemetry: a message has them in every room that it passes, and the package is known here alone.
  tracing: { imports: [], doors: ['*'] },
  sealing: { imports: [], doors: ['*'] }, // Producers, workers and the configuration need it, so it knows none of them.
  // What a mail is does not depend on what moves it. Encodings and header lines are its own business.
  message: {
    imports: [],
    doors: [
      'address.ts',
      'bounds.ts',
      'compose.ts',
      'content.ts',
      'control-bytes.ts',
      'dkim.ts',
      'encoded-words.ts',
      'estimate.ts',
      'header-block.ts',
      'identity.ts',
      'message.ts',
      'original-to.ts',
      'outbound.ts',
      'part-content.ts',
      'raw.ts',
      'return-path.ts',
      'schema.ts',
      'transfer.ts',
    ],
  },
  // Routing knows ids and addresses, not sockets or Redis: it stays pure and answers in microseconds.
  routing: { imports: ['message'], doors: ['connector.ts', 'fallback.ts', 'resolve.ts', 'table.ts'] },
  // A transport knows sockets, not queues: the CLI's `check` and a library user can use one without Redis. One protocol never imports
  // another: what both need stands below both. The contract is at the bottom, and imports none of them.
  transport: {
    imports: foundation,
    doors: [
      'transport.ts',
      'registry.ts',
      'recording.ts',
      'transport-contract.ts',
      'smtp/smtp.ts',
      'smtp/settings.ts',
      'smtp/reply-rules.ts',
      'smtp/lease-provider.ts',
      'graph/graph.ts',
      // What `send` refuses before it enqueues, without the SDK.
      'graph/large.ts',
      'graph/settings.ts',
      'oauth/settings.ts',
      // Logs in at mailboxes, too.
      'oauth/login-tokens.ts',
      // Reads a mailbox.
      'graph/inbox.ts',
      'error-type.ts',
      'mask.ts',
      // Ways out of the network, for SMTP, Graph and mailboxes alike.
      'proxy.ts',
      'tunnel.ts',
      'server-identity.ts',
      'socket-fault.ts',
    ],
    floors: [['smtp', 'graph'], ['oauth'], ['*'], ['transport.ts']],
  },
  // The wire knows neither connectors nor protocols: producers load it, and must not load SMTP with it. open.ts hands out everything; the
  // other doors have the types of what it hands out, and the names of queues. The doctor repairs with scripts of its own, so the loader of
  // scripts is a door. Our scripts, BullMQ's internals and the locations of rows stay inside.
  queue: {
    imports: foundation,
    doors: [
      'open.ts',
      'jobs.ts',
      // What a producer and an operator ask about memory.
      'room.ts',
      // What an application and an operator do to a message that waits.
      'waiting.ts',
      // What metrics ask of Redis as a whole.
      'fleet.ts',
      // Keys and rates of callers.
      'callers.ts',
      'submissions.ts',
      // Signs sessions of the dashboard, and return paths.
      'secret-key.ts',
      // Who reads a mailbox, and how far it was read.
      'mailboxes.ts',
      'lanes/survey.ts',
      'search/search.ts',
      'journal/events.ts',
      // What is sent to webhooks, and how it stands with them.
      'deliveries/deliveries.ts',
      'journal/stats.ts',
      'journal/index-entries.ts',
      'ledger/ledger.ts',
      'stored-bodies.ts',
      'suppressions.ts',
      'ledger/bounces.ts',
      'ledger/dead-letters.ts',
      'ledger/letter-pages.ts',
      'ledger/content.ts',
      'lanes/lanes.ts',
      'lanes/lane-worker.ts',
      'lanes/intake.ts',
      'lanes/attribution.ts',
      'lanes/limits.ts',
      'lanes/status.ts',
      'lanes/quota.ts',
      'lanes/snapshot.ts',
      'lanes/pause.ts',
      'lanes/wait-reasons.ts',
      'sessions/leases.ts',
      'bullmq/job-reader.ts',
      'redis/connection.ts',
      'redis/durability.ts',
      'redis/settings.ts',
      'redis/shards.ts',
      'redis/keys.ts',
      'redis/replication.ts',
      'lua/script.ts',
    ],
    floors: [
      ['open.ts'],
      ['waiting.ts'],
      // With what callers, mailboxes and others share, each in a file of its own.
      ['lanes', 'search', 'deliveries', '*'],
      ['ledger'],
      // What the scripts write beside a message's state: index, events and counters.
      ['bullmq', 'sessions', 'journal'],
      ['jobs.ts'],
      ['lua', 'sealed.ts'],
      ['redis'],
    ],
  },
  // Applications embed the producer: it knows messages and Redis, and never which connector will send.
  // What goes by way of a database is validated as `send` does it, without a producer.
  producer: { imports: ['queue', ...foundation], doors: ['producer.ts', 'recording.ts', 'accept.ts'] },
  // The life cycle is on top; below it stands what works on one message, and at the bottom what it reports.
  worker: {
    imports: parts,
    doors: ['worker.ts', 'events.ts', 'settings.ts', 'vitals.ts'],
    floors: [
      ['worker.ts'],
      ['parts.ts'],
      ['connections.ts', 'lane-workers.ts', 'straight.ts', 'maintenance', 'failover', 'vitals.ts'],
      ['router.ts', 'lane-processor.ts'],
      ['intruders.ts', 'lane-pause.ts'],
      ['unsound-jobs.ts'],
      ['scheduler.ts', 'attempt', 'dead-letter.ts'],
      ['*'],
      ['events.ts', 'settings.ts'],
    ],
  },
  // Rooms own their settings, and the configuration assembles them; so no room may need the configuration.
  config: {
    imports: ['routing', 'transport', 'message', 'sealing'],
    doors: [
      'config.ts',
      'delivery-words.ts',
      'ends.ts',
      'files.ts',
      'issues.ts',
      'load.ts',
      'longest-send.ts',
      'suggest.ts',
      'watch.ts',
      // Who may use the HTTP API, or submit mail, for what, and how a token is found.
      'api.ts',
      'scopes.ts',
      'token-check.ts',
      'ui.ts',
      'networks.ts',
      'outbox.ts',
      'password-hash.ts',
      'submission.ts',
      'webhooks.ts',
    ],
  },
  // What an operator does stands above the queue. The doctor reads and repairs, and does not know what calls it.
  admin: {
    imports: parts,
    doors: [
      'operator.ts',
      'messages.ts',
      'csv.ts',
      'fleet.ts',
      'submissions.ts',
      'sender-quota.ts',
      'doctor/findings.ts',
      'actions.ts',
      'admin-config.ts',
      'audit.ts',
      'bounces.ts',
      'bulk.ts',
      'connector-row.ts',
      'connectors.ts',
      'dead-filter.ts',
      'dead-groups.ts',
      'dead-preview.ts',
      'message-actions.ts',
      'operations.ts',
      'routes.ts',
      'show.ts',
      'suppressions.ts',
      'suppression-file.ts',
      'stats.ts',
      'trouble.ts',
    ],
    floors: [['operator.ts'], ['*'], ['doctor'], ['letter-wire.ts']],
  },
  // It counts what events say and shows what it is handed. It takes the types of both, and reads nothing by itself.
  metrics: {
    imports: [],
    types: [...eventTypes, 'src/worker/vitals.ts', 'src/admin/fleet.ts', 'src/transport/transport.ts', processEvents],
  },
  // Logs and metrics subscribe to events; they never call what emits them.
  observability: {
    imports: ['message', 'tracing'],
    types: eventTypes,
    doors: ['health.ts', 'host.ts', 'log.ts', 'process-events.ts'],
  },
  // Entries beside the command line: none imports another. The dashboard does what the API offers, so `ui` stands above `api`.
  http: { imports: entry, floors: [['http.ts'], ['server.ts', 'ui'], ['api'], ['*']] },
  submission: { imports: entry, doors: ['submission.ts', 'events.ts', 'password.ts'] },
  webhooks: { imports: entry },
  // What an application embeds of it is at the bottom, and stands on the producer alone.
  outbox: {
    imports: entry,
    doors: ['insert.ts', 'table.ts', 'relay.ts', 'problems.ts', 'events.ts'],
    floors: [['*'], ['insert.ts', 'events.ts'], ['table.ts']],
  },
  // Applications embed it as they embed the producer, so it stands on no more than that.
  nodemailer: { imports: ['producer', ...foundation], doors: ['transport.ts'] },
  // What a report says is pure; only who reads mailboxes needs more.
  bounces: { imports: entry, doors: ['bounces.ts', 'check.ts', 'events.ts', 'report.ts'] },
  // A configuration, its protocols and a worker, joined: what `postlane worker` runs and what an application embeds.
  embed: {
    imports: ['config', 'worker', ...parts],
    doors: ['check-connector.ts', 'senders.ts', 'compose.ts', 'transports.ts', 'worker.ts'],
  },
  // It asks DNS what receivers would conclude of a connector's mail.
  dns: { imports: ['config', 'routing', ...foundation], doors: ['check.ts'] },
  // The composition root: the one room that knows all.
  cli: { imports: ['worker', 'embed', 'dns', 'metrics', ...entries, ...entry], doors: [] },
  // The public surface: what an application needs, nothing of the worker.
  'index.ts': { imports: ['producer', 'message'] },
  // The same for an application that sends by nodemailer, and for one that stores messages in its own database.
  'nodemailer.ts': { imports: ['nodemailer'] },
  'outbox.ts': { imports: ['outbox'] },
  // Workers inside an application, with transports of its own.
  'worker.ts': { imports: ['embed', 'worker', 'config', 'transport', 'tracing'] },
  // Doubles and the contract suite, for tests of applications and of transports.
  'testing.ts': { imports: ['producer', 'message', 'transport'] },
};

/** Top-level folder beside src → the folders that it may import. Product code never depends on tests or tools. */
export const folders: Readonly<Record<string, readonly string[]>> = {
  src: [],
  testkit: ['src'],
  tools: ['testkit', 'src'],
  // An example shows what a user can do, who has the package alone.
  examples: ['src/index.ts', 'src/nodemailer.ts', 'src/outbox.ts', 'src/testing.ts', 'src/worker.ts'],
  test: ['testkit', 'tools', 'src', 'examples', 'vitest.config.ts'],
};

/** Files that run before the packages are installed: they import Node and each other, nothing else. */
export const unpackaged = /^(tools\/(setup\/.*|release-notes)|testkit\/(guard|redis-server))\.mjs$/;

/** A function longer than this hides several in one. It counts whole, with the functions that it encloses. */
export const maxFunctionLines = 120;
/** A long file hides several things in one. Tables of test cases may be longer. */
export const maxFileLines = 300;
