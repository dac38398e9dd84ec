/** Takes a message for delivery: checks what Exchange checks before it says 202, delivers, and keeps a copy. */
import { graphError } from './answers.ts';
import type { OpenMailbox, Person, StoredMessage } from './mailbox.ts';
import { withoutBcc } from './mime.ts';
import type { Answer } from './requests.ts';

/** One recipient's copy. */
export interface Delivery {
  readonly recipient: string;
  /** Which field named the recipient. */
  readonly as: 'to' | 'cc' | 'bcc';
  /** The mailbox that it was sent from. */
  readonly mailbox: string;
  readonly internetMessageId: string;
  /** The message as it was accepted, its Bcc too: what the sender has in Sent Items. */
  readonly message: StoredMessage;
  /** The bytes of this copy, without Bcc; null if the message was made of JSON. */
  readonly mime: Buffer | null;
  readonly at: number;
}

/**
 * - `at once`: accepted messages are in Sent Items when the answer goes out.
 * - `hidden`: they are nowhere until `releaseSentItems()`.
 * - `in drafts`: until then they are in Drafts and look like drafts, as Exchange parks them there first
 *   (https://learn.microsoft.com/graph/outlook-things-to-know-about-send-mail).
 */
export type SentItems = 'at once' | 'hidden' | 'in drafts';

export interface Outbox {
  readonly deliveries: Delivery[];
  sentItems: SentItems;
  /** Null if the message can go, else Graph's answer. */
  refusal(mailbox: OpenMailbox, message: Recipients): Answer | null;
  /** Delivers a message of the mailbox, which is in Drafts up to now. */
  submit(mailbox: OpenMailbox, message: StoredMessage, save: boolean): void;
  /** Sent Items catches up. */
  release(): void;
}

type Recipients = Pick<StoredMessage, 'from' | 'sender' | 'to' | 'cc' | 'bcc'>;

export function createOutbox(
  maxRecipients: number,
  sentItems: SentItems,
  now: () => number,
  onAccepted: ((copies: readonly Delivery[]) => void) | null,
): Outbox {
  let pending: (() => void)[] = [];
  const outbox: Outbox = {
    deliveries: [],
    sentItems,
    refusal(mailbox, { from, sender, to, cc, bcc }) {
      const mayName = (person: Person | null | undefined): boolean => {
        const address = person?.address.toLowerCase() ?? '';
        return address === '' || address === mailbox.address.toLowerCase() || mailbox.sendAs.has(address);
      };
      if (!mayName(from) || !mayName(sender)) {
        const text = `The user account which was used to submit this request does not have the right to send mail on behalf of the specified sending account.`;
        return graphError(403, 'ErrorSendAsDenied', text);
      }
      const all = [...to, ...cc, ...bcc];
      if (all.length === 0 || !all.every(({ address }) => /^[^\s@<>]+@[^\s@<>]+$/.test(address))) {
        return graphError(400, 'ErrorInvalidRecipients', 'At least one recipient is not valid.');
      }
      if (all.length > maxRecipients) {
        return graphError(400, 'ErrorExceededMaxRecipientLimit', `More than ${maxRecipients} recipients.`);
      }
      return null;
    },
    submit(mailbox, message, save) {
      const copies = copiesOf(mailbox, message, now());
      outbox.deliveries.push(...copies);
      onAccepted?.(copies);
      if (!save) mailbox.remove(message);
      else if (outbox.sentItems === 'at once') mailbox.settle(message, now());
      else {
        if (outbox.sentItems === 'hidden') mailbox.submit(message);
        pending.push(() => mailbox.settle(message, now()));
      }
    },
    release() {
      for (const settle of pending) settle();
      pending = [];
    },
  };
  return outbox;
}

/** One copy per address, however often it is named. */
function copiesOf(mailbox: OpenMailbox, message: StoredMessage, at: number): Delivery[] {
  const snapshot = { ...message };
  const mime = message.mime === null ? null : withoutBcc(message.mime);
  const copies = new Map<string, Delivery>();
  const fields: readonly ['to' | 'cc' | 'bcc', readonly Person[]][] = [
    ['to', message.to],
    ['cc', message.cc],
    ['bcc', message.bcc],
  ];
  for (const [as, people] of fields) {
    for (const { address } of people) {
      const key = address.toLowerCase();
      if (copies.has(key)) continue;
      const { internetMessageId } = message;
      copies.set(key, {
        recipient: address,
        as,
        mailbox: mailbox.address,
        internetMessageId,
        message: snapshot,
        mime,
        at,
      });
    }
  }
  return [...copies.values()];
}
