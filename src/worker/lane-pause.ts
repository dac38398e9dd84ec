/** After an attempt: pauses the lane for all workers where the server, a fault or a quota asks for it. */
import { unreachable } from '../errors.ts';
import { idOfJob } from '../queue/jobs.ts';
import type { TakenJob } from '../queue/lanes/lane-worker.ts';
import type { Lanes } from '../queue/lanes/lanes.ts';
import { firstPauseMs, faultPauses, longestHoldMs, type FoundFault } from './attempt/retry-policy.ts';
import type { Next } from './attempt/task.ts';
import type { Listener } from './events.ts';
import type { ConnectorConfig } from './settings.ts';

interface PauseTools {
  readonly lanes: Pick<Lanes, 'holdFor' | 'fault'>;
  readonly emit: Listener;
  readonly pauseScale: number;
}

/** Pauses the lane for all workers where the server, a fault or a quota asks for it. */
export async function pauseLane(
  next: Next,
  { job, connector }: { readonly job: TakenJob; readonly connector: ConnectorConfig },
  tools: PauseTools,
): Promise<void> {
  const { lanes, emit, pauseScale } = tools;
  const about = { id: idOfJob(job.id), connector: connector.id };
  switch (next.kind) {
    case 'done':
    case 'retry':
      if (next.slowDownMs !== null) await lanes.holdFor(connector.id, next.slowDownMs * pauseScale, 'slow-down');
      return;
    case 'set-aside':
      if (next.fault !== null) await countFault(next.fault, true, about, connector, tools);
      return;
    case 'postpone':
      return countFault(next.decision, false, about, connector, tools);
    case 'wait':
      emit({ event: 'quota-full', ...about, quota: next.quota, group: next.group, waitMs: next.waitMs });
      return lanes.holdFor(connector.id, next.waitMs, next.hold);
    case 'elsewhere':
    case 'hand-back':
      return;
    default:
      return unreachable(next);
  }
}

interface About {
  readonly id: string;
  readonly connector: string;
}

/** `found`: refusals of several messages have shown the fault. */
async function countFault(
  { fault, reply, toldMs }: FoundFault,
  found: boolean,
  about: About,
  connector: ConnectorConfig,
  { lanes, emit, pauseScale }: PauseTools,
): Promise<void> {
  const text = reply.text ?? '';
  const { pauseMs, faults, concurrency, messagesPerMinute } = await lanes.fault(connector.id, {
    kind: fault,
    reply: text,
    toldMs: toldMs === null ? null : toldMs * pauseScale,
    firstMs: firstPauseMs(fault, found, reply) * pauseScale,
    longestMs: faultPauses[fault].longestMs * pauseScale,
    found,
    limits: connector.limits,
    longestHoldMs: longestHoldMs * pauseScale,
  });
  const inForce = { concurrency, messagesPerMinute };
  emit({ event: 'connector-fault', ...about, fault, faults, pauseMs, ...inForce, code: reply.code, reply: text });
}
