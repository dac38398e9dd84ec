/** What who reads delivery reports asks of messages and writes into them: find one by what a report names, and note what came back. */
import { PostlaneError } from '../errors.ts';
import type { LedgerRow } from '../queue/ledger/ledger.ts';
import type { RecipientBounce } from '../queue/ledger/bounces.ts';
import type { AddedSuppression, NewSuppression } from '../queue/suppressions.ts';
import type { OpenQueues } from '../queue/open.ts';

export type { RecipientBounce } from '../queue/ledger/bounces.ts';

export interface BounceNotes {
  /** The messages with this Message-ID, or that a server took under this id: two at most, as two are none. */
  find(name: string): Promise<readonly LedgerRow[]>;
  /** Message with this id; null without a row. */
  read(id: string): Promise<LedgerRow | null>;
  /** Adds an address to the suppression list, unless it is there for longer. `by`: the connector whose mailbox had the report. */
  suppress(entry: NewSuppression & { readonly origin: 'bounce' | 'complaint' }): Promise<AddedSuppression>;
  /** Reads the key with which return paths of single mails are signed. */
  returnPathKey(): Promise<Buffer>;
  /** `connector`: whose mailbox the report was in. → how many recipients are new; null if the message has no row now. */
  write(id: string, connector: string, at: number, bounces: readonly RecipientBounce[]): Promise<number | null>;
}

export function bounceNotesOf({
  find,
  ledger,
  bounces,
  suppressions,
  returnPathKey,
}: Pick<OpenQueues, 'find' | 'ledger' | 'bounces' | 'suppressions' | 'returnPathKey'>): BounceNotes {
  return {
    read: (id) => ledger.read(id),
    returnPathKey,
    suppress: (entry) => suppressions.add(entry, 'longer'),
    async find(messageId) {
      if (messageId.trim() === '') return [];
      try {
        return (await find({ messageId, limit: 2 })).rows;
      } catch (thrown) {
        // Without `index.messageId` only Message-IDs of Postlane's own making are found.
        if (thrown instanceof PostlaneError && thrown.code === 'not-indexed') return [];
        throw thrown;
      }
    },
    write: (id, connector, at, all) => bounces.write(id, connector, at, all),
  };
}
