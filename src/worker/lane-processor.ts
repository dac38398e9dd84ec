/** What happens to a job of a lane: decode it, deliver it, write the result, and tell BullMQ where it goes. Nothing else does that. */
import { DelayedError, Worker, WaitingError } from 'bullmq';
import { asError, PostlaneError, printable, unreachable } from '../errors.ts';
import type { MessageLimits } from '../message/message.ts';
import { verdictOf } from '../queue/bullmq/job-reader.ts';
import { decodeLane, idOfJob, versionOf, type LaneJob } from '../queue/jobs.ts';
import type { Completion, TakenJob } from '../queue/lanes/lane-worker.ts';
import type { Lanes } from '../queue/lanes/lanes.ts';
import { settleAnswerOf, type SettleAnswer } from '../queue/ledger/ledger.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { Transport } from '../transport/transport.ts';
import { deliver } from './attempt/deliver.ts';
import type { Delivery, DeliverTools, DirectTask, Next } from './attempt/task.ts';
import { pauseLane } from './lane-pause.ts';
import { telling } from './message-trace.ts';
import { bytesHeld, type ByteBudget } from './byte-budget.ts';
import { setInvalidAside, setUnsoundAside, type UnsoundTools } from './unsound-jobs.ts';
import { commit, conclude, type LedgerWrite } from './ledger-write.ts';
import type { ConnectorConfig, DeliveryRules } from './settings.ts';

export interface LaneTools extends DeliverTools, UnsoundTools {
  /** The key of a job's lock in a connector's lane. */
  readonly lockKey: (connectorId: string, jobId: string) => string;
  readonly lanes: Lanes;
  readonly limits: () => MessageLimits;
  /** Who may get mail; null: everyone. */
  readonly delivery: () => DeliveryRules | null;
  readonly transport: (connectorId: string) => Transport | null;
  readonly pauseScale: number;
  readonly budget: ByteBudget;
  /** Called when a connector that had faults took a mail, or one that throttles took enough of them. */
  readonly recovered: (connectorId: string, how: 'recovered' | 'raised') => Promise<void>;
}

/** One job, as the lane's worker took it. */
export interface LaneTask {
  readonly job: TakenJob;
  /** Of the job's lock. */
  readonly token: string;
  readonly signal: AbortSignal;
  readonly connector: ConnectorConfig;
  /** null without an SDK. */
  readonly tracing: Tracing | null;
}

/** After an error of our own or of Redis that no rule foresees: long enough not to spin, short enough not to be noticed. */
const tryAgainMs = 5_000;
/** Between two looks at a message that a newer release wrote: an upgrade takes minutes. */
const newerMs = 60_000;

/** → what is committed with the end of the job; null if nothing is. Throws BullMQ's errors for a job that does not end. */
export async function processLaneJob(task: LaneTask, tools: LaneTools): Promise<Completion | null> {
  const { job, token, connector } = task;
  const report = reporter(task, tools);
  const verdict = verdictOf(job);
  if (verdict !== null) {
    const place = { queue: tools.lanes.queue(connector.id), connectorId: connector.id };
    await setUnsoundAside(place, { jobId: job.id, verdict }, token, tools).catch(report);
    // It is in its lane no more. If Redis refused that, it is found abandoned.
    throw new WaitingError();
  }
  return concluded(task, tools, report, () => deliverJob(task, tools));
}

/** The same for a message that enters the lane by the fence of its attempt: `direct`. Throws BullMQ's errors for one that did not enter, too. */
export function processDirect(
  task: LaneTask,
  message: LaneJob,
  direct: DirectTask,
  tools: LaneTools,
): Promise<Completion | null> {
  return concluded(task, tools, reporter(task, tools), () => deliverHere(task, message, tools, direct));
}

function reporter({ job, connector }: LaneTask, { emit }: LaneTools): (thrown: unknown) => string {
  return (thrown) => {
    const detail = printable(asError(thrown).message, 500);
    emit({ event: 'error', id: idOfJob(job.id), where: `the lane of ${connector.id}`, detail });
    return detail;
  };
}

