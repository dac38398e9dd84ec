/** Who may get mail, as the attempts ask for it. Pure. */
import { matchesPattern, routingKey } from '../message/address.ts';
import type { DeliveryRules, DeliverySettings } from './settings.ts';

/** null: everyone may. */
export function deliveryRulesOf({ redirectTo, allowRecipients }: DeliverySettings): DeliveryRules | null {
  if (redirectTo === null && allowRecipients === null) return null;
  // Who gets the copies of others gets its own mail, too.
  const patterns = new Set([...(allowRecipients ?? []), ...(redirectTo === null ? [] : [routingKey(redirectTo)])]);
  return { redirectTo, allows: (address) => matchesPattern(patterns, address) };
}
