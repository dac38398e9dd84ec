/** Open refusals of an attempt: what the lane is asked about them, and what a message does that was set aside. Pure. */
import type { Accusation, Attribution } from '../../queue/lanes/attribution.ts';
import { isDone, type LedgerRow, type RecipientState } from '../../queue/ledger/ledger.ts';
import type { FaultClass, OpenRefusal, Outcome, Reply } from '../../transport/transport.ts';
import type { SendPolicy } from '../settings.ts';

export const defaultAttributeWithinMs = 3_600_000;

/** What an attempt came to whose cause is open, and what is known of it by the other messages of the lane. */
export interface Attributed extends Attribution {
  readonly refusal: Refusal;
}

export interface Refusal {
  readonly open: OpenRefusal;
  readonly reply: Reply;
  readonly class: Accusation['class'];
}

/**
 * The refusal that decides; null if the attempt leaves nothing open. What the server took in the same attempt speaks for the connector, and
 * what is not known to be refused is no refusal. Words that name a fault weigh more than a 5xx, and that more than a 4xx.
 */
export function openRefusalOf(outcome: Outcome): Refusal | null {
  if (outcome.kind !== 'settled') return null;
  const { recipients } = outcome;
  if (recipients.some((each) => each.outcome === 'accepted' || each.outcome === 'uncertain')) return null;
  const refusals = recipients.flatMap(({ open, outcome, reply }): Refusal[] => {
    if (open === undefined) return [];
    return [{ open, reply, class: open.suspect !== null ? 'fault' : outcome === 'rejected' ? '5' : '4' }];
  });
  return (
    refusals.find((refusal) => refusal.class === 'fault') ??
    refusals.find((refusal) => refusal.class === '5') ??
    refusals[0] ??
    null
  );
}

/** Which fault it is, once other messages have shown that it is the connector's. */
export function faultOf({ open, class: kind }: Refusal): FaultClass {
  return open.suspect ?? (kind === '4' ? 'throttled' : 'blocked');
}

export function accusationOf(id: string, refusal: Refusal, policy: SendPolicy, random: number): Accusation {
  const { open, reply } = refusal;
  return {
    id,
    alike: open.suspect === null ? `${refusal.class} ${alikeOf(reply)}` : `fault ${open.suspect}`,
    class: refusal.class,
    atSender: open.atSender,
    reply: [reply.code, reply.enhancedCode, reply.text]
      .filter((part) => part !== null)
      .join(' ')
      .slice(0, 300),
    holdMs: policy.attributeWithinMs ?? defaultAttributeWithinMs,
    random,
  };
}

/**
 * The recipients of a message whose refusal was attributed to it while it waited: those with a permanent reply are rejected, without a
 * second transaction. Null if it is to be tried again: words that name a fault, and late answers, get a second hearing.
 */
export function rejectedMeanwhile(row: LedgerRow): RecipientState[] | null {
  if (row.attributed?.startsWith('5 ') !== true || row.heardAgain || row.open !== null || row.retryAt !== null)
    return null;
  const waiting = row.recipients.filter((each) => !isDone(each) && each.outcome !== 'rejected');
  if (waiting.length === 0 || !waiting.every((each) => each.outcome === 'deferred' && isPermanent(each))) return null;
  return row.recipients.map((each) => (waiting.includes(each) ? { ...each, outcome: 'rejected' } : each));
}

function isPermanent({ code }: RecipientState): boolean {
  return code?.startsWith('5') === true;
}

const maxAlikeLength = 100;

/**
 * The words of a reply without what differs from message to message: URLs, addresses, hosts, and each word with a digit. Refusals
 * with the same rest are alike.
 */
function alikeOf({ code, enhancedCode, text }: Reply): string {
  const words = (text ?? '')
    .toLowerCase()
    .replaceAll(/https?:\/\/\S+/g, ' ')
    .split(/[\s,;:()[\]<>"']+/)
    .filter((word) => word !== '' && !/\d|@|[^.]\.[^.]/.test(word));
  return [code, enhancedCode, ...words].filter(Boolean).join(' ').slice(0, maxAlikeLength);
}
