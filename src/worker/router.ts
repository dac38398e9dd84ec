/**
 * The router: takes a message from the intake, finds the connector of its From, and puts it in that lane. It talks to nothing
 * but Redis, so no mail server can delay the intake.
 *
 * Order of writes: lane job and ledger row in one step, then the end of the intake job. A crash in between repeats it, and
 * the first step finds what is there already.
 */
import { DelayedError, WaitingError, type Job, type Queue } from 'bullmq';
import { asError, printable, type Issue } from '../errors.ts';
import { messageIdHeader } from '../message/identity.ts';
import type { Mailbox, Message } from '../message/message.ts';
import { ownMessageId, type RawHeader } from '../message/raw.ts';
import { refsOf, sizeIssues, storedIn, type ContentFault } from '../queue/ledger/content.ts';
import { verdictOf, type Verdict } from '../queue/bullmq/job-reader.ts';
import { decodeIntake, idOfIntakeJob, isIntruder, jobPriorities, laneJobOf, versionOf } from '../queue/jobs.ts';
import { terminalStates, type IdStatus, type LedgerState, type NewRow } from '../queue/ledger/ledger.ts';
import type { Lanes } from '../queue/lanes/lanes.ts';
import { sends, type Route } from '../routing/connector.ts';
import { resolve } from '../routing/resolve.ts';
import { buildRouteTable, type RouteTable } from '../routing/table.ts';
import { deadLetterMessage } from './dead-letter.ts';
import { setIntruderJobAside, type IntruderTools } from './intruders.ts';
import { setInvalidAside, setUnsoundAside } from './unsound-jobs.ts';
import { deadlineOf } from './attempt/deliver.ts';
import { readHead } from './raw-head.ts';
import type { ConnectorConfig, WorkerConfig } from './settings.ts';

/** The configuration with its table; swapped as one when it is reloaded. */
export interface Routing {
  readonly config: WorkerConfig;
  /** The connectors that send, by id. */
  readonly senders: ReadonlyMap<string, ConnectorConfig>;
  readonly table: RouteTable;
}

export function routingOf(config: WorkerConfig): Routing {
  const senders = config.connectors.filter(({ direction }) => sends(direction));
  return {
    config,
    senders: new Map(senders.map((connector) => [connector.id, connector])),
    table: buildRouteTable(config.connectors, config.systemDefaultGateway),
  };
}

export interface RouterTools extends IntruderTools {
  readonly intake: Queue;
  readonly lanes: Lanes;
  readonly routing: () => Routing;
  /** Of this installation in Redis. */
  readonly prefix: string;
}

const tryAgainMs = 5_000;
/** How often at least a job is tried at which the router errs. */
const errorsUntilDead = 100;
/** Between two looks at a message that a newer release wrote: an upgrade takes minutes. */
const newerMs = 60_000;

/** Processes one intake job. `token` is its lock's. Never fails a job: what cannot be done now is delayed. */
export async function routeJob(job: Job, token: string, tools: RouterTools): Promise<void> {
  const report = (thrown: unknown): void => {
    const id = idOfIntakeJob(String(job.id), job.timestamp);
    tools.emit({ event: 'error', id, where: 'router', detail: printable(asError(thrown).message, 500) });
  };
  const aside = async (work: Promise<void>): Promise<never> => {
    await work.catch(report);
    // It is in its queue no more. If Redis refused that, it is found abandoned.
    throw new WaitingError();
  };
  const { intake: queue } = tools;
  if (isIntruder(String(job.id))) return aside(setIntruderJobAside(queue, job, token, tools));
  const verdict = verdictOf(job);
  if (verdict !== null) return aside(setUnrouted(job, verdict, token, tools));
  let notBefore: number | null;
  try {
    notBefore = await route(job, tools);
  } catch (thrown) {
    report(thrown);
    // Every message ends, also one at which we err each time. The time of a replayed one is that of its first acceptance.
    const overdue = tools.now() > job.timestamp + tools.routing().config.retry.lifetimeMs;
    if (overdue && job.attemptsStarted > errorsUntilDead) {
      return aside(setUnrouted(job, 'error', token, tools));
    }
    notBefore = Date.now() + tryAgainMs;
  }
  if (notBefore === null) return;
  try {
    await job.moveToDelayed(notBefore, token);
  } catch (thrown) {
    // Redis refuses: the job stays active and is recovered as stalled. To fail it would need the same Redis.
    throw new WaitingError(asError(thrown).message);
  }
  throw new DelayedError();
}

