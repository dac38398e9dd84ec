/** What a row says of each recipient, and of each event of a message's life. */

/** Where one recipient stands. `pending` has had no attempt yet. */
export interface RecipientState {
  readonly address: string;
  readonly outcome: 'pending' | 'accepted' | 'deferred' | 'rejected' | 'uncertain';
  readonly code: string | null;
  readonly reply: string | null;
}

/** One fact in a message's life; `at` in ms since the epoch. */
export interface HistoryEntry {
  readonly at: number;
  readonly event: string;
  readonly connector?: string;
  readonly attempt?: number;
  readonly detail?: string;
}
