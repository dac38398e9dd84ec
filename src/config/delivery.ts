/** The section `delivery`: who may get mail of this installation, and who gets the copies of the others; its schema, settings and rules. */
import { z } from 'zod';
import { matchesPattern, parseAddressPattern, parseMailbox } from '../message/address.ts';
import { deliveryWords, type DeliverySettings } from './delivery-words.ts';
import type { Path, Problem } from './issues.ts';
import * as value from './values.ts';

/** Patterns of `allowRecipients`. */
const maxPatterns = 10_000;

export const delivery = z
  .strictObject({
    redirectTo: value.mailbox
      .nullable()
      .default(null)
      .describe(
        'Address that gets the mail of all recipients who are not in `allowRecipients`; without that list, all mail.',
      ),
    allowRecipients: z
      .array(value.addressPattern)
      .max(maxPatterns)
      .nullable()
      .default(null)
      .describe(
        'The only addresses or patterns that get mail; an empty list is none. The mail of others goes to `redirectTo`, or nowhere.',
      ),
  })
  .prefault({})
  .describe('Who may get mail at all: for installations that must not write to customers, such as a test system.');

export function buildDelivery({ redirectTo, allowRecipients }: z.output<typeof delivery>): DeliverySettings {
  return { redirectTo: redirectTo?.address ?? null, allowRecipients };
}

/** Checks the data of the file. */
export function deliveryProblems(data: unknown, show: (path: Path, value: unknown) => string | null): Problem[] {
  if (typeof data !== 'object' || data === null) return [];
  const { redirectTo: written, allowRecipients: list } = data as Readonly<Record<string, unknown>>;
  const mailbox = typeof written === 'string' ? parseMailbox(written) : null;
  const redirectTo = mailbox?.ok === true ? mailbox.value.address : null;
  const patterns = Array.isArray(list)
    ? list.flatMap((each): string[] => {
        const parsed = typeof each === 'string' ? parseAddressPattern(each) : null;
        return parsed?.ok === true ? [parsed.value] : [];
      })
    : null;
  const problems: Problem[] = [];
  if (redirectTo !== null && patterns !== null && !matchesPattern(new Set(patterns), redirectTo)) {
    const message =
      'is not among delivery.allowRecipients; add it there, or leave allowRecipients out to redirect all mail';
    problems.push({ path: ['delivery', 'redirectTo'], rule: 'delivery-redirect', message, on: 'value' });
  }
  const shown = redirectTo === null || show(['delivery', 'redirectTo'], written) !== null ? redirectTo : '***';
  const words = deliveryWords({ redirectTo: shown, allowRecipients: patterns });
  if (words !== null)
    problems.push({ path: ['delivery'], rule: 'delivery-restricted', message: `is in force: ${words}`, on: 'key' });
  return problems;
}
