/** One attempt to send a mail over SMTP: checks, slot, session, fence, a transaction or several, outcome. */
import { askFence, stopped } from '../attempts.ts';
import { asError, unreachable } from '../../errors.ts';
import { errorTypeOf } from '../error-type.ts';
import { fitForTransfer, fitWithoutEightBit, type FittedMail } from '../../message/transfer.ts';
import { mailParameters } from './commands.ts';
import type { SmtpExtensions } from './extensions.ts';
import { SmtpFailure } from './failure.ts';
import { hostName } from './hosts.ts';
import { mayBeSpent, nextOf, rejectedBy, type Leg, type Next } from './legs.ts';
import { NoLease } from './lease-provider.ts';
import { faultOf, outcomeOf } from './outcome.ts';
import type { SmtpPool, SmtpSlot } from './pool.ts';
import { allRefused, refuseBadPaths, refuseByExtensions, refuseUnfit, type Refusals } from './refusals.ts';
import type { ReplyRule } from './reply-table.ts';
import { without, type ServerLimits } from './server-limits.ts';
import { serverAttributes, takeSession, tellingClock, tlsAttributes } from './spans.ts';
import type { SmtpSession } from './session.ts';
import type { Omissible } from './transaction-limits.ts';
import type { Transaction } from './transaction.ts';
import type { Outcome, OutgoingMail, Reply, SendContext } from '../transport.ts';

/** What is the same for all attempts of a connector. */
export interface AttemptTools {
  readonly pool: SmtpPool;
  /** Until the end of data; the reply to that has a time of its own. */
  readonly totalMs: number;
  /** For the text of a Send As refusal: the login, null without one. */
  readonly account: string | null;
  readonly rules: readonly ReplyRule[];
  readonly limits: ServerLimits;
}

interface Task {
  readonly mail: OutgoingMail;
  readonly context: SendContext;
  /** The caller's signal, or the end of the attempt's time. */
  readonly signal: AbortSignal;
  readonly slot: SmtpSlot;
  readonly recipients: readonly string[];
  readonly refused: Refusals;
  /** Paused when a body has been sent: to cut its reply short would leave the message uncertain. */
  readonly clock: Clock;
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
  const slot = await pool.slot(context.signal, context.place);
  if (slot === null) return stopped;
  // Not AbortSignal.any: it costs as much as a quarter of a small mail, and its signals live until the next full collection.
  const limit = new AbortController();
  const onAbort = (): void => limit.abort(context.signal.reason);
  context.signal.addEventListener('abort', onAbort);
  if (context.signal.aborted) onAbort();
  const clock = startClock(totalMs, () => limit.abort(tooLong(totalMs)));
  const held: Held = { session: null };
  try {
    const task: Task = { mail, context, signal: limit.signal, slot, recipients, refused, clock };
    return await sendOnSlot(task, held, tools);
  } catch (error) {
    if (error instanceof NoLease) return context.signal.aborted ? stopped : { kind: 'stopped', why: 'no-session' };
    if (!(error instanceof SmtpFailure)) throw error;
    if (context.signal.aborted) return stopped;
    const { server } = error;
    return {
      kind: 'connector-fault',
      ...faultOf(error, rules),
      ...(server === null ? {} : { server: hostName(server) }),
    };
  } finally {
    clock.pause();
    context.signal.removeEventListener('abort', onAbort);
    slot.release(held.session);
  }
}

async function sendOnSlot(task: Task, held: Held, { account, rules, limits }: AttemptTools): Promise<Outcome> {
  const { mail, context, signal, slot, recipients, refused } = task;
  const first = await takeSession(slot, signal, context.trace);
  held.session = first.session;
  const stop = await askFence(context);
  if (stop !== null) return stop;
  const span = context.trace?.child('smtp send', {
    ...serverAttributes(first.session.server),
    ...tlsAttributes(first),
  });
  const done = await sendLegs(
    span === undefined ? task : { ...task, clock: tellingClock(span, task.clock) },
    held,
    first.reused,
    limits,
  );
  if (done === 'stopped') return stopped;
  // Another host where the first session could not be used any more.
  const { server } = held.session ?? first.session;
  if (server !== first.session.server) span?.set(serverAttributes(server));
  const badPaths: Leg = { to: [...refused.keys()], refusedHere: refused, transaction: nothingSent };
  const legs = [badPaths, ...done.legs];
  const sender = mail.envelope.from ?? '';
  const outcome = outcomeOf({ recipients, legs, untried: done.untried, account, sender, rules });
  span?.end(errorTypeOf('smtp', outcome));
  return outcome.kind === 'stopped' ? outcome : { ...outcome, server: hostName(server) };
}

