/** The SMTP transport of one connector: envelope checks, fence, one transaction on a pooled session, outcome. */
import type net from 'node:net';
import { fitForTransfer } from '../../message/transfer.ts';
import { compileRules } from './reply-rules.ts';
import { NoLease, type LeaseProvider } from './lease-provider.ts';
import { SmtpFailure } from './failure.ts';
import { createLogins } from './login.ts';
import { faultOf, outcomeOf } from './outcome.ts';
import { createSmtpPool, type SmtpSlot } from './pool.ts';
import { isAscii, isPath } from './commands.ts';
import { openSession, type SmtpSession } from './session.ts';
import type { Transaction } from './transaction.ts';
import type { SmtpSettings } from './settings.ts';
import type { CheckResult, Outcome, OutgoingMail, RecipientOutcome, SendContext, Transport } from '../transport.ts';

export interface SmtpTransportOptions {
  readonly settings: SmtpSettings;
  /** The name given with EHLO. */
  readonly hostname: string;
  /** Connections of this process to the server. */
  readonly maxConnections: number;
  /** Of the connections over all processes. Default: nobody else connects. */
  readonly leases?: LeaseProvider | null;
  /** ms since the epoch. Default: the system's clock. */
  readonly now?: () => number;
}

/** Opens nothing until the first mail. Messages are bytes: no path or URL in one is ever opened. */
export function createSmtpTransport(options: SmtpTransportOptions): Transport {
  const { settings, hostname, maxConnections, leases = null, now = Date.now } = options;
  const account = settings.auth?.user ?? null;
  const rules = compileRules(settings.replyRules);
  const running = new Set<Promise<unknown>>();
  let closed = false;

  const logins = createLogins(settings.auth, now);
  const open = async (signal: AbortSignal, onSocket?: (socket: net.Socket) => void): Promise<SmtpSession> => {
    if (settings.security === 'none' && settings.auth !== null && !settings.allowInsecureAuth) {
      const text = 'credentials are refused over an unencrypted session (allowInsecureAuth is off)';
      throw new SmtpFailure('auth', { code: 'ECONFIG', text });
    }
    const login = await logins.next(signal);
    try {
      return await openSession(settings, hostname, login, signal, onSocket);
    } catch (error) {
      if (error instanceof SmtpFailure && error.phase === 'auth' && error.answered) logins.refused();
      throw error;
    }
  };
  const pool = createSmtpPool({ open, maxConnections, leases });

  const attempt = async (mail: OutgoingMail, context: SendContext): Promise<Outcome> => {
    const recipients = [...new Set(mail.envelope.to)];
    const refused = refuseBadPaths(recipients, mail.envelope.from ?? '');
    if (refused.size === recipients.length) {
      return (await mayStart(context)) ?? settledHere(recipients, refused);
    }
    const slot = await pool.slot(context.signal);
    if (slot === null) return { kind: 'stopped', why: 'signal' };
    // Not AbortSignal.any: it costs as much as a quarter of a small mail, and its signals live until the next full collection.
    const limit = new AbortController();
    const { signal } = limit;
    const onAbort = (): void => limit.abort(context.signal.reason);
    context.signal.addEventListener('abort', onAbort);
    if (context.signal.aborted) onAbort();
    const timer = setTimeout(() => limit.abort(tooLong(settings)), settings.timeouts.totalMs);
    const ready: Ready = { session: null };
    try {
      // The reply to the final dot has a time of its own: cut short by this one, it would leave the message uncertain.
      const onWhole = (): void => clearTimeout(timer);
      return await onSlot({ mail, context, signal, slot, ready, recipients, refused, onWhole });
    } catch (error) {
      if (error instanceof NoLease) return { kind: 'stopped', why: context.signal.aborted ? 'signal' : 'no-session' };
      if (!(error instanceof SmtpFailure)) throw error;
      if (context.signal.aborted) return { kind: 'stopped', why: 'signal' };
      return { kind: 'connector-fault', ...faultOf(error, rules) };
    } finally {
      clearTimeout(timer);
      context.signal.removeEventListener('abort', onAbort);
      slot.release(ready.session);
    }
  };

  /** Everything that happens while a slot is held; `ready` always names the session to give back. */
  const onSlot = async (task: Task): Promise<Outcome> => {
    const { mail, context, signal, slot, ready, recipients, onWhole } = task;
    const from = mail.envelope.from ?? '';
    const first = await slot.session(signal);
    ready.session = first.session;
    const stop = await mayStart(context);
    if (stop !== null) return stop;

    const transact = async (session: SmtpSession): Promise<[Transaction, ReadonlyMap<string, RecipientOutcome>]> => {
      const { bytes, use8BitMime } = fitForTransfer(mail.bytes, session.extensions);
      const refusedHere = refuseByExtensions(task, session, bytes.length);
      const to = recipients.filter((address) => !refusedHere.has(address));
      if (to.length === 0) return [nothingSent, refusedHere];
      const envelope = { from, to, size: bytes.length, use8BitMime };
      return [await session.transact(envelope, bytes, signal, onWhole), refusedHere];
    };

    let [transaction, refusedHere] = await transact(first.session);
    if (first.reused && wentStale(transaction) && !signal.aborted) {
      // The server had closed the session while nobody used it. Nothing of the message was on the wire but its envelope.
      ready.session = null;
      ready.session = (await slot.session(signal, { fresh: true })).session;
      if (signal.aborted) return { kind: 'stopped', why: 'signal' };
      [transaction, refusedHere] = await transact(ready.session);
    }
    return outcomeOf({ recipients, refusedHere, transaction, account, sender: from, rules });
  };

  return {
    kind: 'smtp',
    async send(mail, context) {
      if (closed || context.signal.aborted) return { kind: 'stopped', why: 'signal' };
      const sending = attempt(mail, context);
      running.add(sending);
      try {
        return await sending;
      } catch (error) {
        // Unknown is never success, and nothing here throws on purpose: the message waits, and the text tells why.
        const text = `internal: ${error instanceof Error ? error.message : String(error)}`;
        return { kind: 'connector-fault', fault: 'unreachable', reply: { code: null, enhancedCode: null, text } };
      } finally {
        running.delete(sending);
      }
    },
    async reserve(signal, connect) {
      if (closed) return null;
      const reservation = await pool.reserve(signal, connect, settings.timeouts.totalMs);
      if (!closed && !signal.aborted) return reservation;
      reservation?.cancel();
      return null;
    },
    async check(signal) {
      const limited = AbortSignal.any([signal, AbortSignal.timeout(settings.timeouts.totalMs)]);
      try {
        const session = await open(limited);
        session.quit();
        return { ok: true, detail: describe(settings, session) };
      } catch (error) {
        const failure =
          error instanceof SmtpFailure ? error : new SmtpFailure('connect', { code: null, text: String(error) });
        const { fault, reply } = faultOf(failure, rules);
        return { ok: false, fault, reply } satisfies CheckResult;
      }
    },
    async close() {
      closed = true;
      await Promise.allSettled(running);
      pool.close();
    },
  };
}

