/**
 * The router: takes a message from the intake, finds the connector of its From, puts it in that lane. No network but Redis,
 * so that nothing that a mail server does can hold up the intake.
 *
 * Order of writes: lane job, ledger row, end of the intake job. A crash in between repeats all of it, and each step finds
 * what is there already.
 */
import { DelayedError, WaitingError, type Job } from 'bullmq';
import { asError, printable } from '../errors.ts';
import type { Mailbox, Message } from '../message/message.ts';
import type { ContentStore } from '../queue/content.ts';
import { refsOf } from '../queue/content.ts';
import { decodeIntake, headerOf, jobPriorities, laneJobOf } from '../queue/jobs.ts';
import { terminalStates, type Standing } from '../queue/ledger.ts';
import type { Lanes } from '../queue/lanes.ts';
import { jobName } from '../queue/names.ts';
import type { Route } from '../routing/connector.ts';
import { resolve } from '../routing/resolve.ts';
import type { RouteTable } from '../routing/table.ts';
import { buryInvalid, buryMessage, type BuryTools } from './bury.ts';
import { deadlineOf } from './deliver.ts';
import type { ConnectorConfig, WorkerConfig } from './settings.ts';

/** The configuration with its table; swapped as one when it is reloaded. */
export interface Routing {
  readonly config: WorkerConfig;
  /** The connectors that send, by id. */
  readonly senders: ReadonlyMap<string, ConnectorConfig>;
  readonly table: RouteTable;
}

export interface RouterTools extends BuryTools {
  readonly lanes: Lanes;
  readonly contents: ContentStore;
  readonly routing: () => Routing;
}

const tryAgainMs = 5_000;

/** Processes one intake job. `token` is its lock's. Never fails a job: what cannot be done now is delayed. */
export async function routeJob(job: Job, token: string, tools: RouterTools): Promise<void> {
  let notBefore: number | null;
  try {
    notBefore = await route(job, tools);
  } catch (thrown) {
    const detail = printable(asError(thrown).message, 500);
    tools.emit({ event: 'error', id: job.id ?? null, where: 'router', detail });
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

/** → the time (ms) before which the message must not be routed, or null if it is done with. */
async function route(job: Job, tools: RouterTools): Promise<number | null> {
  const { config } = tools.routing();
  const decoded = decodeIntake(String(job.id), job.timestamp, job.data, config.message);
  const id = decoded.ok ? decoded.job.id : decoded.id;
  const standing = await tools.ledger.standing(id);
  if (standing.kind === 'taken') {
    tools.emit({ event: 'duplicate', id, state: standing.state });
    if (decoded.ok && standing.state !== 'dead' && standing.state !== 'partial' && terminalStates.has(standing.state)) {
      await tools.contents.release(id, refsOf(decoded.job.message));
    }
    return null;
  }
  if (!decoded.ok) {
    await buryInvalid(decoded, job.data, job.timestamp, tools);
    return null;
  }
  const { acceptedAt } = decoded.job;
  const message = withSender(decoded.job.message, config.unmonitoredAddress);
  const sendAt = message.sendAt === undefined ? 0 : Date.parse(message.sendAt);
  if (sendAt > tools.now()) return sendAt;

  const found = choose(message, standing, tools.routing());
  const about = { acceptedAt, messageId: '', connector: null };
  if ('why' in found) {
    await buryMessage({ ...message, id }, about, 'no-route', found.why, tools);
    return null;
  }
  const missing = await tools.contents.link(id, refsOf(message));
  if (missing.length > 0) {
    const field = message.raw === undefined ? 'attachments' : 'raw';
    const issue = { field, rule: 'stored', message: `there is no stored content ${missing[0]!.slice(0, 12)}…` };
    await buryInvalid({ id, issues: [issue] }, job.data, job.timestamp, tools);
    return null;
  }
  await enterLane({ ...message, id }, acceptedAt, found, standing, tools);
  return null;
}

/** Puts a message into a lane and writes its row. Also used to move messages out of the lane of a connector that is gone. */
export async function enterLane(
  message: Message & { readonly id: string },
  acceptedAt: number,
  { connector, rule }: { readonly connector: string; readonly rule: string },
  standing: Standing,
  tools: RouterTools,
): Promise<void> {
  const { id } = message;
  const known = standing.kind === 'released';
  const laneJob = laneJobOf(id, message, acceptedAt, { connector, rule, known });
  const { config, senders } = tools.routing();
  const { lifetimeMs } = senders.get(connector)?.retry ?? config.retry;
  await tools.lanes.queue(connector).add(jobName, laneJob, {
    jobId: id,
    timestamp: acceptedAt,
    priority: jobPriorities[message.priority],
    removeOnComplete: true,
    removeOnFail: false,
  });
  await tools.ledger.create({
    id,
    connector,
    rule,
    messageId: headerOf(laneJob),
    recipients: message.envelope.to.map((address) => ({ address, outcome: 'pending', code: null, reply: null })),
    acceptedAt,
    deadline: known ? standing.deadline : deadlineOf(laneJob, lifetimeMs),
  });
  await tools.lanes.refresh(connector, 'sooner', true);
  tools.emit({ event: 'routed', id, connector, rule });
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
export function choose(
  message: Message,
  standing: Standing,
  { config, senders, table }: Routing,
): { readonly connector: string; readonly rule: string } | { readonly why: string } {
  if (standing.kind === 'released' && standing.via !== null) {
    if (senders.has(standing.via)) return { connector: standing.via, rule: 'via' };
    const known = config.connectors.some(({ id }) => id === standing.via);
    return { why: `the connector ${standing.via} that was asked for ${known ? 'never sends' : 'is not configured'}` };
  }
  if (message.from === undefined) {
    return { why: 'the message has no From, and unmonitoredAddress is not configured' };
  }
  const route: Route = resolve(table, message.from.address);
  if (route.connector !== null) return { connector: route.connector, rule: route.rule };
  const over = route.passedOver.map(({ connector, why }) => `; ${connector} was passed over: ${why}`).join('');
  return { why: `no connector sends for ${message.from.address}, and systemDefaultGateway is disabled${over}` };
}
