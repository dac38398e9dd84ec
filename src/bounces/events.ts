/** What reading mailboxes reports: the log and the metrics subscribe to it. No address and no text of a mail. */
import type { FaultClass } from '../transport/transport.ts';
import type { Unmatched } from './match.ts';

export type BouncesEvent =
  /** A report was matched. `recipients`: how many are new; 0 for one that was read before or tells of no failure. */
  | { readonly event: 'bounce'; readonly connector: string; readonly id: string; readonly recipients: number }
  /** So many of its recipients are on the suppression list now. */
  | {
      readonly event: 'bounce-suppressed';
      readonly connector: string;
      readonly id: string;
      readonly recipients: number;
    }
  /** So many would be, if the list were not full. */
  | {
      readonly event: 'suppressions-full';
      readonly connector: string;
      readonly id: string;
      readonly recipients: number;
    }
  | { readonly event: 'bounce-unmatched'; readonly connector: string; readonly why: Unmatched }
  /** A mail at which reading failed again and again was passed over. */
  | { readonly event: 'bounce-skipped'; readonly connector: string }
  | { readonly event: 'mailbox-read'; readonly connector: string }
  | {
      readonly event: 'mailbox-failed';
      readonly connector: string;
      readonly fault: FaultClass | 'protocol';
      /** In a row. */
      readonly failures: number;
      readonly waitMs: number;
      readonly detail: string;
    };
