/** What a sending application, by its token or its login, may still submit today: booked before a message is stored, returned if it is not. */
import { PostlaneError } from '../errors.ts';
import type { Message } from '../message/message.ts';
import { ownerOfSender, senderQuotasOf, type Quota, type QuotaKind, type SenderLimits } from '../queue/lanes/quota.ts';

export type { SenderLimits } from '../queue/lanes/quota.ts';

export type SenderShare =
  /** `giveBack` never rejects: where Redis refuses it, less may be submitted than the limit, and never more. */
  | { readonly kind: 'taken'; readonly giveBack: () => Promise<void> }
  /** `waitMs` until there is room. */
  | { readonly kind: 'full'; readonly waitMs: number; readonly what: string }
  /** The message has more recipients than a whole day may have. */
  | { readonly kind: 'never'; readonly what: string };

export interface SenderQuotas {
  /** `name`: of a token, or of another that is no token's. Rejects as Redis does. */
  take(name: string, limits: SenderLimits, recipients: number): Promise<SenderShare>;
  /** How much is booked within the last day; null without such a limit. */
  used(name: string, limits: SenderLimits): Promise<SenderLimits>;
}

const nothing = async (): Promise<void> => undefined;

export function createSenderQuotas(quota: Quota): SenderQuotas {
  return {
    async take(name, limits, recipients) {
      const { recipientsPerDay: day } = limits;
      if (day !== null && recipients > day) return { kind: 'never', what: `${day} recipients a day` };
      const windows = senderQuotasOf(limits);
      if (windows.length === 0) return { kind: 'taken', giveBack: nothing };
      const owner = ownerOfSender(name);
      const amountOf = (kind: QuotaKind): number => (kind === 'recipients-per-day' ? recipients : 1);
      const taken = await quota.take(
        owner,
        windows.map((window) => ({ ...window, amount: amountOf(window.kind) })),
      );
      if ('waitMs' in taken) {
        const { limit } = windows.find(({ kind }) => kind === taken.kind)!;
        const what = `${limit} ${taken.kind === 'recipients-per-day' ? 'recipients' : 'messages'} a day`;
        return { kind: 'full', waitMs: taken.waitMs, what };
      }
      const giveBack = (): Promise<void> => quota.settle(owner, taken.booking, () => 0, 0).catch(nothing);
      return { kind: 'taken', giveBack };
    },

    async used(name, limits) {
      const windows = senderQuotasOf(limits);
      const used = windows.length === 0 ? [] : await quota.used(ownerOfSender(name), windows);
      const of = (kind: QuotaKind): number | null => {
        const at = windows.findIndex((window) => window.kind === kind);
        return at < 0 ? null : (used[at] ?? 0);
      };
      return { messagesPerDay: of('messages-per-day'), recipientsPerDay: of('recipients-per-day') };
    },
  };
}

/** What one message has booked of a quota, from before it is stored until it is known whether it was. */
export interface Booking {
  /** For the producer: books, unless there is no room. → whether it has. undefined without a limit. */
  readonly beforeStore: ((message: Pick<Message, 'envelope'>) => Promise<boolean>) | undefined;
  /** Why `beforeStore` has not. */
  refusal(): Exclude<SenderShare, { kind: 'taken' }> | null;
  /** Never rejects. */
  giveBack(): Promise<void>;
}

export function createBooking(
  limits: SenderLimits | null,
  take: (recipients: number) => Promise<SenderShare>,
): Booking {
  const held: { share: SenderShare | null } = { share: null };
  const isLimited = limits !== null && (limits.messagesPerDay !== null || limits.recipientsPerDay !== null);
  const beforeStore: Booking['beforeStore'] = async ({ envelope }) => {
    held.share = await take(new Set(envelope.to).size);
    return held.share.kind === 'taken';
  };
  return {
    beforeStore: isLimited ? beforeStore : undefined,
    refusal: () => (held.share === null || held.share.kind === 'taken' ? null : held.share),
    giveBack: async () => (held.share?.kind === 'taken' ? held.share.giveBack() : undefined),
  };
}

/** After an error of the producer that leaves no doubt: with any other, the message may be stored, and counts. */
export function isNotStored(error: unknown): boolean {
  if (!(error instanceof PostlaneError)) return false;
  const { code } = error;
  return [
    'message-invalid',
    'idempotency-mismatch',
    'redis-full',
    'redis-refused',
    'attachment-missing',
    'key-missing',
  ].includes(code);
}
