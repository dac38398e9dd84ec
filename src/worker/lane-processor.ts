/** What happens to a job of a lane: decode it, deliver it, and translate the answer into BullMQ's terms. Nothing else does that. */
import { DelayedError, Worker, WaitingError, type Job } from 'bullmq';
import { asError, printable, unreachable } from '../errors.ts';
import type { Riding } from '../queue/bullmq/shared-queues.ts';
import type { ConnectorConfig } from './settings.ts';
import { decodeLane } from '../queue/jobs.ts';
import type { Lanes } from '../queue/lanes/lanes.ts';
import { laneName, type Keys } from '../queue/redis/keys.ts';
import type { Transport } from '../transport/transport.ts';
import { buryInvalid } from './dead-letter.ts';
import { bytesHeld, type ByteBudget } from './byte-budget.ts';
import { deliver } from './attempt/deliver.ts';
import type { Delivery, DeliverTools } from './attempt/task.ts';
import { faultPauses, longestHoldMs } from './attempt/retry-policy.ts';
import type { MessageLimits } from '../message/message.ts';

export interface LaneTools extends DeliverTools {
  /** The keys of the connector's shard. */
  readonly keysOf: (connectorId: string) => Keys;
  readonly lanes: Lanes;
  readonly limits: () => MessageLimits;
  readonly transport: (connectorId: string) => Transport | null;
  readonly pauseScale: number;
  readonly budget: ByteBudget;
}

/** After an error of our own or of Redis that no rule foresees: long enough not to spin, short enough not to be noticed. */
const tryAgainMs = 5_000;

export async function processLaneJob(
  job: Job,
  token: string,
  signal: AbortSignal,
  connector: ConnectorConfig,
  riding: Riding,
  tools: LaneTools,
): Promise<void> {
  const id = String(job.id);
  const report = (thrown: unknown): string => {
    const detail = printable(asError(thrown).message, 500);
    tools.emit({ event: 'error', id, where: laneName(connector.id), detail });
    return detail;
  };
  let delivery: Delivery;
  try {
    const decoded = decodeLane(id, job.data, tools.limits());
    if (!decoded.ok) {
      await buryInvalid(decoded, job.data, job.timestamp, tools);
      return;
    }
    const transport = tools.transport(connector.id);
    if (transport === null) {
      delivery = { kind: 'hand-back', why: 'stopping' };
    } else {
      const key = tools.keysOf(connector.id).queue(laneName(connector.id), `${id}:lock`);
      // Before its contents are read, and long before the fence: who waits here has done nothing yet.
      const bytes = bytesHeld(decoded.job.message, transport.wholeBytes);
      const release = await tools.budget.acquire(connector.id, bytes, signal);
      if (release === null) {
        delivery = { kind: 'hand-back', why: 'stopping' };
      } else {
        const task = {
          // The lane that a job is in says who sends it, whatever the job says.
          job: { ...decoded.job, connector: connector.id },
          transport,
          policy: connector.retry,
          limits: connector.limits,
          lock: { key, token },
          rerun: job.attemptsStarted > 1 || job.stalledCounter > 0,
          signal,
          carry: riding.carry,
        };
        delivery = await deliver(task, tools).finally(release);
        if (delivery.kind === 'finished' && delivery.ending !== undefined) {
          riding.until(
            delivery.ending.catch((thrown: unknown) => {
              report(thrown);
              throw thrown;
            }),
          );
        }
      }
    }
  } catch (thrown) {
    report(thrown);
    throw await moveToDelayed(job, token, Date.now() + tryAgainMs);
  }
  let verdict: Error | null;
  try {
    verdict = await translate(delivery, job, token, connector, tools);
  } catch (thrown) {
    // Redis refused. An error of any other kind would fail the job for good, and nothing is wrong with the message.
    verdict = new WaitingError(report(thrown));
  }
  if (verdict !== null) throw verdict;
}

/** → the error by which BullMQ is told where the job has gone; null if it is done. */
async function translate(
  delivery: Delivery,
  job: Job,
  token: string,
  connector: ConnectorConfig,
  { lanes, emit, pauseScale }: LaneTools,
): Promise<Error | null> {
  const id = String(job.id);
  switch (delivery.kind) {
    case 'finished':
      if (delivery.slowDownMs !== undefined)
        await lanes.postpone(connector.id, delivery.slowDownMs * pauseScale, 'slow-down');
      return null;
    case 'retry':
      if (delivery.slowDownMs !== null)
        await lanes.postpone(connector.id, delivery.slowDownMs * pauseScale, 'slow-down');
      return moveToDelayed(job, token, delivery.at);
    case 'postpone': {
      const { fault, reply, toldMs } = delivery.decision;
      const text = reply.text ?? '';
      const { pauseMs, faults, concurrency } = await lanes.fault(connector.id, {
        kind: fault,
        reply: text,
        toldMs: toldMs === null ? null : toldMs * pauseScale,
        firstMs: faultPauses[fault].firstMs * pauseScale,
        longestMs: faultPauses[fault].longestMs * pauseScale,
        concurrency: connector.limits.concurrency,
        longestHoldMs: longestHoldMs * pauseScale,
      });
      emit({
        event: 'connector-fault',
        connector: connector.id,
        id,
        fault,
        faults,
        pauseMs,
        concurrency,
        code: reply.code,
        reply: text,
      });
      await lanes.postpone(connector.id, pauseMs, 'fault');
      // Back to the front of the lane: order is kept and no attempt is burned.
      return Worker.RateLimitError();
    }
    case 'wait':
      emit({ event: 'quota-full', connector: connector.id, id, quota: delivery.quota, waitMs: delivery.waitMs });
      await lanes.postpone(connector.id, delivery.waitMs, delivery.quota);
      return Worker.RateLimitError();
    case 'hand-back': {
      emit({ event: 'handed-back', id, connector: connector.id, why: delivery.why });
      // Without the lock the job is somebody else's already.
      if (delivery.why !== 'lock lost') await job.moveToWait(token);
      return new WaitingError();
    }
    default:
      return unreachable(delivery);
  }
}

/** Delays a job without counting an attempt of BullMQ's; the ledger counts ours. */
async function moveToDelayed(job: Job, token: string, at: number): Promise<Error> {
  try {
    await job.moveToDelayed(at, token);
  } catch (thrown) {
    // Redis refuses (out of memory, read-only): the job stays active until its lock ends and is then recovered as stalled.
    // WaitingError tells BullMQ to leave it alone; failing it would need the same Redis.
    return new WaitingError(asError(thrown).message);
  }
  return new DelayedError();
}
