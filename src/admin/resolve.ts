/** Settles a held message, whose last attempt has no known result, as an operator says. */
import { decodeIntake, encodeWire, isSealedData, narrowed } from '../queue/jobs.ts';
import type { DeadLetter, DeadLetters } from '../queue/ledger/dead-letters.ts';
import { isDelivered, isDone, type Ledger, type LedgerRow, type RecipientState } from '../queue/ledger/ledger.ts';
import type { MessageLimits } from '../message/message.ts';
import type { Sealing } from '../sealing/sealing.ts';
import { wireOf } from './letter-wire.ts';

interface ResolveTools {
  readonly ledger: Ledger;
  readonly deadLetters: DeadLetters;
  readonly limits: MessageLimits;
  readonly sealing: Sealing;
  readonly enqueue: (letter: DeadLetter, data: unknown) => Promise<unknown>;
  readonly releaseContents: (letter: DeadLetter) => Promise<void>;
}

/** → false if it is not held. */
export async function resolveHeld(
  id: string,
  as: 'sent' | 'retry' | 'drop',
  { now, lifetimeMs, retentionMs }: { readonly now: number; readonly lifetimeMs: number; readonly retentionMs: number },
  { ledger, deadLetters, limits, sealing, enqueue, releaseContents }: ResolveTools,
): Promise<boolean> {
  const row = await ledger.read(id);
  if (row === null || row.state !== 'held') return false;
  const entry = { at: now, event: 'resolved', detail: `as ${as}` };
  const letter = await deadLetters.get(id);
  if (as === 'retry') {
    if (letter === null) return false;
    // A message that was sent through a chosen connector goes on through it.
    const via = row.rule === 'via' ? row.connector : null;
    const release = { from: ['held'] as const, entry, deadline: now + lifetimeMs, via };
    if (!(await ledger.release(id, release))) return false;
    await enqueue(letter, wireOf(letter, limits, sealing) ?? letter.data);
    await deadLetters.drop(id, letter);
    return true;
  }
  const recipients = row.recipients.map((recipient) => (as === 'sent' ? asSent(recipient) : recipient));
  const delivered = recipients.some(isDelivered);
  const state = delivered && recipients.every(isDone) ? 'sent' : delivered ? 'partial' : 'dead';
  // Who was refused stays dead. Settling without a dead letter removes the one there is, in the same step.
  const rest = as === 'sent' && letter !== null ? refusedPart(letter, row, limits, sealing) : null;
  const closed = await ledger.close(row, {
    state,
    recipients,
    entry,
    reason: state === 'sent' ? null : as === 'sent' ? 'rejected' : 'uncertain',
    retentionMs,
    deadLetter: rest,
  });
  if (!closed) return false;
  if (letter !== null && rest === null) await releaseContents(letter);
  return true;
}

/** An uncertain copy of one whose mail was redirected is with the other address. */
function asSent({ elsewhere, ...recipient }: RecipientState): RecipientState {
  if (recipient.outcome !== 'uncertain') return recipient;
  return { ...recipient, outcome: elsewhere === true ? 'redirected' : 'accepted' };
}

/** What remains of a held message's dead letter once the uncertain recipients are known to have it; null if no recipient remains. */
function refusedPart(letter: DeadLetter, row: LedgerRow, limits: MessageLimits, sealing: Sealing): DeadLetter | null {
  const refused = new Set(row.recipients.flatMap(({ address, outcome }) => (outcome === 'rejected' ? [address] : [])));
  const recipients = letter.recipients.filter(({ address }) => refused.has(address));
  if (recipients.length === 0) return null;
  const reply = recipients[0]?.reply ?? null;
  const to = recipients.map(({ address }) => address);
  // That needs no key.
  if (isSealedData(letter.data)) {
    return { ...letter, reason: 'rejected', recipients, reply, data: narrowed(letter.data, to) };
  }
  const decoded = decodeIntake(letter.id, letter.acceptedAt, letter.data, limits, sealing, letter.wasSealed);
  if (!decoded.ok) return null;
  const { message } = decoded.job;
  const envelope = { ...message.envelope, to };
  return { ...letter, reason: 'rejected', recipients, reply, data: encodeWire({ ...message, envelope }) };
}
