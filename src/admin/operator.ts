/** What an operator does to the queue from outside a worker: the parts of this room, over one connection. */
import { createHash, randomUUID } from 'node:crypto';
import { PostlaneError } from '../errors.ts';
import { connectFailFast, whenReady } from '../queue/redis/connection.ts';
import type { DeadLetters, DeadLetterSummary } from '../queue/ledger/dead-letters.ts';
import type { LetterPlace } from '../queue/ledger/letter-pages.ts';
import { diagnose } from './doctor/diagnose.ts';
import { readFleet, type FleetQuestion, type FleetSnapshot } from './fleet.ts';
import { bounceNotesOf, type BounceNotes } from './bounces.ts';
import { seenOf, type Seen } from './messages.ts';
import type { DiagnoseOptions, Finding } from './doctor/findings.ts';
import type { Deliveries } from '../queue/deliveries/deliveries.ts';
import type { Lanes } from '../queue/lanes/lanes.ts';
import { readSecretKey } from '../queue/secret-key.ts';
import type { Mailboxes } from '../queue/mailboxes.ts';
import type { Suppressions } from '../queue/suppressions.ts';
import { createSubmissions, type Submissions } from '../queue/submissions.ts';
import { defaultIndex, type IndexSettings } from '../queue/journal/index-entries.ts';
import { openQueues } from '../queue/open.ts';
import { createSenderQuotas, type SenderQuotas } from './sender-quota.ts';
import type { Quota } from '../queue/lanes/quota.ts';
import { defaultReservePercent, type RoomAnswer } from '../queue/room.ts';
import type { TokenRate } from '../queue/callers.ts';
import type { RedisSettings } from '../queue/redis/settings.ts';
import type { Message, MessageLimits } from '../message/message.ts';
import type { OutboundMessage } from '../message/outbound.ts';
import { createSealing, type EncryptionOptions } from '../sealing/sealing.ts';
import { createActions, type Actions } from './actions.ts';
import type { AdminConfig } from './admin-config.ts';
import { createAudit, type Actor, type Audit } from './audit.ts';
import type { ConnectorRow } from './connector-row.ts';
import { listConnectors, readConnector, type ConnectorPage, type ConnectorsAsked } from './connectors.ts';
import type { LetterFilter } from './dead-filter.ts';
import { pageOfDead } from './dead-page.ts';
import { groupDeadLetters, type DeadGroups, type GroupKey } from './dead-groups.ts';
import { createSelections, previewDeadLetters, selectionMs, type BulkAsked, type DeadPreview } from './dead-preview.ts';
import { createDeadlines } from './deadlines.ts';
import { actOn, letterActions, type LetterActions } from './letter-actions.ts';
import type { ActionAnswer } from './message-actions.ts';
import { again, contentOf } from './content.ts';
import { readActions } from './read-actions.ts';
import { createOperations, type LetterResult, type Operation, type Operations } from './operations.ts';
import { runOperation, runOperations, type RunnerOptions } from './operation-runner.ts';
import { rekey, type RekeyOptions, type RekeyReport } from './rekey.ts';
import { createRoutes } from './routes.ts';
import { mostWorkers, statsOf, type Stats } from './stats.ts';
import { sends } from '../routing/connector.ts';

export type { KeyTally, Why } from './rekey-tally.ts';
export type { RekeyReport } from './rekey.ts';

export interface OperatorOptions {
  readonly redis: RedisSettings & {
    readonly prefix: string;
    readonly shards?: number;
    readonly reservePercent?: number;
  };
  /** Every command answers within this time, in ms. */
  readonly timeoutMs: number;
  readonly limits: MessageLimits;
  /** As the workers have it. Default: that of a configuration without it. */
  readonly index?: IndexSettings;
  /** Keys that open what bodies are sealed with. Default: none. */
  readonly encryption?: EncryptionOptions | null;
}

