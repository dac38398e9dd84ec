/** The settings of `delivery`, and what they mean in words. It loads nothing, as every command needs it. */

export interface DeliverySettings {
  /** Address; null: the others are suppressed, or everyone gets their mail where nothing is set. */
  readonly redirectTo: string | null;
  /** Patterns as of connectors; null: everyone, or none where mail is redirected. */
  readonly allowRecipients: readonly string[] | null;
}

/** What is restricted, in words; null if nothing is. */
export function deliveryWords({ redirectTo, allowRecipients }: DeliverySettings): string | null {
  if (redirectTo === null && allowRecipients === null) return null;
  const count = allowRecipients?.length ?? 0;
  const few = `recipients that fit ${count} ${count === 1 ? 'pattern' : 'patterns'}`;
  if (allowRecipients === null) return `all mail goes to ${redirectTo} instead of its recipients`;
  if (redirectTo !== null) return `only ${few} get their mail; all other mail goes to ${redirectTo}`;
  return count === 0 ? 'no recipient gets mail' : `only ${few} get mail; all others are suppressed`;
}