function setUnrouted(job: Job, verdict: Verdict, token: string, tools: RouterTools): Promise<void> {
  return setUnsoundAside({ queue: tools.intake, connectorId: null }, { jobId: String(job.id), verdict }, token, tools);
}

type Identified = Message & { readonly id: string };

/** → the time (ms) before which the message must not be routed, or null if it is done with. */
async function route(job: Job, tools: RouterTools): Promise<number | null> {
  const { config } = tools.routing();
  const decoded = decodeIntake(String(job.id), job.timestamp, job.data, config.message);
  if (!decoded.ok && decoded.newer) {
    tools.emit({ event: 'format-newer', id: decoded.id, version: versionOf(job.data) });
    return tools.now() + newerMs;
  }
  if (!decoded.ok) return done(refuse(decoded, null, job, tools));

  const { id, acceptedAt } = decoded.job;
  const message = { ...withSender(decoded.job.message, config.unmonitoredAddress), id };
  const sendAt = message.sendAt === undefined ? 0 : Date.parse(message.sendAt);
  if (sendAt > tools.now()) return sendAt;
  const faults = await tools.contents.link(id, storedIn(message));
  if (faults.length > 0) return done(refuse({ id, issues: contentIssues(message, faults) }, message, job, tools));
  // What travels in the job has been looked at; what is stored is only here.
  const head = message.raw === undefined ? null : await readHead(message.raw, tools.contents);
  if (head?.ok === false) {
    const issues = [{ field: 'raw', rule: 'raw-header', message: head.problem }];
    return done(refuse({ id, issues }, message, job, tools));
  }
  const identity = { acceptedAt, messageId: messageIdOf(message, head?.value ?? null, acceptedAt, tools.prefix) };

  // Nearly every message is new: the step that puts it into its lane finds out if it is not, and says what there is.
  let status: IdStatus = { kind: 'new' };
  for (;;) {
    const found = connectorFor(message, status, tools.routing());
    if ('why' in found) {
      // A message that an operator sends by a connector of their choice needs no route.
      const before: IdStatus = status.kind === 'new' ? await tools.ledger.idStatus(id) : status;
      if (before.kind === 'in-use') return done(reportDuplicate(id, message, before.state, tools));
      if (before.kind === 'new' || status.kind === 'requeued') {
        const about = { acceptedAt, messageId: '', connector: null };
        return done(deadLetterMessage(message, about, 'no-route', found.why, tools));
      }
      status = before;
      continue;
    }
    const entered = await enterLane(message, identity, found, status, tools);
    if (entered.kind === 'new') return null;
    if (entered.kind === 'in-use') return done(reportDuplicate(id, message, entered.state, tools));
    status = entered;
  }
}

async function done(work: Promise<unknown>): Promise<null> {
  await work;
  return null;
}

/** A raw message keeps its own. '' if that is of no form that could be looked up. */
function messageIdOf({ id, from }: Identified, head: RawHeader | null, acceptedAt: number, prefix: string): string {
  const own = head === null ? null : ownMessageId(head);
  return own ?? messageIdHeader({ id, prefix, acceptedAt, fromAddress: from?.address ?? '' });
}

/** Contents that are named where they are not what the message says: the rest is of the same kind. */
const namedFaults = 100;

function contentIssues(message: Message, faults: readonly ContentFault[]): Issue[] {
  const field = message.raw === undefined ? 'attachments' : 'raw';
  const missing = faults.filter(({ storedBytes }) => storedBytes === null);
  return [
    ...missing.map(({ ref }) => ({
      field,
      rule: 'stored',
      message: `there is no stored content ${ref.slice(0, 12)}…`,
    })),
    ...sizeIssues(message, faults),
  ].slice(0, namedFaults);
}