export interface Operator extends LetterActions, Seen {
  readonly lanes: Lanes;
  readonly deadLetters: DeadLetters;
  readonly quota: Pick<Quota, 'used'>;
  /** Counts requests of a token of the HTTP API. */
  readonly tokenRate: TokenRate;
  /** What tokens and users of submission may submit in a day. */
  readonly senderQuotas: SenderQuotas;
  /** For who reads delivery reports. */
  readonly bounceNotes: BounceNotes;
  readonly mailboxes: Mailboxes;
  /** Everything at once, for metrics. */
  fleet(question: FleetQuestion): Promise<FleetSnapshot>;
  /** Whether Redis is there. */
  connected(): boolean;
  /** How much room there is for new messages, with this reserve. */
  room(): Promise<RoomAnswer>;
  readonly reservePercent: number;
  /** Jobs in the intake. */
  intakeCounts(): Promise<{ readonly waiting: number; readonly delayed: number; readonly active: number }>;
  /** What this actor changes, each step with its entry in the audit. `config` is that in force. */
  as(actor: Actor, config: AdminConfig): Actions;
  readonly audit: Pick<Audit, 'list'>;
  /** What came by SMTP submission, and what was refused there. */
  readonly submissions: Pick<Submissions, 'report' | 'failures'>;
  /** How it stands with webhooks. */
  readonly webhooks: Pick<Deliveries, 'known' | 'view' | 'deadLetters'>;
  /** Addresses that get no mail. Changes are actions. */
  readonly suppressions: Pick<Suppressions, 'get' | 'list' | 'count'>;
  /** The whole installation on one page, with the counters since a time. */
  stats(config: AdminConfig, since: number): Promise<Stats>;
  /** Connectors, sorted by trouble or otherwise. */
  connectors(config: AdminConfig, asked: ConnectorsAsked): Promise<ConnectorPage>;
  /** One of them; null if there is none of this id. */
  connector(config: AdminConfig, id: string): Promise<ConnectorRow | null>;
  /** Dead letters, newest first, those alone that the caller may see. */
  deadPage(
    filter: LetterFilter,
    after: LetterPlace | null,
    limit: number,
    isVisible: (letter: Pick<DeadLetterSummary, 'from'>) => boolean,
  ): ReturnType<typeof pageOfDead>;
  /** Dead letters by reason, connector and reply. `most`: how many are looked at, the newest ones. */
  deadGroups(config: AdminConfig, filter: LetterFilter, by: readonly GroupKey[], most?: number): Promise<DeadGroups>;
  /** Counts what a replay or a drop would do, and keeps what it has selected for a while. */
  preview(config: AdminConfig, asked: BulkAsked): Promise<KeptPreview>;
  readonly operations: Pick<Operations, 'get' | 'list' | 'open'>;
  /** Works on operations that are not over until the signal ends it. `only`: on this one, until it is over. */
  run(options: OperateOptions): Promise<void>;
  /** What a message says, where that is kept as a whole; null where it is not. */
  content(id: string): Promise<Message | null>;
  /** What may be done with a message now, and why not; null if its id is unknown. */
  actions(id: string): Promise<ActionAnswer[] | null>;
  /** true for the first who asks for this name within that time. */
  once(name: string, forMs: number): Promise<boolean>;
  /** With which sessions of the dashboard are signed, in all processes. */
  sessionKey(): Promise<Buffer>;
  /** Seals with the active key what another one has sealed, or none. null: there are no keys. */
  rekey(options: RekeyOptions): Promise<RekeyReport | null>;
  /** What disagrees between ledger, queues, dead letters and contents, as it is found; repairs it if asked to. */
  diagnose(options: DiagnoseOptions): AsyncGenerator<Finding>;
  close(): void;
}

interface KeptPreview extends DeadPreview {
  readonly selection: string;
  /** ms since the epoch. */
  readonly expiresAt: number;
}

interface OperateOptions {
  readonly config: () => AdminConfig;
  readonly signal: AbortSignal;
  readonly only?: string;
  readonly onResult?: NonNullable<RunnerOptions['onResult']>;
  readonly onError?: NonNullable<RunnerOptions['onError']>;
}

