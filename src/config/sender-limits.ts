/** What a sending application may submit in a day: keys that tokens of the API and users of submission have alike. */
import { z } from 'zod';

export const senderLimitKeys = {
  messagesPerDay: z
    .int()
    .min(1)
    .max(100_000_000)
    .optional()
    .describe('Messages that it may submit in any 24 hours, over all processes. Default: unlimited.'),
  recipientsPerDay: z
    .int()
    .min(1)
    .max(100_000_000)
    .optional()
    .describe('Recipients of the messages that it may submit in any 24 hours, over all processes. Default: unlimited.'),
};

/** null is unlimited. */
export interface SenderLimits {
  readonly messagesPerDay: number | null;
  readonly recipientsPerDay: number | null;
}

export const noSenderLimits: SenderLimits = { messagesPerDay: null, recipientsPerDay: null };

export function buildSenderLimits({
  messagesPerDay,
  recipientsPerDay,
}: {
  readonly messagesPerDay?: number | undefined;
  readonly recipientsPerDay?: number | undefined;
}): SenderLimits {
  return { messagesPerDay: messagesPerDay ?? null, recipientsPerDay: recipientsPerDay ?? null };
}