/** Dead-letters a job as invalid, unless its id belongs to a message that is routed or settled already. */
async function refuse(
  invalid: { readonly id: string; readonly issues: readonly Issue[] },
  message: Identified | null,
  job: Job,
  tools: RouterTools,
): Promise<void> {
  const status = await tools.ledger.idStatus(invalid.id);
  if (status.kind === 'in-use') return reportDuplicate(invalid.id, message, status.state, tools);
  return setInvalidAside({ queue: tools.intake, connectorId: null }, job, invalid, tools);
}

async function reportDuplicate(
  id: string,
  message: Identified | null,
  state: LedgerState,
  { emit, contents }: RouterTools,
): Promise<void> {
  emit({ event: 'duplicate', id, state });
  if (message !== null && state !== 'dead' && state !== 'partial' && terminalStates.has(state)) {
    await contents.release(id, refsOf(message));
  }
}

/**
 * Puts a message into a lane and writes its row. Also used to move messages out of the lane of a connector that is gone.
 * → `new` if it has done so, else how the id stands, which is not as `expected`.
 */
export async function enterLane(
  message: Identified,
  { acceptedAt, messageId }: { readonly acceptedAt: number; readonly messageId: string },
  { connector, rule }: { readonly connector: string; readonly rule: string },
  expected: IdStatus,
  tools: RouterTools,
): Promise<IdStatus> {
  const { id } = message;
  const known = expected.kind === 'requeued';
  // What has been sent before keeps its Message-ID, however it was made.
  const before = known ? ((await tools.ledger.read(id))?.messageId ?? null) : null;
  const laneJob = laneJobOf(id, message, { acceptedAt, messageId: before ?? messageId }, { connector, rule, known });
  const { config, senders } = tools.routing();
  const { lifetimeMs } = senders.get(connector)?.retry ?? config.retry;
  const priority = jobPriorities[message.priority];
  const opts = { timestamp: acceptedAt, priority, removeOnComplete: true, removeOnFail: false };
  const row: NewRow = {
    id,
    connector,
    rule,
    messageId: laneJob.messageId,
    recipients: message.envelope.to.map((address) => ({ address, outcome: 'pending', code: null, reply: null })),
    acceptedAt,
    deadline: known ? expected.deadline : deadlineOf(laneJob, lifetimeMs),
  };
  const status = await tools.lanes.enter(connector, { data: laneJob, opts }, row, known);
  if (status.kind === 'new') tools.emit({ event: 'routed', id, connector, rule });
  return status;
}

/** A message without From is the system's own mail. */
function withSender(message: Message, unmonitored: Mailbox | null): Message {
  const from = message.from ?? unmonitored ?? undefined;
  if (from === undefined) return message;
  const envelope = { ...message.envelope, from: message.envelope.from ?? from.address };
  // A raw message's header is not ours to write; there the sender is only the envelope's.
  return { ...message, from, envelope };
}

/** The connector that an operator named, else the one of the From address, else why there is none. */
export function connectorFor(
  message: Message,
  status: IdStatus,
  { config, senders, table }: Routing,
): { readonly connector: string; readonly rule: string } | { readonly why: string } {
  if (status.kind === 'requeued' && status.via !== null) {
    if (senders.has(status.via)) return { connector: status.via, rule: 'via' };
    const known = config.connectors.some(({ id }) => id === status.via);
    return { why: `the connector ${status.via} that was asked for ${known ? 'never sends' : 'is not configured'}` };
  }
  if (message.from === undefined) {
    return { why: 'the message has no From, and unmonitoredAddress is not configured' };
  }
  const route: Route = resolve(table, message.from.address);
  if (route.connector !== null) return { connector: route.connector, rule: route.rule };
  const over = route.passedOver.map(({ connector, why }) => `; ${connector} was passed over: ${why}`).join('');
  return { why: `no connector sends for ${message.from.address}, and systemDefaultGateway is disabled${over}` };
}
