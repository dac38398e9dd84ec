/** Decides after each transaction of an attempt what follows: nothing, the rest of the recipients, or the same in another way. Pure. */
import { askedDelayMs } from '../retry-hint.ts';
import { attribute } from './attribute.ts';
import {
  endsSessionOnly,
  listLimitOf,
  refusedParameters,
  type ListLimit,
  type Omissible,
} from './transaction-limits.ts';
import type { Refusals } from './refusals.ts';
import type { Transaction } from './transaction.ts';
import type { Reply } from '../transport.ts';

/** One transaction, and those whose outcome it decides. */
export interface Leg {
  readonly to: readonly string[];
  /** Refused here, without asking the server. */
  readonly refusedHere: Refusals;
  readonly transaction: Transaction;
}

export type Next =
  /** The outcome of each of its recipients is known. */
  | { readonly kind: 'done' }
  /** The session is at its end: once more, on a new one. `messages`: how many it carried, where that is its limit. */
  | { readonly kind: 'fresh-session'; readonly messages: number | null }
  /** Once more without these. */
  | { readonly kind: 'without'; readonly extensions: readonly Omissible[] }
  /**
   * These recipients go into a transaction of their own. `count`: how many the server takes, where that is known. `fresh`: on a new
   * session, as this one takes no more.
   */
  | { readonly kind: 'split'; readonly rest: readonly string[]; readonly count: number | null; readonly fresh: boolean }
  /** This recipient made the server end the session: the others once more without it, on a new session. */
  | { readonly kind: 'leave-out'; readonly address: string }
  /** No recipient has it: once more in transactions of so many. */
  | { readonly kind: 'smaller'; readonly count: number };

export interface LegEnd {
  readonly leg: Leg;
  /** It carried a message before this attempt, so the server may have closed it meanwhile. */
  readonly reused: boolean;
  /** Transactions of the session, with this one. */
  readonly messages: number;
  readonly used: readonly Omissible[];
}

const done: Next = { kind: 'done' };

export function nextOf({ leg, reused, messages, used }: LegEnd): Next {
  const { transaction, to } = leg;
  const { failure, taken, refused, body } = transaction;
  if (failure === null) return restOf(leg);
  if (body === 'none' && taken.size === 0 && refused.size === 0) {
    // No reply to the message's own commands but a dead connection, or a 421 to the first of them.
    const isOver = failure.answered ? failure.reply.code === '421' : failure.reply.code !== 'ETIMEDOUT';
    if (reused && isOver) return { kind: 'fresh-session', messages: null };
  }
  const culprit = whoEndedTheSession(leg);
  if (culprit !== null && to.length > 1) return { kind: 'leave-out', address: culprit };
  // Without a reply of the server it is not known what it has, or why it is gone.
  if (!failure.answered || !isRefusal(failure.reply)) return done;
  if (messages > 1 && endsSessionOnly(failure.reply)) return { kind: 'fresh-session', messages: messages - 1 };
  const extensions = refusedParameters(failure.phase, failure.reply, used);
  if (extensions.length > 0) return { kind: 'without', extensions };
  if (listLimitOf(failure.reply) !== null && to.length > 1 && failure.phase !== 'mail') {
    return { kind: 'smaller', count: Math.max(1, Math.floor((taken.size > 0 ? taken.size : to.length) / 2)) };
  }
  const isPermanent = failure.reply.code?.startsWith('5') === true;
  if (isPermanent && mayBeSpent(transaction, messages)) return { kind: 'fresh-session', messages: null };
  return done;
}

/** Those whom the server had no place for in this transaction, though it took others. */
function restOf({ to, transaction: { taken, refused } }: Leg): Next {
  const limits = new Map([...refused].map(([address, { reply }]) => [address, limitOf(reply)]));
  const rest = to.filter((address) => (limits.get(address) ?? null) !== null);
  if (rest.length === 0 || taken.size === 0) return done;
  const kinds = [...limits.values()];
  return {
    kind: 'split',
    rest,
    count: kinds.includes('count') ? taken.size : null,
    fresh: kinds.includes('session'),
  };
}

/** Those whom the server refused for good, and not for their number. */
export function rejectedBy({ refused }: Transaction): string[] {
  return [...refused].flatMap(([address, { reply }]) =>
    reply.code?.startsWith('5') === true && limitOf(reply) === null ? [address] : [],
  );
}

function limitOf(reply: Reply): ListLimit | 'session' | null {
  return endsSessionOnly(reply) ? 'session' : listLimitOf(reply);
}

/**
 * Whether the session may be what the server refuses: it has carried mail, takes no recipient now, and the reply names neither a
 * recipient nor the message. A limit of the session, in whatever words it is said, would else look like a fault of the connector, or
 * like the message's own. After a permanent refusal the message gets a new session at once, or it could be dead by the next one's
 * success; after a temporary one only the next message does. The price is a new session for such a refusal.
 */
export function mayBeSpent({ taken, failure, body }: Transaction, messages: number): boolean {
  if (failure === null || !failure.answered || messages < 2 || taken.size > 0 || body !== 'none') return false;
  // A time that the server names is not over on a new session.
  if (askedDelayMs(failure.reply.text ?? '') !== null) return false;
  return attribute(failure.phase, failure.reply).outcome === 'open';
}

/**
 * The recipient at whom the server closed the connection: with 421 or another refusal of it, or without a word after MAIL or others
 * were answered. Null if it closed at another step, or if nothing tells at which.
 */
function whoEndedTheSession({ to, refusedHere, transaction }: Leg): string | null {
  const { failure, mailTaken, taken, refused, body } = transaction;
  if (failure === null || body !== 'none' || failure.phase !== 'data' || !mailTaken) return null;
  const answered = taken.size + refused.size;
  const isOver = failure.answered ? failure.reply.code === '421' : failure.reply.code !== 'ETIMEDOUT';
  if (!isOver) return null;
  const asked = to.filter((address) => !refusedHere.has(address));
  const last = asked[answered - 1];
  if (last !== undefined && refused.has(last)) return last;
  // After the reply to the last one, the server closed at DATA.
  return failure.answered ? null : (asked[answered] ?? null);
}

function isRefusal({ code }: Reply): boolean {
  return code !== null && /^[45]/.test(code);
}
