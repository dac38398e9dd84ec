/**
 * What follows an attempt without a result at a server that can be asked: verify whether it sent the mail, and settle by the
 * answer. Verifications are bounded by time; if they stay inconclusive, `onUnverified` decides.
 */
import { unreachable } from '../../errors.ts';
import { isDone, type LedgerRow, type RecipientState } from '../../queue/ledger/ledger.ts';
import type { OutgoingMail, Verification } from '../../transport/transport.ts';
import type { SendPolicy } from '../settings.ts';
import { asUncertain, foundSent, leaveUncertain, retryDelayMs } from './retry-policy.ts';
import { settled, unverified, type Attempted } from './settlement.ts';
import type { Delivery, DeliverTask, DeliverTools } from './task.ts';
import { nextVerification } from './verification-schedule.ts';

export interface InDoubt {
  readonly task: DeliverTask;
  readonly mail: OutgoingMail;
  /** The row as it was read before this attempt. */
  readonly before: LedgerRow;
  readonly attempted: Attempted;
  /** Whose copy goes to another address. */
  readonly redirected: ReadonlySet<string>;
}

/** → `send`: nothing was sent, or policy says to make the attempt again. Otherwise, what follows. */
export async function verifyAttempt(inDoubt: InDoubt, tools: DeliverTools): Promise<Delivery | 'send'> {
  const { task, before } = inDoubt;
  const attemptedAt = attemptedAtOf(before);
  const result = await verify(inDoubt, attemptedAt);
  const attempted = { ...inDoubt.attempted, at: tools.now() };
  const { row } = attempted;
  const isRedirected = (address: string): boolean => inDoubt.redirected.has(address);
  tools.emit({ event: 'verified', id: row.id, connector: task.job.connector, result });
  switch (result) {
    case 'sent':
      return {
        write: settled(
          attempted,
          foundSent(row.recipients, inDoubt.redirected),
          tools.retentionMs(),
          tools.contentMs(),
        ),
        next: { kind: 'done', slowDownMs: null },
      };
    case 'not-sent':
      return 'send';
    case 'unknown': {
      const verifications = before.history.filter(({ event }) => event === 'unverified').length + 1;
      const at = nextVerification({
        now: attempted.at,
        attemptedAt,
        retryMs: retryDelayMs(verifications, task.policy, tools.random),
        copyWithinMs: task.transport.copyWithinMs ?? 0,
        verifyForMs: tools.verifyForMs,
        deadline: row.deadline,
      });
      if (at === null) {
        return leaveUnverified(attempted, task.policy, 'nothing was found out in time', isRedirected, tools);
      }
      return {
        write: unverified(attempted, markUncertain(row.recipients, isRedirected), at),
        next: { kind: 'retry', at, slowDownMs: null },
      };
    }
    case 'forbidden':
      return leaveUnverified(attempted, task.policy, 'the connector may not read the mailbox', isRedirected, tools);
    default:
      return unreachable(result);
  }
}

function attemptedAtOf({ open, history, updatedAt }: LedgerRow): number {
  return open?.at ?? history.findLast(({ event }) => event === 'uncertain')?.at ?? updatedAt;
}

async function verify({ task: { transport, signal }, mail }: InDoubt, attemptedAt: number): Promise<Verification> {
  return transport.verify === undefined ? 'forbidden' : transport.verify(mail, { signal, attemptedAt });
}

function leaveUnverified(
  attempted: Attempted,
  policy: SendPolicy,
  why: string,
  isRedirected: (address: string) => boolean,
  tools: DeliverTools,
): Delivery | 'send' {
  if (policy.onUnverified === 'retry') return 'send';
  const decision = leaveUncertain(attempted.row.recipients, why, policy, false, isRedirected);
  return {
    write: settled(attempted, decision, tools.retentionMs(), tools.contentMs()),
    next: { kind: 'done', slowDownMs: null },
  };
}

function markUncertain(
  recipients: readonly RecipientState[],
  isRedirected: (address: string) => boolean,
): RecipientState[] {
  return recipients.map((recipient) =>
    isDone(recipient) || recipient.outcome === 'rejected' ? recipient : asUncertain(recipient, isRedirected),
  );
}
