/**
 * The router: takes a message from the intake, finds the connector of its From, and puts it in that lane. It talks to nothing
 * but Redis, so no mail server can delay the intake.
 *
 * One step writes the ledger row and moves the job into its lane as it is. Where it cannot stay as it is (another shard, a sender that
 * is filled in, a replay), lane job and row are one step, and the end of the intake job follows. A crash in between repeats it, and the
 * first step finds what is there already.
 */
import type { Queue } from 'bullmq';
import { asError, missingKeyOf, printable, type Issue } from '../errors.ts';
import { messageIdHeader } from '../message/identity.ts';
import type { Mailbox, Message } from '../message/message.ts';
import { ownMessageId, type RawHeader } from '../message/raw.ts';
import { refsOf, storedIn } from '../queue/ledger/content.ts';
import { verdictOf, type Verdict } from '../queue/bullmq/job-reader.ts';
import {
  decodeIntake,
  idOfIntakeJob,
  isIntruder,
  jobPriorities,
  laneJobOf,
  sealData,
  versionOf,
} from '../queue/jobs.ts';
import { terminalStates, type IdStatus, type LedgerState, type NewRow } from '../queue/ledger/ledger.ts';
import type { IntakeJob } from '../queue/lanes/intake.ts';
import type { Lanes, MovedJob } from '../queue/lanes/lanes.ts';
import { carrierOf } from '../tracing/context.ts';
import { routeTraced, type RouteTrace } from './message-trace.ts';
import { contentIssues } from './content-issues.ts';
import { deadLetterMessage } from './dead-letter.ts';
import { setIntruderJobAside, type IntruderTools } from './intruders.ts';
import { setInvalidAside, setUnsoundAside } from './unsound-jobs.ts';
import { deadlineOf } from './attempt/known-row.ts';
import { readHead } from './raw-head.ts';
import type { Scheduler } from './scheduler.ts';
import { shownOf } from './shown.ts';
import { sealedText, unsealedIssue, untilKey } from './sealed-intake.ts';
import type { GoStraight } from './direct-entry.ts';
import { connectorFor, type Routing } from './routes.ts';

export interface RouterTools extends IntruderTools {
  readonly intake: Queue;
  readonly lanes: Lanes;
  readonly routing: () => Routing;
  /** Of this installation in Redis. */
  readonly prefix: string;
  /** Whether every worker here can read a message that was moved into its lane as it is. */
  readonly movesWhole: () => boolean;
  /** Tries to send a message at once, by the step that puts it into its lane. */
  readonly goStraight: GoStraight;
  /** Of a message that enters a lane it hears at once; while it has room, other processes need not be told. */
  readonly scheduler: Pick<Scheduler, 'hasRoom' | 'wake'>;
  /** An attempt that begins within so many ms belongs to the trace in which its message was sent. */
  readonly parentWithinMs: () => number;
  /** Of the message that is routed; absent without an SDK. */
  readonly trace?: RouteTrace;
}

const tryAgainMs = 5_000;
/** How often at least a job is tried at which the router errs. */
const errorsUntilDead = 100;
/** Between two looks at a message that a newer release wrote: an upgrade takes minutes. */
const newerMs = 60_000;

/** Processes one intake job. `token` is its lock's. Never fails a job: what cannot be done now is delayed. */
export async function routeJob(job: IntakeJob, token: string, tools: RouterTools): Promise<'end' | 'left'> {
  const report = (thrown: unknown): void => {
    const id = idOfIntakeJob(job.id, job.timestamp);
    tools.emit({ event: 'error', id, where: 'router', detail: printable(asError(thrown).message, 500) });
  };
  const aside = async (work: Promise<void>): Promise<'left'> => {
    await work.catch(report);
    // It is in its queue no more. If Redis refused that, it is found abandoned.
    return 'left';
  };
  const { intake: queue } = tools;
  if (isIntruder(job.id)) return aside(setIntruderJobAside(queue, job, token, tools));
  const verdict = verdictOf(job);
  if (verdict !== null) return aside(setUnrouted(job, verdict, token, tools));
  let routed: 'end' | 'left' | { readonly notBefore: number };
  try {
    routed = await routeTraced(job, token, tools, route);
  } catch (thrown) {
    report(thrown);
    // Every message ends, also one at which we err each time. The time of a replayed one is that of its first acceptance.
    const overdue = tools.now() > job.timestamp + tools.routing().config.retry.lifetimeMs;
    if (overdue && job.attemptsStarted > errorsUntilDead) {
      return aside(setUnrouted(job, 'error', token, tools));
    }
    routed = { notBefore: Date.now() + tryAgainMs };
  }
  if (typeof routed === 'string') return routed;
  // If Redis refuses, the job stays active and is recovered as stalled.
  return aside(job.moveToDelayed(routed.notBefore, token));
}

