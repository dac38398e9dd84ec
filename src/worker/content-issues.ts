/** What is wrong with a message whose stored contents are missing, or larger than it says. */
import type { Issue } from '../errors.ts';
import type { Message } from '../message/message.ts';
import { sizeIssues, type ContentFault } from '../queue/ledger/content.ts';

/** Contents that are named where they are not what the message says: the rest is of the same kind. */
const namedFaults = 100;

export function contentIssues(message: Message, faults: readonly ContentFault[]): Issue[] {
  const field = message.raw === undefined ? 'attachments' : 'raw';
  const missing = faults.filter(({ storedBytes }) => storedBytes === null);
  return [
    ...missing.map(({ ref }) => ({
      field,
      rule: 'stored',
      message: `there is no stored content ${ref.slice(0, 12)}…`,
    })),
    ...sizeIssues(message, faults),
  ].slice(0, namedFaults);
}
