/** One SMTP session: connected, secured and authenticated, and then one transaction after the other. */
import type net from 'node:net';
import { TLSSocket } from 'node:tls';
import { interruptible } from '../../async/abort.ts';
import { authenticate } from './auth.ts';
import { ask, createChannel, type SmtpChannel } from './channel.ts';
import { isAscii, mailCommand, rcptCommand, type SmtpEnvelope } from './commands.ts';
import { dial } from './dial.ts';
import { readExtensions, type SmtpExtensions } from './extensions.ts';
import { SmtpFailure, type MissedHost, type ServerName } from './failure.ts';
import { handshake } from './handshake.ts';
import type { Login } from './login.ts';
import { codeOf } from './reader.ts';
import type { SmtpSettings } from './settings.ts';
import type { Reply } from '../transport.ts';
import { transact, type Transaction } from './transaction.ts';

export interface SmtpSession {
  readonly server: ServerName;
  readonly extensions: SmtpExtensions;
  /** `TLSv1.3`; null on an unencrypted session. */
  readonly protocol: string | null;
  /** Transactions so far. */
  readonly messages: number;
  /** False once the connection is gone or cannot be trusted any more. */
  readonly usable: boolean;
  /** The next transaction needs nothing before it. */
  readonly isClear: boolean;
  /** When it was begun, encrypted as configured, and ready, ms since the epoch; and whether there was a login. */
  readonly opened?: SessionTimes;
  /**
   * Never rejects. The signal ends the connection; the result has what is known by then. `onBodySent` is called when the end
   * of data may have left: to abort after that would leave the message uncertain.
   */
  transact(
    envelope: SmtpEnvelope,
    bytes: Buffer,
    /** What of the session's extensions is used. */
    extensions: SmtpExtensions,
    signal: AbortSignal,
    onBodySent: () => void,
  ): Promise<Transaction>;
  /**
   * Never rejects. Names a sender, and the same address as a recipient, and takes both back; null if the connection ended before the
   * server had answered.
   */
  trySender(address: string, signal: AbortSignal): Promise<SenderAnswer | null>;
  /** Ends a transaction that a refusal has left open, if there is one; false if the session cannot be used any more. */
  clear(signal: AbortSignal): boolean | Promise<boolean>;
  /** Says QUIT and closes. */
  quit(): void;
}

/** The reply that tells most: the first refusal, or the last yes. */
export interface SenderAnswer {
  readonly phase: 'mail' | 'rcpt';
  readonly reply: Reply;
}

interface SessionTimes {
  readonly startedAt: number;
  readonly securedAt: number;
  readonly readyAt: number;
  readonly login: boolean;
  /** Hosts that were tried before. */
  readonly missed: readonly MissedHost[];
}

interface OpenWatch {
  readonly onSocket?: ((socket: net.Socket) => void) | undefined;
  readonly missed: readonly MissedHost[];
}

/** Connects, secures and authenticates. Rejects with SmtpFailure, which names the phase. `onSocket` gets the connection itself. */
export async function openSession(
  settings: SmtpSettings,
  hostname: string,
  login: Login | null,
  signal: AbortSignal,
  { onSocket, missed }: OpenWatch = { missed: [] },
): Promise<SmtpSession> {
  const { timeouts } = settings;
  const startedAt = Date.now();
  const connected = await dial(settings, signal);
  onSocket?.(connected);
  const { socket, extensions: before } = await handshake(connected, settings, hostname, signal, () =>
    abortError(signal),
  );
  const channel = createChannel(socket, timeouts.commandMs);
  const securedAt = Date.now();
  let extensions = before;
  if (login !== null) {
    try {
      extensions = await unlessAborted(channel, signal, async () => {
        await authenticate(channel, before.authMechanisms, login);
        return (await extensionsAfterLogin(channel, hostname)) ?? before;
      });
    } catch (error) {
      channel.quit();
      throw error;
    }
  }
  // TLS with a proxy is none with the server.
  const isSecure = settings.security !== 'none' && socket instanceof TLSSocket;
  const protocol = isSecure ? socket.getProtocol() : null;
  const opened = { startedAt, securedAt, readyAt: Date.now(), login: login !== null, missed: [...missed] };
  return createSession(channel, settings, protocol, extensions, opened);
}

/**
 * What the server offers once the client has logged in: a relay may only know then where the mail goes, and what can be used
 * there (RFC 4954 section 4 lets the list change). Null if it refuses a second EHLO. The price: one round trip per session.
 */