function setUnrouted(job: IntakeJob, verdict: Verdict, token: string, tools: RouterTools): Promise<void> {
  return setUnsoundAside({ queue: tools.intake, connectorId: null }, { jobId: job.id, verdict }, token, tools);
}

type Identified = Message & { readonly id: string };

/** → what becomes of the job; `notBefore`: the time (ms) before which the message must not be routed. */
async function route(
  job: IntakeJob,
  token: string,
  tools: RouterTools,
): Promise<'end' | 'left' | { readonly notBefore: number }> {
  const { config } = tools.routing();
  const sealing = tools.sealing();
  const decoded = decodeIntake(job.id, job.timestamp, job.data, config.message, sealing);
  if (!decoded.ok && decoded.why === 'newer') {
    tools.emit({ event: 'format-newer', id: decoded.id, version: versionOf(job.data) });
    return { notBefore: tools.now() + newerMs };
  }
  if (!decoded.ok && decoded.why === 'key-missing') return untilKey(decoded.id, decoded.key, job, tools);
  if (!decoded.ok) return done(refuse(decoded, null, job, tools));

  const { id, acceptedAt, by, via } = decoded.job;
  const message = { ...withSender(decoded.job.message, config.unmonitoredAddress), id };
  const sendAt = message.sendAt === undefined ? 0 : Date.parse(message.sendAt);
  if (sendAt > tools.now()) return { notBefore: sendAt };
  const unsealed = unsealedIssue(job.data, sealing);
  if (unsealed !== null) return done(refuse({ id, issues: [unsealed] }, message, job, tools));
  const faults = await tools.contents.link(id, storedIn(message));
  if (faults.length > 0) return done(refuse({ id, issues: contentIssues(message, faults) }, message, job, tools));
  // What travels in the job has been looked at; what is stored is only here.
  const head = message.raw === undefined ? null : await readHead(message.raw, tools.contents).catch(missingKeyOf);
  if (typeof head === 'string') return untilKey(id, head, job, tools);
  if (head?.ok === false) {
    const issues = [{ field: 'raw', rule: 'raw-header', message: head.problem }];
    return done(refuse({ id, issues }, message, job, tools));
  }
  const trace = tools.trace?.origin ?? job.trace;
  const identity = { acceptedAt, messageId: messageIdOf(message, head?.value ?? null, acceptedAt, tools.prefix) };

  // As it is, it lacks a sender that only this configuration names.
  const movable = job.plain && decoded.job.message.from !== undefined && tools.movesWhole();
  // One whose worker died is for the old way, step by step, and so is what has to be read from elsewhere.
  const isWhole = message.raw === undefined && storedIn(message).length === 0;
  const straight = isWhole && message.sendAt === undefined && job.stalledCounter === 0;
  const data = movable ? sealedText(job.data, { id, message, by, via }, sealing) : '';
  const from: Source | null = movable ? { jobId: job.id, token, straight, data } : null;
  // Nearly every message is new: the step that puts it into its lane finds out if it is not, and says what there is.
  let status: IdStatus = { kind: 'new' };
  for (;;) {
    const found = connectorFor(message, status, tools.routing(), via);
    if ('why' in found) {
      // A message that an operator sends by a connector of their choice needs no route.
      const before: IdStatus = status.kind === 'new' ? await tools.ledger.idStatus(id) : status;
      if (before.kind === 'in-use') return done(reportDuplicate(id, message, before.state, tools));
      if (before.kind === 'new' || status.kind === 'requeued') {
        const about = { acceptedAt, messageId: '', connector: null, trace };
        return done(deadLetterMessage(message, about, 'no-route', found.why, tools));
      }
      status = before;
      continue;
    }
    const entered = await enterLane(message, { ...identity, by, trace }, found, status, tools, from);
    if (entered.kind === 'new') return entered.moved ? 'left' : 'end';
    if (entered.kind === 'lost') return 'left';
    if (entered.kind === 'in-use') return done(reportDuplicate(id, message, entered.state, tools));
    status = entered;
  }
}

async function done(work: Promise<unknown>): Promise<'end'> {
  await work;
  return 'end';
}

