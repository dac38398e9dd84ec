/** What the checks look at: what was sent, what the servers took, and what the ledger and the dead letters say about it. */
import { domainToASCII } from 'node:url';
import { simpleParser, type ParsedMail } from 'mailparser';
import type { MessageStatus } from '../../src/producer/producer.ts';
import type { DeadLetterSummary } from '../../src/queue/ledger/dead-letters.ts';
import type { Example } from './messages.ts';
import type { Received, ServerPlan } from './servers.ts';

/** A message that the producer took. */
export interface Sent {
  readonly example: Example;
  readonly id: string;
  /** ms since the epoch, around the call of `send`. */
  readonly before: number;
  readonly after: number;
  /** What sending it again said; null if it was sent only once. */
  readonly duplicate: boolean | null;
}

export interface Evidence {
  readonly plans: readonly ServerPlan[];
  readonly sent: readonly Sent[];
  readonly received: readonly Received[];
  readonly statuses: ReadonlyMap<string, MessageStatus>;
  readonly dead: readonly DeadLetterSummary[];
}

/** What reached a server, read. */
export interface Copy extends Received {
  readonly parsed: ParsedMail;
}

/** The evidence in order: every message with its copies, and the copies that belong to none. */
export interface Findings extends Evidence {
  readonly cases: readonly (Sent & { readonly copies: readonly Copy[]; readonly status: MessageStatus | null })[];
  readonly strangers: readonly Copy[];
}

export type Case = Findings['cases'][number];

export async function readEvidence(evidence: Evidence): Promise<Findings> {
  const copies = new Map<string, Copy[]>();
  for (const mail of evidence.received) {
    const parsed = await simpleParser(mail.bytes, { keepCidLinks: true });
    const key = parsed.messageId ?? '';
    copies.set(key, [...(copies.get(key) ?? []), { ...mail, parsed }]);
  }
  const cases = evidence.sent.map((sent) => {
    const key = messageIdOf(sent);
    const own = copies.get(key) ?? [];
    copies.delete(key);
    return { ...sent, copies: own, status: evidence.statuses.get(sent.id) ?? null };
  });
  return { ...evidence, cases, strangers: [...copies.values()].flat() };
}

/** The Message-ID that a message should have: its own if it is finished, else its id at the domain of its sender. */
export function messageIdOf({ example, id }: Sent): string {
  const own = /^Message-ID: (.+)$/m.exec(example.mail.raw ?? '')?.[1]?.trim();
  return own ?? `<${id}@${domainOf(example.sender.address)}>`;
}

/** An address as it is compared: the domain as an A-label in lower case, the local part as it is. */
export function comparable(address: string): string {
  const at = address.lastIndexOf('@');
  return at < 0 ? address : `${address.slice(0, at)}@${domainOf(address)}`;
}

function domainOf(address: string): string {
  return domainToASCII(address.slice(address.lastIndexOf('@') + 1));
}