async function extensionsAfterLogin(channel: SmtpChannel, hostname: string): Promise<SmtpExtensions | null> {
  const answer = await ask(channel, `EHLO ${hostname}\r\n`);
  if (typeof answer !== 'string') throw new SmtpFailure('ehlo', { code: answer.code, text: answer.text });
  if (codeOf(answer) === '421') throw new SmtpFailure('ehlo', { server: answer });
  return codeOf(answer) === '250' ? readExtensions(answer) : null;
}

function createSession(
  channel: SmtpChannel,
  { host, port, timeouts }: SmtpSettings,
  protocol: string | null,
  extensions: SmtpExtensions,
  opened: SessionTimes,
): SmtpSession {
  let messages = 0;
  let mustClear = false;
  const reset = async (signal: AbortSignal): Promise<boolean> => {
    const answer = await unlessAborted(channel, signal, () => ask(channel, 'RSET\r\n'));
    const cleared = typeof answer === 'string' && codeOf(answer)?.startsWith('2') === true;
    if (!cleared) channel.end('EPROTOCOL', 'the session could not be reset');
    return cleared && channel.usable;
  };
  return {
    server: { host, port },
    extensions,
    protocol,
    opened,
    get messages() {
      return messages;
    },
    get usable() {
      return channel.usable;
    },
    get isClear() {
      return !mustClear;
    },
    quit: () => channel.quit(),
    clear(signal) {
      if (!mustClear || !channel.usable) return channel.usable;
      mustClear = false;
      return reset(signal);
    },
    trySender: (address, signal) =>
      unlessAborted(channel, signal, async () => {
        const answer = await senderAnswer(channel, address, extensions);
        if (channel.usable && !(await reset(signal))) channel.quit();
        return answer;
      }),
    async transact(envelope, bytes, used, signal, onBodySent) {
      messages += 1;
      const { dataTerminationMs, commandMs } = timeouts;
      const task = { envelope, bytes, extensions: used, dataTerminationMs, onBodySent };
      const transaction = await unlessAborted(channel, signal, () => transact(channel, task));
      const { failure, refused, body } = transaction;
      // After a reply in the middle of the message, the server still waits for an end of data that will never come.
      if (body === 'partial') channel.end('EPROTOCOL', 'the server answered before the end of the message');
      else if (body === 'complete') channel.setIdleTimeout(commandMs);
      mustClear = failure !== null && failure.phase !== 'end-of-data';
      const last = failure !== null && endsSession(failure);
      if (channel.usable && (last || [...refused.values()].some(endsSession))) channel.quit();
      return transaction;
    },
  };
}

async function senderAnswer(
  channel: SmtpChannel,
  address: string,
  extensions: SmtpExtensions,
): Promise<SenderAnswer | null> {
  const needsUtf8 = !isAscii(address);
  if (needsUtf8 && !extensions.smtpUtf8) {
    const text = 'the server does not offer SMTPUTF8, which this address needs';
    return { phase: 'mail', reply: { code: '550', enhancedCode: '5.6.7', text } };
  }
  const envelope = { from: address, to: [], size: 0, use8BitMime: false, useSmtpUtf8: needsUtf8, dsn: null };
  const taken = await ask(channel, mailCommand(envelope, extensions));
  if (typeof taken !== 'string') return null;
  const mail = new SmtpFailure('mail', { server: taken });
  if (mail.reply.code?.startsWith('2') !== true) return { phase: 'mail', reply: mail.reply };
  const named = await ask(channel, rcptCommand(address, null));
  if (typeof named !== 'string') return null;
  return { phase: 'rcpt', reply: new SmtpFailure('rcpt', { server: named }).reply };
}

/** Runs one exchange; the signal ends it, and the connection. */
function unlessAborted<T>(channel: SmtpChannel, signal: AbortSignal, begin: () => Promise<T>): Promise<T> {
  const onAbort = (): void => {
    const { code, message } = abortError(signal);
    channel.end(code ?? null, message);
  };
  return interruptible(signal, onAbort, begin);
}

/**
 * 421 says that the session ends; 503 that client and server disagree about its state (RFC 5321 section 4.2.2). After a reply
 * that is neither a yes nor a refusal, it is unknown which command the next one would answer.
 */
function endsSession({ answered, reply }: SmtpFailure): boolean {
  return answered && (!/^[45]/.test(reply.code ?? '') || reply.code === '421' || reply.code === '503');
}

function abortError(signal: AbortSignal): Error & { code?: string } {
  const reason: unknown = signal.reason;
  return reason instanceof Error && (reason as Error & { code?: string }).code === 'ETIMEDOUT'
    ? reason
    : new Error('stopped while sending');
}
