/** What a connector's own limits say of one attempt: too large for it, its day is full, or booked. */
import { contentSize } from '../message/content.ts';
import type { Quota } from '../queue/quota.ts';
import type { OutgoingMail, Outcome } from '../transport/transport.ts';
import type { ConnectorLimits } from './settings.ts';

/** A refusal in words if the mail is larger than the connector may send; null if it is not. */
export function tooLargeFor(
  { bytes, headerOnly, structured }: OutgoingMail,
  { maxBytes = null }: ConnectorLimits,
): string | null {
  if (maxBytes === null) return null;
  // Attachments that were not composed would be lines of base64: 78 bytes for 57 (RFC 2045 section 6.8).
  const apart = headerOnly === true ? (structured?.message.attachments ?? []) : [];
  const size =
    bytes.length + apart.reduce((sum, attachment) => sum + Math.ceil((contentSize(attachment) * 78) / 57), 0);
  return size <= maxBytes
    ? null
    : `the message has ${size} bytes, and the connector may send ${maxBytes} (limits.maxSize)`;
}

export type Allowance =
  | { readonly kind: 'wait'; readonly waitMs: number }
  /** `settle` gives back the recipients whom the attempt did not reach. */
  | { readonly kind: 'go'; readonly settle: (outcome: Outcome) => Promise<void> };

/** Books the recipients of an attempt against the connector's day. A worker that dies keeps its booking: never too many. */
export async function allow(
  connectorId: string,
  count: number,
  { recipientsPerDay = null }: ConnectorLimits,
  quota: Quota,
): Promise<Allowance> {
  if (recipientsPerDay === null) return { kind: 'go', settle: async () => undefined };
  const taken = await quota.take(connectorId, count, recipientsPerDay);
  if ('waitMs' in taken) return { kind: 'wait', waitMs: taken.waitMs };
  return {
    kind: 'go',
    async settle(outcome) {
      const reached =
        outcome.kind === 'settled'
          ? outcome.recipients.filter((one) => one.outcome === 'accepted' || one.outcome === 'uncertain').length
          : 0;
      await quota.giveBack(connectorId, taken.booking, count - reached);
    },
  };
}
