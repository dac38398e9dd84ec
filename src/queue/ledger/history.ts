/** What a row says of each recipient, and of each event of a message's life. */

/** What a delivery report said of a recipient. `at` is when it was read, ms since the epoch. */
export interface Bounce {
  readonly at: number;
  /** `delayed`: the mail was still on its way. A later `failed` takes its place, and stays. */
  readonly action: 'failed' | 'delayed';
  /** Enhanced status code (RFC 3463); null if the report has none. */
  readonly status: string | null;
  /** Code of the reply in the report. */
  readonly smtpCode: string | null;
  /** Whether the address will fail again; null if nothing says so. */
  readonly permanent: boolean | null;
  /** The reason, in the server's words. */
  readonly diagnostic: string | null;
}

/**
 * `pending` has had no attempt yet. `redirected`: the copy went to another address (`delivery.redirectTo`). `suppressed`: none was sent, as
 * the address is on the suppression list or not among those that may get mail.
 */
export const recipientOutcomes = [
  'pending',
  'accepted',
  'deferred',
  'rejected',
  'uncertain',
  'redirected',
  'suppressed',
] as const satisfies readonly RecipientState['outcome'][];

/** Where one recipient stands. */
export interface RecipientState {
  readonly address: string;
  readonly outcome: 'pending' | 'accepted' | 'deferred' | 'rejected' | 'uncertain' | 'redirected' | 'suppressed';
  readonly code: string | null;
  readonly reply: string | null;
  /** Of one who is uncertain: the copy, if there is one, went to another address (`delivery.redirectTo`). */
  readonly elsewhere?: true;
  /** What came back after its mail was taken; missing if nothing did. */
  readonly bounce?: Bounce;
}

/** Whether a copy for this recipient is out, and none must follow. */
export function isDelivered({ outcome }: Pick<RecipientState, 'outcome'>): boolean {
  return outcome === 'accepted' || outcome === 'redirected';
}

/** Whether nothing is to be done for this recipient: a copy is out, or none is to be sent. */
export function isDone(recipient: Pick<RecipientState, 'outcome'>): boolean {
  return isDelivered(recipient) || recipient.outcome === 'suppressed';
}

/** One fact in a message's life; `at` in ms since the epoch. */
export interface HistoryEntry {
  readonly at: number;
  readonly event: string;
  readonly connector?: string;
  readonly attempt?: number;
  readonly detail?: string;
}