/** What follows from a delivery. */
async function concluded(
  task: LaneTask,
  given: LaneTools,
  report: (thrown: unknown) => string,
  deliverIt: () => Promise<Delivery | Waits | null>,
): Promise<Completion | null> {
  const { job, token, connector } = task;
  let delivery: Delivery | Waits | null;
  try {
    delivery = await deliverIt();
  } catch (thrown) {
    // Of a stored content. Nothing was sent, and no attempt is counted.
    if (thrown instanceof PostlaneError && thrown.code === 'key-missing') {
      const key = thrown.issues[0]?.message ?? '';
      given.keyAlarm.missing({ id: idOfJob(job.id), key, connector: connector.id, others: 0 });
      throw await moveToDelayed(job, token, Date.now() + given.keyAlarm.waitMs(key));
    }
    report(thrown);
    throw await moveToDelayed(job, token, Date.now() + tryAgainMs);
  }
  if (delivery === 'newer') throw await moveToDelayed(job, token, Date.now() + newerMs);
  if (delivery === null) return null;
  if ('notBefore' in delivery) throw await moveToDelayed(job, token, delivery.notBefore);
  const { write, next, trace } = delivery;
  const tools = trace === undefined ? given : telling(given, trace);
  // An attempt that ended the message: its result goes with the end of the job. Before that there is only the pause.
  const atEnd = next.kind === 'done' && write !== null && write.token !== null ? write : null;
  if (atEnd !== null && next.kind === 'done' && next.slowDownMs === null) {
    return completionOf(atEnd, connector.id, tools, report);
  }
  const [paused, written] = await Promise.allSettled([
    // First, so that no process begins another message while this one writes its result.
    pauseLane(next, task, tools),
    atEnd !== null || write === null ? null : commitAlone(write, connector.id, tools),
  ]);
  const pauseRefused = paused.status === 'rejected' ? report(paused.reason) : null;
  if (written.status === 'rejected') {
    report(written.reason);
    throw await moveToDelayed(job, token, Date.now() + tryAgainMs);
  }
  switch (next.kind) {
    case 'done':
      return atEnd === null ? null : completionOf(atEnd, connector.id, tools, report);
    case 'retry':
      // Lost in a crash, it is said again by the next attempt.
      if (next.unfit === true) await tools.lanes.fallback.setUnfit(connector.id, idOfJob(job.id)).catch(report);
      throw await moveToDelayed(job, token, next.at);
    case 'set-aside': {
      const moved = await moveToDelayed(job, token, next.at);
      // The answer may have come while this message was on its way aside.
      await tools.lanes.attribution.answer(connector.id).catch(report);
      throw moved;
    }
    case 'postpone':
    case 'wait':
      // Back to the front of the lane: order is kept and no attempt is counted. Where Redis refused the pause, the job stays active
      // until it is found abandoned. An error of any other kind would fail it for good, and nothing is wrong with the message.
      throw pauseRefused === null ? Worker.RateLimitError() : new WaitingError(pauseRefused);
    case 'elsewhere':
      throw new WaitingError();
    case 'hand-back':
      throw await handBack(job, token, next, connector.id, tools, report);
    default:
      return unreachable(next);
  }
}

/** A message that waits for another worker, or another configuration: a later release, or its key. */
type Waits = 'newer' | { readonly notBefore: number };

/** → null if the job was unreadable: it is a dead letter now. Nothing is wrong with one that waits. */
async function deliverJob(task: LaneTask, tools: LaneTools): Promise<Delivery | Waits | null> {
  const { job, connector } = task;
  const id = idOfJob(job.id);
  const decoded = decodeLane(job.id, job.data, tools.limits(), tools.sealing());
  if (!decoded.ok && decoded.why === 'newer') {
    tools.emit({ event: 'format-newer', id, version: versionOf(job.data) });
    return 'newer';
  }
  if (!decoded.ok && decoded.why === 'key-missing') {
    const notBefore = Date.now() + tools.keyAlarm.waitMs(decoded.key);
    const others = await tools.putOff(connector.id, job.data, notBefore);
    tools.keyAlarm.missing({ id, key: decoded.key, connector: connector.id, others });
    return { notBefore };
  }
  if (!decoded.ok) {
    await setInvalidAside({ queue: tools.lanes.queue(connector.id), connectorId: connector.id }, job, decoded, tools);
    return null;
  }
  const stopping: Delivery = { write: null, next: { kind: 'hand-back', why: 'stopping' } };
  const transport = tools.transport(connector.id);
  if (transport === null) return stopping;
  // Before the contents are read, and long before the fence: a message that waits here has done nothing yet.
  const bytes = bytesHeld(decoded.job.message, transport.maxInMemoryBytes);
  const release = await tools.budget.acquire(connector.id, bytes, task.signal);
  if (release === null) return stopping;
  return deliverHere(task, decoded.job, tools).finally(release);
}