/** Connects; throws `redis-unavailable` if Redis is away. */
export async function openOperator({
  redis: at,
  timeoutMs,
  limits,
  index = defaultIndex,
  encryption,
}: OperatorOptions): Promise<Operator> {
  const sealing = createSealing(encryption);
  const redis = connectFailFast(at, timeoutMs, 'postlane-cli');
  redis.on('error', () => undefined);
  try {
    await whenReady(redis, timeoutMs);
  } catch (error) {
    redis.disconnect();
    throw error;
  }
  const { reservePercent = defaultReservePercent } = at;
  const open = openQueues(redis, {
    ...at,
    failFast: true,
    limits: () => limits,
    searched: () => index,
    sealing: () => sealing,
  });
  if ((await open.form.read()).kind === 'waits') {
    redis.disconnect();
    throw new PostlaneError('format-newer', 'what is stored was written by a newer release of Postlane');
  }
  const { intake, deadLetters, lanes, keys, shards, quota } = open;
  const letters = letterActions(redis, open, limits);
  const audit = createAudit(redis, keys);
  const operations = createOperations(redis, keys);
  const selections = createSelections(redis, keys);
  const connectorTools = { lanes, quota, deadlines: createDeadlines(redis, shards) };
  const contentAgain = async (id: string): Promise<OutboundMessage | null> => {
    const content = await contentOf(id, open, limits);
    return content === null ? null : again(id, content.message);
  };
  const intakeCounts = async (): Promise<NonNullable<FleetSnapshot['intake']>> => {
    const counts = await intake.getJobCounts('wait', 'prioritized', 'delayed', 'active');
    const waiting = (counts['wait'] ?? 0) + (counts['prioritized'] ?? 0);
    return { waiting, delayed: counts['delayed'] ?? 0, active: counts['active'] ?? 0 };
  };
  return {
    lanes,
    deadLetters,
    quota,
    tokenRate: open.tokenRate,
    senderQuotas: createSenderQuotas(quota),
    ...seenOf(open, limits),
    bounceNotes: bounceNotesOf(open),
    mailboxes: open.mailboxes,
    reservePercent,
    room: () => open.room(reservePercent),
    intakeCounts,
    fleet: (question) => readFleet(open, intakeCounts, question),
    connected: () => redis.status === 'ready',

    ...letters,

    as: (actor, config) =>
      createActions(
        { ...letters, open, audit, operations, selections, deadLetters, limits, contentOf: contentAgain },
        actor,
        config,
      ),
    audit,
    submissions: createSubmissions(redis, keys),
    webhooks: open.deliveries,
    suppressions: open.suppressions,
    async stats(config, since) {
      const now = Date.now();
      const senders = config.connectors.filter(({ direction }) => sends(direction));
      const [fleet, firstDeadline, workers, series, memory, running] = await Promise.all([
        readFleet(open, intakeCounts, { senders, most: Number.MAX_SAFE_INTEGER, quotas: false }),
        connectorTools.deadlines.first(),
        open.presence.list(mostWorkers),
        open.counters.series(since, now),
        open.memory.read(),
        operations.open(),
      ]);
      const configured = config.connectors.length;
      const counts = { configured, incoming: configured - senders.length, operations: running.length };
      return statsOf({ fleet, firstDeadline, workers, series, memory, ...counts }, now);
    },
    connectors: (config, asked) => listConnectors(connectorTools, config, asked, Date.now()),
    connector: (config, id) => readConnector(connectorTools, config, id, Date.now()),
    deadPage: (filter, after, limit, isVisible) => pageOfDead(deadLetters, filter, after, limit, isVisible),
    deadGroups: (config, filter, by, most) => groupDeadLetters(deadLetters, filter, by, createRoutes(config), most),

    async preview(config, asked) {
      const selection = { ...asked, until: Date.now() };
      const counted = await previewDeadLetters(deadLetters, selection, createRoutes(config));
      return { ...counted, selection: await selections.keep(selection), expiresAt: selection.until + selectionMs };
    },

    operations,

    async run({ config, only, ...rest }) {
      const act = (operation: Operation, id: string): Promise<LetterResult> =>
        actOn(operation, id, { ...letters, summary: (one) => deadLetters.summary(one) }, config());
      const options: RunnerOptions = { redis, keys, operations, act, ...rest };
      if (only === undefined) await runOperations(options);
      else await runOperation(only, options);
    },

    content: async (id) => (await contentOf(id, open, limits))?.message ?? null,
    actions: (id) => readActions(id, open),
    async once(name, forMs) {
      const mine = randomUUID();
      return (await open.claimKey(createHash('sha256').update(name).digest('base64url'), mine, forMs)) === mine;
    },
    sessionKey: () => readSecretKey(redis, keys.sessionKey, 'sessions'),

    rekey: (options) => rekey({ redis, open, limits }, options),
    diagnose: (options) => diagnose({ redis, limits, ...open }, options),

    close: () => redis.disconnect(),
  };
}
