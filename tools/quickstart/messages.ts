/** The example set: the same messages in every run, each with its expected delivery. */
import { kinds, type ExampleMail, type Special } from './kinds.ts';
import type { Sender } from './people.ts';

export interface Example extends Required<Omit<Special, 'rawAtServer'>> {
  /** The name of its kind. */
  readonly kind: string;
  readonly sender: Sender;
  readonly mail: ExampleMail;
  /** The expected envelope sender; empty is the null reverse-path. */
  readonly envelopeFrom: string;
  readonly rawAtServer: string | null;
}

/** The first `count` messages, cycling through the kinds. `sendAt` is the time of scheduled ones. */
export function exampleSet(count: number, sendAt: Date): Example[] {
  return Array.from({ length: count }, (_, index) => {
    const n = index + 1;
    const { name, sender, mail: make, special } = kinds[index % kinds.length]!;
    const own = make(n);
    const about = special(n);
    const mail: ExampleMail = {
      ...own,
      // A finished message has its From in its header.
      ...(sender.from === null || own.raw !== undefined ? {} : { from: sender.from }),
      ...(about.later === true ? { sendAt } : {}),
    };
    return {
      kind: name,
      sender,
      mail,
      envelopeFrom: mail.envelope?.from ?? sender.address,
      recipients: [...(mail.to ?? []), ...(mail.cc ?? []), ...(mail.bcc ?? [])].map(({ address }) => address),
      refused: [],
      deferredOnce: false,
      again: false,
      later: false,
      rawAtServer: null,
      ...about,
    };
  });
}