/** `direct`: absent for a job of the lane. */
async function deliverHere(
  { job, token, signal, connector, tracing }: LaneTask,
  message: LaneJob,
  tools: LaneTools,
  direct?: DirectTask,
): Promise<Delivery> {
  const transport = tools.transport(connector.id);
  if (transport === null) return { write: null, next: { kind: 'hand-back', why: 'stopping' } };
  const attempt = {
    // The lane that a job is in says who sends it, whatever the job says.
    job: { ...message, connector: connector.id },
    transport,
    policy: connector.retry,
    limits: connector.limits,
    bouncePath: connector.bouncePath ?? null,
    dkim: connector.dkim ?? null,
    maxBytes: tools.limits().maxBytes,
    lock: { key: tools.lockKey(connector.id, message.id), token },
    rerun: job.attemptsStarted > 1 || job.stalledCounter > 0,
    signal,
    delivery: tools.delivery(),
    tracing,
    ...(direct === undefined ? {} : { direct }),
  };
  return deliver(attempt, tools);
}

async function commitAlone(write: LedgerWrite, connectorId: string, tools: LaneTools): Promise<void> {
  await reportRecovery(await commit(write, tools), connectorId, tools);
}

async function reportRecovery(
  answer: SettleAnswer,
  connectorId: string,
  { lanes, recovered }: LaneTools,
): Promise<void> {
  if (answer === 'ok' || answer === 'late') return;
  await lanes.attribution.answer(connectorId);
  if (answer === 'recovered' || answer === 'raised') await recovered(connectorId, answer);
}

/** The result and the end of the job are one step: atomic, and a round trip less. If that is refused, the result is written first. */
function completionOf(
  write: LedgerWrite,
  connectorId: string,
  tools: LaneTools,
  report: (thrown: unknown) => string,
): Completion {
  return {
    addOn: tools.ledger.settleAddOn(write.row, write.token, write.settlement),
    async committed(reply) {
      const answer = settleAnswerOf(reply);
      try {
        if (answer === null) await commitAlone(write, connectorId, tools);
        else {
          await conclude(write, answer, tools);
          await reportRecovery(answer, connectorId, tools);
        }
      } catch (thrown) {
        report(thrown);
      }
    },
    async detached() {
      try {
        await commitAlone(write, connectorId, tools);
        return true;
      } catch (thrown) {
        report(thrown);
        return false;
      }
    },
  };
}

async function handBack(
  job: TakenJob,
  token: string,
  { why }: Next & { kind: 'hand-back' },
  connectorId: string,
  { emit }: LaneTools,
  report: (thrown: unknown) => string,
): Promise<Error> {
  emit({ event: 'handed-back', id: idOfJob(job.id), connector: connectorId, why });
  try {
    // Without the lock the job belongs to another worker already.
    if (why !== 'lock lost') await job.moveToWait(token);
    return new WaitingError();
  } catch (thrown) {
    return new WaitingError(report(thrown));
  }
}

/** Delays a job without counting an attempt of BullMQ's; the ledger counts ours. */
async function moveToDelayed(job: TakenJob, token: string, at: number): Promise<Error> {
  try {
    await job.moveToDelayed(at, token);
  } catch (thrown) {
    // Redis refuses (out of memory, read-only): the job stays active until its lock ends and is then recovered as stalled.
    // WaitingError tells BullMQ to leave it alone; failing it would need the same Redis.
    return new WaitingError(asError(thrown).message);
  }
  return new DelayedError();
}
