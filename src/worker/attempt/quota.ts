/** What a connector's own limits say about one attempt: the mail is too large, the day or the window is full, or it is reserved. */
import { contentSize } from '../../message/content.ts';
import type { Demand, QuotaKind } from '../../queue/lanes/quota.ts';
import type { ConnectorLimits } from '../../routing/connector.ts';
import type { OutgoingMail, Outcome, Transport } from '../../transport/transport.ts';
import type { DeliverTools } from './task.ts';

/** The refusal, in words, of a mail that is larger than the connector or the installation may send; null if it is not. */
export function tooLargeFor(
  mail: OutgoingMail,
  { maxBytes = null }: ConnectorLimits,
  maxMessageBytes: number,
): string | null {
  const size = sizeOf(mail);
  if (maxBytes !== null && size > maxBytes) {
    return `the message has ${size} bytes, and the connector may send ${maxBytes} (limits.maxSize)`;
  }
  return size > maxMessageBytes
    ? `the message has ${size} bytes; the limit is ${maxMessageBytes} (message.maxSize)`
    : null;
}

/** What was not composed: attachments will be lines of base64, 78 bytes for 57 (RFC 2045 section 6.8), and the text is at least as long. */
export function sizeOf({ bytes, headerOnly, structured }: OutgoingMail): number {
  if (headerOnly !== true || structured === undefined) return bytes.length;
  const { text = '', html = '', attachments } = structured.message;
  const attached = attachments.reduce((sum, attachment) => sum + Math.ceil((contentSize(attachment) * 78) / 57), 0);
  return bytes.length + Buffer.byteLength(text) + Buffer.byteLength(html) + attached;
}

export type QuotaReservation =
  | { readonly kind: 'wait'; readonly waitMs: number; readonly quota: QuotaKind }
  /** `settle` gives back what the attempt did not use. `begun`: the fence let it begin, so its bytes may have gone out. */
  | { readonly kind: 'reserved'; readonly settle: (outcome: Outcome, begun: boolean) => Promise<void> }
  | { readonly kind: 'unlimited' };

const dayMs = 86_400_000;

/**
 * Reserves an attempt's share of the connector's day and window, in one step. A worker that dies leaves its reservation behind:
 * the connector then sends less than it may, never more.
 */
export async function reserveQuota(
  connectorId: string,
  mail: OutgoingMail,
  { recipientsPerDay = null, bytesPerWindow = null }: ConnectorLimits,
  { countedBytes = sizeOf }: Pick<Transport, 'countedBytes'>,
  { quota, now }: Pick<DeliverTools, 'quota' | 'now'>,
): Promise<QuotaReservation> {
  const demands: Demand[] = [];
  const { length: count } = mail.envelope.to;
  if (recipientsPerDay !== null) {
    demands.push({ kind: 'recipients-per-day', amount: count, limit: recipientsPerDay, windowMs: dayMs });
  }
  if (bytesPerWindow !== null) {
    const { bytes, windowMs } = bytesPerWindow;
    demands.push({ kind: 'bytes', amount: countedBytes(mail), limit: bytes, windowMs });
  }
  if (demands.length === 0) return { kind: 'unlimited' };
  const taken = await quota.take(connectorId, demands);
  if ('waitMs' in taken) return { kind: 'wait', waitMs: taken.waitMs, quota: taken.kind };
  const reservedAt = now();
  return {
    kind: 'reserved',
    async settle(outcome, begun) {
      const used = (kind: QuotaKind): number =>
        kind === 'recipients-per-day' ? reachedBy(outcome) : begun ? Infinity : 0;
      await quota.settle(connectorId, taken.booking, used, Math.max(0, now() - reservedAt));
    },
  };
}

function reachedBy(outcome: Outcome): number {
  if (outcome.kind !== 'settled') return 0;
  return outcome.recipients.filter((one) => one.outcome === 'accepted' || one.outcome === 'uncertain').length;
}
