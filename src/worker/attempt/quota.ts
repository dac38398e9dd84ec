/** What a connector's own limits say of one attempt: too large for it, its day or its window is full, or booked. */
import { contentSize } from '../../message/content.ts';
import type { Demand, Quota, QuotaKind } from '../../queue/lanes/quota.ts';
import type { OutgoingMail, Outcome, Transport } from '../../transport/transport.ts';
import type { ConnectorLimits } from '../settings.ts';

/** A refusal in words if the mail is larger than the connector may send; null if it is not. */
export function tooLargeFor(mail: OutgoingMail, { maxBytes = null }: ConnectorLimits): string | null {
  if (maxBytes === null) return null;
  const size = sizeOf(mail);
  return size <= maxBytes
    ? null
    : `the message has ${size} bytes, and the connector may send ${maxBytes} (limits.maxSize)`;
}

/** Attachments that were not composed would be lines of base64: 78 bytes for 57 (RFC 2045 section 6.8). */
function sizeOf({ bytes, headerOnly, structured }: OutgoingMail): number {
  const apart = headerOnly === true ? (structured?.message.attachments ?? []) : [];
  return bytes.length + apart.reduce((sum, attachment) => sum + Math.ceil((contentSize(attachment) * 78) / 57), 0);
}

export type Allowance =
  | { readonly kind: 'wait'; readonly waitMs: number; readonly quota: QuotaKind }
  /** `settle` gives back what the attempt did not use. `began`: the fence let it begin, so its bytes may have gone out. */
  | { readonly kind: 'go'; readonly settle: (outcome: Outcome, began: boolean) => Promise<void> };

interface AllowTools {
  readonly quota: Quota;
  readonly now: () => number;
}

const dayMs = 86_400_000;
const free: Allowance = { kind: 'go', settle: async () => undefined };

/** Books an attempt against the connector's day and window, in one step. A worker that dies keeps its booking: never too much. */
export async function allow(
  connectorId: string,
  mail: OutgoingMail,
  { recipientsPerDay = null, bytesPerWindow = null }: ConnectorLimits,
  { countedBytes = sizeOf }: Pick<Transport, 'countedBytes'>,
  { quota, now }: AllowTools,
): Promise<Allowance> {
  const demands: Demand[] = [];
  const { length: count } = mail.envelope.to;
  if (recipientsPerDay !== null) {
    demands.push({ kind: 'recipients-per-day', amount: count, limit: recipientsPerDay, windowMs: dayMs });
  }
  if (bytesPerWindow !== null) {
    const { bytes, windowMs } = bytesPerWindow;
    demands.push({ kind: 'bytes', amount: countedBytes(mail), limit: bytes, windowMs });
  }
  if (demands.length === 0) return free;
  const taken = await quota.take(connectorId, demands);
  if ('waitMs' in taken) return { kind: 'wait', waitMs: taken.waitMs, quota: taken.kind };
  const bookedAt = now();
  return {
    kind: 'go',
    async settle(outcome, began) {
      const used = (kind: QuotaKind): number =>
        kind === 'recipients-per-day' ? reachedBy(outcome) : began ? Infinity : 0;
      await quota.settle(connectorId, taken.booking, used, Math.max(0, now() - bookedAt));
    },
  };
}

function reachedBy(outcome: Outcome): number {
  if (outcome.kind !== 'settled') return 0;
  return outcome.recipients.filter((one) => one.outcome === 'accepted' || one.outcome === 'uncertain').length;
}