interface Ready {
  session: SmtpSession | null;
}

interface Task {
  readonly mail: OutgoingMail;
  readonly context: SendContext;
  /** The caller's signal, or the end of the attempt's time. */
  readonly signal: AbortSignal;
  readonly slot: SmtpSlot;
  readonly ready: Ready;
  readonly recipients: readonly string[];
  readonly refused: ReadonlyMap<string, RecipientOutcome>;
  /** The whole message is on its way. */
  readonly onWhole: () => void;
}

const nothingSent: Transaction = { taken: new Set(), refused: new Map(), failure: null, reply: null, body: 'none' };

/** Null if the transaction may begin. A fence that fails is a fence that says no. */
async function mayStart({ fence, signal }: SendContext): Promise<Outcome | null> {
  if (signal.aborted) return { kind: 'stopped', why: 'signal' };
  if (!(await fence().catch(() => false))) return { kind: 'stopped', why: 'fence' };
  return signal.aborted ? { kind: 'stopped', why: 'signal' } : null;
}

/** No reply to the message's own commands but a dead connection, or a 421 to the first of them. */
function wentStale({ failure, taken, refused, body }: Transaction): boolean {
  if (failure === null || body !== 'none' || taken.size > 0 || refused.size > 0) return false;
  if (failure.answered) return failure.reply.code === '421';
  return failure.reply.code !== 'ETIMEDOUT';
}

