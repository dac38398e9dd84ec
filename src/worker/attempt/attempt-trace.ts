/** The span of one attempt: what it is a part of, what it came to, and what is asked of a server within it. */
import type { LaneJob } from '../../queue/jobs.ts';
import type { LedgerRow } from '../../queue/ledger/ledger.ts';
import type { TracedSpan, Tracing } from '../../tracing/tracing.ts';
import type { Outcome, OutgoingMail, SendContext } from '../../transport/transport.ts';
import type { AttemptEvent } from '../events.ts';
import type { DeliverTask, DeliverTools } from './task.ts';

/**
 * The first attempt is a part of the trace in which the message was sent. Later ones, those of a replay included, begin traces of their
 * own, and name that context and the attempt before them.
 */
export function beginAttempt(
  tracing: Tracing,
  job: LaneJob,
  before: LedgerRow | null,
  attempt: number,
  { now, parentWithinMs }: Pick<DeliverTools, 'now' | 'parentWithinMs'>,
): TracedSpan {
  const origin = job.trace ?? before?.trace ?? '';
  const last = before?.lastTrace ?? '';
  const isPart = !job.known && last === '' && now() - job.acceptedAt <= parentWithinMs();
  return tracing.begin('deliver lane', {
    kind: 'consumer',
    parent: isPart ? origin : '',
    links: isPart ? [] : [origin, last],
    attributes: {
      'messaging.system': 'postlane',
      'messaging.destination.template': 'lane',
      'messaging.operation.name': 'deliver',
      'messaging.message.id': job.id,
      'postlane.connector.id': job.connector,
      'postlane.attempt': attempt,
    },
  });
}

/** `error`: the class of what failed, if something did. */
export function endAttempt(span: TracedSpan, event: AttemptEvent, error: string | null): void {
  span.set({
    'postlane.outcome': event.outcome,
    'postlane.recipients.accepted': event.accepted,
    'postlane.recipients.deferred': event.deferred,
    'postlane.recipients.rejected': event.rejected,
    'postlane.recipients.uncertain': event.uncertain,
  });
  span.end(error);
}

/** What the transport begins, and what libraries below it begin, belongs to the attempt. */
export function sendTraced(
  span: TracedSpan,
  { transport }: DeliverTask,
  mail: OutgoingMail,
  context: SendContext,
): Promise<Outcome> {
  const fence = async (): Promise<boolean> => {
    const mayBegin = await context.fence();
    if (mayBegin) span.event('fence');
    return mayBegin;
  };
  return span.run(() => transport.send(mail, { ...context, fence, trace: span }));
}