interface Sent {
  readonly legs: readonly Leg[];
  readonly untried: Reply | null;
}

/** Transactions that may be made anew for the same recipients. Each removes a reason, so an honest server needs four at most. */
const maxRepeats = 12;

/** Recipients at whom a server closes the connection: more of them in one message are the server's doing, and not theirs. */
const maxLeftOut = 3;

/**
 * One transaction after the other, until every recipient has an outcome or the server cannot go on. Rejects only while none
 * has one: later, what cannot be tried is left for the next attempt.
 */
async function sendLegs(task: Task, held: Held, reusedFirst: boolean, limits: ServerLimits): Promise<Sent | 'stopped'> {
  const { signal, recipients, refused, clock } = task;
  const legs: Leg[] = [];
  let waiting = recipients.filter((address) => !refused.has(address));
  let [reused, repeats, leftOut, mustBeFresh] = [reusedFirst, 0, 0, false];
  let omitted: readonly Omissible[] = [];
  const found = new Set<Omissible>();
  while (waiting.length > 0) {
    if (mustBeFresh || held.session === null) {
      const opened = await openFresh(
        task,
        held,
        legs.some(({ transaction }) => transaction.reply !== null),
      );
      if (opened !== null) return { legs, untried: opened };
      if (signal.aborted) return legs.length > 0 ? { legs, untried: null } : 'stopped';
      [reused, mustBeFresh] = [false, false];
    }
    const session = held.session;
    if (session === null) throw new Error('a leg without a session');
    const to = waiting.slice(0, limits.recipientsPerTransaction ?? waiting.length);
    const extensions = without(limits.usable(session.extensions), omitted);
    const { leg, used } = await transactOn(session, task, to, extensions);
    const { failure } = leg.transaction;
    const next = repeats < maxRepeats ? nextOf({ leg, reused, messages: session.messages, used }) : done;
    if (failure?.phase !== 'mail') limits.foundRefused(found);
    reused = false;
    repeats += 1;
    switch (next.kind) {
      case 'fresh-session':
        if (next.messages !== null) limits.foundMessages(next.messages);
        mustBeFresh = true;
        break;
      case 'without':
        omitted = [...omitted, ...next.extensions];
        for (const name of next.extensions) if (isOfTheServer(name, failure)) found.add(name);
        mustBeFresh = next.extensions.includes('pipelining') || !(await session.clear(signal));
        break;
      case 'leave-out': {
        // With it go those whom the server refused for good: it need not be asked again.
        const left = [next.address, ...rejectedBy(leg.transaction).filter((address) => address !== next.address)];
        if (leftOut >= maxLeftOut) {
          legs.push(leg);
          return { legs, untried: failure?.reply ?? null };
        }
        leftOut += 1;
        legs.push({ ...leg, to: left });
        waiting = waiting.filter((address) => !left.includes(address));
        mustBeFresh = true;
        break;
      }
      case 'smaller':
        limits.foundRecipients(next.count);
        mustBeFresh = !(await session.clear(signal));
        break;
      case 'split':
      case 'done': {
        const rest = next.kind === 'split' ? next.rest : [];
        if (next.kind === 'split' && next.count !== null) limits.foundRecipients(next.count);
        legs.push({ ...leg, to: to.filter((address) => !rest.includes(address)) });
        waiting = [...rest, ...waiting.slice(to.length)];
        repeats = 0;
        const spent = (next.kind === 'split' && next.fresh) || mayBeSpent(leg.transaction, session.messages);
        if (spent) {
          session.quit();
          held.session = null;
        }
        if (failure !== null && !goesOn(failure)) return { legs, untried: failure.reply };
        mustBeFresh = waiting.length > 0 && (spent || !(await session.clear(signal)));
        break;
      }
      default:
        return unreachable(next);
    }
    clock.resume();
  }
  return { legs, untried: null };
}