/**
 * Paths that would not stay within their angle brackets on the wire (CR, LF, NUL, space, brackets) are refused here,
 * before anything is connected. Validation refuses them earlier; this is the last door before the server.
 */
function refuseBadPaths(recipients: readonly string[], from: string): Map<string, RecipientOutcome> {
  const refused = new Map<string, RecipientOutcome>();
  for (const address of recipients) {
    if (!isPath(from)) refused.set(address, refusal(address, 'message', 'the sender is not an address'));
    else if (address === '' || !isPath(address)) refused.set(address, refusal(address, 'recipient', 'not an address'));
  }
  return refused;
}

/** What this server cannot take: RFC 6531 section 3.2 (SMTPUTF8), RFC 1870 section 6 (SIZE). */
function refuseByExtensions(
  { mail, recipients, refused }: Task,
  { extensions }: SmtpSession,
  byteCount: number,
): Map<string, RecipientOutcome> {
  const all = new Map(refused);
  const rest = recipients.filter((address) => !refused.has(address));
  const { maxBytes, smtpUtf8 } = extensions;
  if (maxBytes !== null && byteCount > maxBytes) {
    const text = `the message has ${byteCount} bytes, and the server takes ${maxBytes}`;
    for (const address of rest) all.set(address, { ...refusal(address, 'message', text), tooLarge: true });
  } else if (!smtpUtf8 && !isAscii(mail.envelope.from ?? '')) {
    const text = 'the sender is not ASCII, and the server does not offer SMTPUTF8';
    for (const address of rest) all.set(address, refusal(address, 'message', text));
  } else if (!smtpUtf8) {
    const text = 'the address is not ASCII, and the server does not offer SMTPUTF8';
    for (const address of rest) if (!isAscii(address)) all.set(address, refusal(address, 'recipient', text));
  }
  return all;
}

function refusal(address: string, scope: 'message' | 'recipient', text: string): RecipientOutcome {
  return { address, outcome: 'rejected', scope, reply: { code: null, enhancedCode: null, text } };
}

function settledHere(recipients: readonly string[], refused: ReadonlyMap<string, RecipientOutcome>): Outcome {
  return { kind: 'settled', recipients: recipients.flatMap((address) => refused.get(address) ?? []) };
}

function tooLong({ timeouts }: SmtpSettings): Error {
  return Object.assign(new Error(`not done within ${timeouts.totalMs} ms`), { code: 'ETIMEDOUT' });
}

/** «smtp.example.com:587, STARTTLS (TLSv1.3), authenticated as relay, SIZE 35 MB». */
function describe({ host, port, security, auth }: SmtpSettings, { protocol, extensions }: SmtpSession): string {
  const kind = { tls: 'TLS', starttls: 'STARTTLS', none: 'not encrypted' }[security];
  const parts = [`${host}:${port}`, protocol === null ? kind : `${kind} (${protocol})`];
  parts.push(auth === null ? 'without authentication' : `authenticated as ${auth.user}`);
  if (extensions.maxBytes !== null) parts.push(`SIZE ${Math.floor(extensions.maxBytes / 1024 / 1024)} MB`);
  return parts.join(', ');
}
