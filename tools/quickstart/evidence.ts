/** The evidence for the checks: what was sent, what the servers accepted, and what ledger and dead letters say. */
import { domainToASCII } from 'node:url';
import { simpleParser, type ParsedMail } from 'mailparser';
import type { MessageStatus } from '../../src/producer/producer.ts';
import type { DeadLetterSummary } from '../../src/queue/ledger/dead-letters.ts';
import type { Example } from './messages.ts';
import type { Received, ServerPlan } from './servers.ts';

/** A message that the producer accepted. */
export interface Sent {
  readonly example: Example;
  readonly id: string;
  /** ms since the epoch, around the call of `send`. */
  readonly before: number;
  readonly after: number;
  /** The answer to sending it again; null if it was sent only once. */
  readonly duplicate: boolean | null;
}

export interface Evidence {
  readonly plans: readonly ServerPlan[];
  readonly sent: readonly Sent[];
  readonly received: readonly Received[];
  readonly statuses: ReadonlyMap<string, MessageStatus>;
  readonly dead: readonly DeadLetterSummary[];
}

/** A message at a server, parsed. */
export interface Copy extends Received {
  readonly parsed: ParsedMail;
}

/** The evidence sorted: every message with its copies, and the copies that belong to no message. */
export interface Findings extends Evidence {
  readonly cases: readonly (Sent & { readonly copies: readonly Copy[]; readonly status: MessageStatus | null })[];
  readonly strangers: readonly Copy[];
}

export type Case = Findings['cases'][number];

export async function readEvidence(evidence: Evidence): Promise<Findings> {
  const copies = new Map<string, Copy[]>();
  for (const mail of evidence.received) {
    const parsed = await simpleParser(mail.bytes, { keepCidLinks: true });
    const key = withoutHash(parsed.messageId ?? '');
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

/** A Message-ID without what makes it unique over installations and time. */
export function withoutHash(messageId: string): string {
  return messageId.replace(/\.[0-9a-z]{10}(?=@[^@]*$)/, '');
}

/** The expected Message-ID without its hash: that of a finished message, else the id at the domain of the sender. */
export function messageIdOf({ example, id }: Sent): string {
  const own = /^Message-ID: (.+)$/m.exec(example.mail.raw ?? '')?.[1]?.trim();
  return own ?? `<${id}@${domainOf(example.sender.address)}>`;
}

/** An address for comparison: the domain as an A-label in lower case, the local part unchanged. */
export function comparable(address: string): string {
  const at = address.lastIndexOf('@');
  return at < 0 ? address : `${address.slice(0, at)}@${domainOf(address)}`;
}

function domainOf(address: string): string {
  return domainToASCII(address.slice(address.lastIndexOf('@') + 1));
}