const done: Next = { kind: 'done' };

/** What MAIL is refused for concerns all messages; later, it may be the next hop of one. Without SMTPUTF8 some mail could not be sent. */
function isOfTheServer(name: Omissible, failure: SmtpFailure | null): boolean {
  return name === 'pipelining' || (failure?.phase === 'mail' && name !== 'smtpUtf8');
}

/** The server refused these recipients or this message for good; about the recipients that are left it has said nothing. */
function goesOn({ answered, phase, reply }: SmtpFailure): boolean {
  return answered && phase !== 'mail' && reply.code?.startsWith('5') === true;
}

/** Null once a new session is there. If a recipient already has an outcome, the failure is returned, otherwise thrown. */
async function openFresh({ context, signal, slot }: Task, held: Held, mayNotThrow: boolean): Promise<Reply | null> {
  held.session?.quit();
  held.session = null;
  try {
    held.session = (await takeSession(slot, signal, context.trace, { fresh: true })).session;
    return null;
  } catch (error) {
    if (!mayNotThrow) throw error;
    if (error instanceof SmtpFailure) return error.reply;
    // Whatever it is: the copies that were made must not be forgotten for it.
    const text = error instanceof NoLease ? 'no session is free' : `internal: ${asError(error).message}`;
    return { code: null, enhancedCode: null, text };
  }
}

/** SMTPUTF8 would let 8-bit content through (RFC 6531 section 3.1 item 8): a server that refused 8BITMIME gets neither where possible. */
function fit(bytes: Buffer, offered: SmtpExtensions, used: SmtpExtensions): FittedMail | Promise<FittedMail> {
  return offered.eightBitMime && !used.eightBitMime ? fitWithoutEightBit(bytes, used) : fitForTransfer(bytes, used);
}

async function transactOn(
  session: SmtpSession,
  task: Task,
  recipients: readonly string[],
  extensions: SmtpExtensions,
): Promise<{ readonly leg: Leg; readonly used: readonly Omissible[] }> {
  const { mail, signal, clock } = task;
  const from = mail.envelope.from ?? '';
  const { bytes, use8BitMime, useSmtpUtf8, unfit } = await fit(mail.bytes, session.extensions, extensions);
  const refusedHere =
    unfit === null ? refuseByExtensions(recipients, from, bytes.length, extensions) : refuseUnfit(recipients, unfit);
  const to = recipients.filter((address) => !refusedHere.has(address));
  if (to.length === 0) return { leg: { to: recipients, refusedHere, transaction: nothingSent }, used: [] };
  const dsn = mail.dsn ?? null;
  const envelope = { from, to, size: bytes.length, use8BitMime, useSmtpUtf8, dsn };
  const used = new Set<Omissible>(mailParameters(envelope, extensions).keys());
  if (extensions.dsn && dsn !== null) used.add('dsn');
  if (extensions.pipelining) used.add('pipelining');
  const transaction = await session.transact(envelope, bytes, extensions, signal, clock.pause);
  return { leg: { to: recipients, refusedHere, transaction }, used: [...used] };
}

const nothingSent: Transaction = {
  mailTaken: false,
  taken: new Set(),
  refused: new Map(),
  failure: null,
  reply: null,
  body: 'none',
};

/** Ends the attempt after so long; the reply to the end of data has a time of its own, so the clock stops for it. */
interface Clock {
  readonly pause: () => void;
  readonly resume: () => void;
}

function startClock(totalMs: number, end: () => void): Clock {
  let [left, since] = [totalMs, performance.now()];
  let timer: NodeJS.Timeout | null = setTimeout(end, left);
  return {
    pause() {
      if (timer === null) return;
      clearTimeout(timer);
      timer = null;
      left -= performance.now() - since;
    },
    resume() {
      if (timer !== null) return;
      since = performance.now();
      timer = setTimeout(end, Math.max(0, left));
    },
  };
}

function tooLong(totalMs: number): Error {
  return Object.assign(new Error(`not done within ${totalMs} ms`), { code: 'ETIMEDOUT' });
}
