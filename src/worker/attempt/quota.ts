/** What a connector's own limits say about one attempt: the mail is too large, the day or the window is full, or it is reserved. */
import { contentSize } from '../../message/content.ts';
import { unreachable } from '../../errors.ts';
import {
  groupQuotasOf,
  ownerOfGroup,
  quotasOf,
  type Demand,
  type QuotaKind,
  type QuotaWindow,
} from '../../queue/lanes/quota.ts';
import type { ConnectorLimits } from '../../routing/connector.ts';
import type { OutgoingMail, Outcome, Transport } from '../../transport/transport.ts';
import type { DeliverTools, QuotaWait } from './task.ts';

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
  | QuotaWait
  /** `settle` gives back what the attempt did not use. `begun`: the fence let it begin, so its bytes may have gone out. */
  | { readonly kind: 'reserved'; readonly settle: (outcome: Outcome, begun: boolean) => Promise<void> }
  | { readonly kind: 'unlimited' };

type QuotaTools = Pick<DeliverTools, 'quota' | 'now'>;

/**
 * Reserves an attempt's share of the connector's day and window, in one step, and then that of its group, which may be on another master
 * of a Cluster. Both are reserved before the attempt, so neither is ever exceeded. If the group is full, the connector's share is given
 * back. A worker that dies leaves its reservations behind: less is sent then than may be, never more.
 */
export async function reserveQuota(
  connectorId: string,
  mail: OutgoingMail,
  limits: ConnectorLimits,
  { countedBytes = sizeOf }: Pick<Transport, 'countedBytes'>,
  tools: QuotaTools,
): Promise<QuotaReservation> {
  const { group = null } = limits;
  const demand = (window: QuotaWindow): Demand => {
    switch (window.kind) {
      case 'recipients-per-day':
        return { ...window, amount: mail.envelope.to.length };
      case 'bytes':
        return { ...window, amount: countedBytes(mail) };
      case 'messages-per-minute':
      case 'messages-per-day':
        return { ...window, amount: 1 };
      default:
        return unreachable(window.kind);
    }
  };
  const own = quotasOf(limits);
  const shared = group === null ? [] : groupQuotasOf(group);
  if (own.length + shared.length === 0) return { kind: 'unlimited' };
  const taken = await reserve(connectorId, own.map(demand), tools);
  if ('waitMs' in taken) {
    const { waitMs, kind } = taken;
    // The kinds of a connector's own limits only.
    return { kind: 'wait', waitMs, quota: kind, group: null, hold: kind === 'bytes' ? 'bytes' : 'recipients-per-day' };
  }
  if (group === null) return { kind: 'reserved', settle: (outcome, begun) => taken.settle(usedBy(outcome, begun)) };
  const withGroup = await reserve(ownerOfGroup(group.id), shared.map(demand), tools);
  if ('waitMs' in withGroup) {
    await taken.settle(() => 0);
    return { kind: 'wait', waitMs: withGroup.waitMs, quota: withGroup.kind, group: group.id, hold: 'group' };
  }
  return {
    kind: 'reserved',
    async settle(outcome, begun) {
      const used = usedBy(outcome, begun);
      await Promise.all([taken.settle(used), withGroup.settle(used)]);
    },
  };
}

type Used = (kind: QuotaKind) => number;

async function reserve(
  owner: string,
  demands: readonly Demand[],
  { quota, now }: QuotaTools,
): Promise<{ waitMs: number; kind: QuotaKind } | { settle: (used: Used) => Promise<void> }> {
  const taken = await quota.take(owner, demands);
  if ('waitMs' in taken) return taken;
  const reservedAt = now();
  return { settle: (used) => quota.settle(owner, taken.booking, used, Math.max(0, now() - reservedAt)) };
}

function usedBy(outcome: Outcome, begun: boolean): Used {
  return (kind) => (kind === 'recipients-per-day' ? reachedBy(outcome) : begun ? Infinity : 0);
}

function reachedBy(outcome: Outcome): number {
  if (outcome.kind !== 'settled') return 0;
  return outcome.recipients.filter((one) => one.outcome === 'accepted' || one.outcome === 'uncertain').length;
}
