/**
 * What follows an attempt without a result where the far side can be asked: look, and settle by what is found. Looks are
 * spaced like retries and bounded; when they come to nothing, `onUnverified` decides.
 */
import { unreachable } from '../../errors.ts';
import type { LedgerRow, NewRow, RecipientState } from '../../queue/ledger/ledger.ts';
import type { OutgoingMail, Transport, Verification } from '../../transport/transport.ts';
import { foundSent, leaveUncertain, retryDelayMs } from './retry-policy.ts';
import type { SendPolicy } from '../settings.ts';
import { deferUnverified, settleMessage, type Settled } from './settlement.ts';
import type { Delivery, DeliverTools } from './task.ts';

export interface Doubt {
  readonly transport: Transport;
  readonly mail: OutgoingMail;
  readonly row: NewRow;
  readonly before: LedgerRow;
  readonly settled: Settled;
  readonly policy: SendPolicy;
  readonly signal: AbortSignal;
}

/** With the default schedule the last look comes half an hour after the attempt: mail systems are rarely further behind. */
const maxLooks = 6;

/** `send`: nothing was sent, or policy says to make the attempt again. Otherwise what the queue must do with the job. */
export async function resolveDoubt(doubt: Doubt, tools: DeliverTools): Promise<Delivery | 'send'> {
  const { row, before, settled, policy } = doubt;
  const result = await look(doubt);
  tools.emit({ event: 'verified', id: row.id, connector: settled.job.connector, result });
  switch (result) {
    case 'sent':
      await settleMessage(settled, foundSent(row.recipients), tools);
      return { kind: 'finished' };
    case 'not-sent':
      return 'send';
    case 'unknown': {
      const looks = before.history.filter(({ event }) => event === 'unverified').length + 1;
      const at = tools.now() + retryDelayMs(looks, policy, tools.random);
      if (looks >= maxLooks || at >= row.deadline) return giveUpLooking(doubt, 'nothing was found out in time', tools);
      await deferUnverified(settled, markUncertain(row.recipients), at, tools);
      return { kind: 'retry', at, slowDownMs: null };
    }
    case 'forbidden':
      return giveUpLooking(doubt, 'the connector may not read the mailbox', tools);
    default:
      return unreachable(result);
  }
}

async function look({ transport, mail, before, signal }: Doubt): Promise<Verification> {
  const noted = before.history.findLast(({ event }) => event === 'uncertain');
  const attemptedAt = before.open?.at ?? noted?.at ?? before.updatedAt;
  return transport.verify === undefined ? 'forbidden' : transport.verify(mail, { signal, attemptedAt });
}

async function giveUpLooking(
  { row, settled, policy }: Doubt,
  why: string,
  tools: DeliverTools,
): Promise<Delivery | 'send'> {
  if (policy.onUnverified === 'retry') return 'send';
  await settleMessage(settled, leaveUncertain(row.recipients, why, policy, false), tools);
  return { kind: 'finished' };
}

function markUncertain(recipients: readonly RecipientState[]): RecipientState[] {
  return recipients.map((recipient) =>
    recipient.outcome === 'accepted' || recipient.outcome === 'rejected'
      ? recipient
      : { ...recipient, outcome: 'uncertain' },
  );
}