/** A raw message keeps its own. '' if that is of no form that could be looked up. */
function messageIdOf({ id, from }: Identified, head: RawHeader | null, acceptedAt: number, prefix: string): string {
  const own = head === null ? null : ownMessageId(head);
  return own ?? messageIdHeader({ id, prefix, acceptedAt, fromAddress: from?.address ?? '' });
}

/** Dead-letters a job as invalid, unless its id belongs to a message that is routed or settled already. */
async function refuse(
  invalid: { readonly id: string; readonly issues: readonly Issue[] },
  message: Identified | null,
  job: IntakeJob,
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

/** A job of the intake that has a message as it is. `straight`: it may be sent at once. */
interface Source extends MovedJob {
  readonly straight: boolean;
}

/** How a message entered its lane: `moved` with its job, which is in the intake no more. `lost`: the job is another worker's. */
type Entered =
  | { readonly kind: 'new'; readonly moved: boolean }
  | { readonly kind: 'lost' }
  | Exclude<IdStatus, { kind: 'new' }>;

/**
 * Puts a message into a lane and writes its row. Also used to move messages out of the lane of a connector that is gone. `from`: the job
 * of the intake that has the message as it is. → `new` if it has done so, else how the id stands, which is not as `expected`.
 */
export async function enterLane(
  message: Identified,
  {
    acceptedAt,
    messageId,
    by,
    trace = '',
  }: {
    readonly acceptedAt: number;
    readonly messageId: string;
    readonly by?: string | undefined;
    readonly trace?: string;
  },
  { connector, rule }: { readonly connector: string; readonly rule: string },
  expected: IdStatus,
  tools: RouterTools,
  from: Source | null = null,
): Promise<Entered> {
  const { id } = message;
  const known = expected.kind === 'requeued';
  // What has been sent before keeps its Message-ID, however it was made.
  const before = known ? await tools.ledger.read(id) : null;
  if (before?.trace) tools.trace?.replayed(before.trace);
  const origin = (before?.trace ?? trace) || undefined;
  const routing = { acceptedAt, messageId: before?.messageId ?? messageId, connector, rule, known, trace: origin };
  const { config, senders } = tools.routing();
  const { lifetimeMs } = senders.get(connector)?.retry ?? config.retry;
  const priority = jobPriorities[message.priority];
  const row: NewRow = {
    id,
    connector,
    rule,
    messageId: routing.messageId,
    recipients: message.envelope.to.map((address) => ({ address, outcome: 'pending', code: null, reply: null })),
    acceptedAt,
    deadline: known ? expected.deadline : deadlineOf({ message, acceptedAt }, lifetimeMs),
    ...shownOf(message, config.index, tools),
    submittedBy: by ?? null,
    trace: origin,
  };
  const entered = (status: IdStatus, moved: boolean): Entered => {
    if (status.kind !== 'new') return status;
    tools.emit({ event: 'routed', id, connector, rule });
    return { kind: 'new', moved };
  };
  if (from !== null && !known) {
    const announce = !tools.scheduler.hasRoom();
    const going = (): void => tools.emit({ event: 'routed', id, connector, rule });
    const job = laneJobOf(id, message, routing);
    const direct = from.straight
      ? await tools.goStraight({ from, job, priority, row, announce, tracing: tools.trace?.tracing ?? null, going })
      : null;
    const status = direct ?? (await tools.lanes.move(from, routing, priority, row, announce));
    if (status.kind === 'going') return { kind: 'new', moved: true };
    // Also where the answer to a first call was lost with the connection: then the message is in its lane.
    tools.scheduler.wake();
    if (status.kind === 'lost') return status;
    if (status.kind !== 'kept') return entered(status, true);
  }
  const data = sealData(laneJobOf(id, message, routing), id, tools.sealing());
  const carrier = carrierOf(origin ?? '');
  const telemetry = carrier === '' ? {} : { telemetry: { metadata: carrier } };
  const opts = { timestamp: acceptedAt, priority, removeOnComplete: true, removeOnFail: false, ...telemetry };
  return entered(await tools.lanes.enter(connector, { data, opts }, row, known), false);
}

/** A message without From is the system's own mail. */
function withSender(message: Message, unmonitored: Mailbox | null): Message {
  const from = message.from ?? unmonitored ?? undefined;
  if (from === undefined) return message;
  const envelope = { ...message.envelope, from: message.envelope.from ?? from.address };
  // A raw message's header is not ours to write; there the sender is only the envelope's.
  return { ...message, from, envelope };
}
