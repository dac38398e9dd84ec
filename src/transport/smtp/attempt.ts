/** One attempt to send a mail over SMTP: checks, slot, session, fence, one transaction, outcome. */
import { askFence, stopped } from '../attempts.ts';
import { fitForTransfer } from '../../message/transfer.ts';
import { SmtpFailure } from './failure.ts';
import { NoLease } from './lease-provider.ts';
import { faultOf, outcomeOf } from './outcome.ts';
import type { SmtpPool, SmtpSlot } from './pool.ts';
import { allRefused, refuseBadPaths, refuseByExtensions, refuseUnfit, type Refusals } from './refusals.ts';
import type { ReplyRule } from './reply-table.ts';
import type { SmtpSession } from './session.ts';
import type { Transaction } from './transaction.ts';
import type { Outcome, OutgoingMail, SendContext } from '../transport.ts';

/** What is the same for all attempts of a connector. */
export interface AttemptTools {
  readonly pool: SmtpPool;
  /** Until the end of data; the reply to that has a time of its own. */
  readonly totalMs: number;
  /** For the text of a Send As refusal: the login, null without one. */
  readonly account: string | null;
  readonly rules: readonly ReplyRule[];
}

interface Task {
  readonly mail: OutgoingMail;
  readonly context: SendContext;
  /** The caller's signal, or the end of the attempt's time. */
  readonly signal: AbortSignal;
  readonly slot: SmtpSlot;
  readonly recipients: readonly string[];
  readonly refused: Refusals;
  /** Called when the body has been sent. */
  readonly onBodySent: () => void;
}

/** Names the session to give back with the slot, whatever happens in between. */
interface Held {
  session: SmtpSession | null;
}

/** Rejects only for what is a mistake in this program. */
export async function attemptSmtp(mail: OutgoingMail, context: SendContext, tools: AttemptTools): Promise<Outcome> {
  const { pool, totalMs, rules } = tools;
  const recipients = [...new Set(mail.envelope.to)];
  const refused = refuseBadPaths(recipients, mail.envelope.from ?? '');
  if (refused.size === recipients.length) return (await askFence(context)) ?? allRefused(recipients, refused);
  const slot = await pool.slot(context.signal);
  if (slot === null) return stopped;
  // Not AbortSignal.any: it costs as much as a quarter of a small mail, and its signals live until the next full collection.
  const limit = new AbortController();
  const onAbort = (): void => limit.abort(context.signal.reason);
  context.signal.addEventListener('abort', onAbort);
  if (context.signal.aborted) onAbort();
  const timer = setTimeout(() => limit.abort(tooLong(totalMs)), totalMs);
  const held: Held = { session: null };
  try {
    // Cutting the reply to the end of data short would leave the message uncertain.
    const onBodySent = (): void => clearTimeout(timer);
    const task: Task = { mail, context, signal: limit.signal, slot, recipients, refused, onBodySent };
    return await sendOnSlot(task, held, tools);
  } catch (error) {
    if (error instanceof NoLease) return context.signal.aborted ? stopped : { kind: 'stopped', why: 'no-session' };
    if (!(error instanceof SmtpFailure)) throw error;
    if (context.signal.aborted) return stopped;
    return { kind: 'connector-fault', ...faultOf(error, rules) };
  } finally {
    clearTimeout(timer);
    context.signal.removeEventListener('abort', onAbort);
    slot.release(held.session);
  }
}

async function sendOnSlot(task: Task, held: Held, { account, rules }: AttemptTools): Promise<Outcome> {
  const { mail, context, signal, slot, recipients } = task;
  const first = await slot.session(signal);
  held.session = first.session;
  const stop = await askFence(context);
  if (stop !== null) return stop;

  let [transaction, refusedHere] = await transactOn(first.session, task);
  if (first.reused && wentStale(transaction) && !signal.aborted) {
    // The server had closed the idle session. Nothing of the message but its envelope was on the wire.
    held.session = null;
    held.session = (await slot.session(signal, { fresh: true })).session;
    if (signal.aborted) return stopped;
    [transaction, refusedHere] = await transactOn(held.session, task);
  }
  return outcomeOf({ recipients, refusedHere, transaction, account, sender: mail.envelope.from ?? '', rules });
}

async function transactOn(session: SmtpSession, task: Task): Promise<[Transaction, Refusals]> {
  const { mail, signal, recipients, refused, onBodySent } = task;
  const from = mail.envelope.from ?? '';
  const { bytes, use8BitMime, useSmtpUtf8, unfit } = await fitForTransfer(mail.bytes, session.extensions);
  const rest = recipients.filter((address) => !refused.has(address));
  const here =
    unfit === null ? refuseByExtensions(rest, from, bytes.length, session.extensions) : refuseUnfit(rest, unfit);
  const refusedHere = new Map([...refused, ...here]);
  const to = rest.filter((address) => !refusedHere.has(address));
  if (to.length === 0) return [nothingSent, refusedHere];
  const envelope = { from, to, size: bytes.length, use8BitMime, useSmtpUtf8 };
  return [await session.transact(envelope, bytes, signal, onBodySent), refusedHere];
}

const nothingSent: Transaction = { taken: new Set(), refused: new Map(), failure: null, reply: null, body: 'none' };

/** No reply to the message's own commands but a dead connection, or a 421 to the first of them. */
function wentStale({ failure, taken, refused, body }: Transaction): boolean {
  if (failure === null || body !== 'none' || taken.size > 0 || refused.size > 0) return false;
  if (failure.answered) return failure.reply.code === '421';
  return failure.reply.code !== 'ETIMEDOUT';
}

function tooLong(totalMs: number): Error {
  return Object.assign(new Error(`not done within ${totalMs} ms`), { code: 'ETIMEDOUT' });
}
