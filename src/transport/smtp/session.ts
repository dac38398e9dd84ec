/**
 * One SMTP session: nodemailer connects, secures and authenticates it, and then it carries one transaction after the other.
 *
 * This is the only file that touches nodemailer's SMTPConnection. Beyond its documented methods it relies on three things,
 * which test/transport/smtp/contract.test.ts verifies (nodemailer is pinned exactly): `lastServerResponse` is the reply to EHLO
 * when connect() calls back; `_socket` is the current socket, and its listeners are properties, so that they can be removed;
 * `_responseQueue` and `_remainder` hold what the server has sent beyond the last reply.
 */
import type net from 'node:net';
import { TLSSocket } from 'node:tls';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { interruptible } from '../../async/abort.ts';
import { createChannel, type SmtpChannel } from './channel.ts';
import type { SmtpEnvelope } from './commands.ts';
import { dial, tlsOptions } from './dial.ts';
import { readExtensions, type SmtpExtensions } from './extensions.ts';
import type XOAuth2 from 'nodemailer/lib/xoauth2';
import { failureBeforeMail, SmtpFailure, xoauth2, type NodemailerError } from './failure.ts';
import type { Login } from './login.ts';
import { codeOf } from './reader.ts';
import { transact, type Transaction } from './transaction.ts';
import type { SmtpSettings, SmtpTimeouts } from './settings.ts';

export interface SmtpSession {
  readonly extensions: SmtpExtensions;
  /** `TLSv1.3`; null on an unencrypted session. */
  readonly protocol: string | null;
  /** Transactions so far. */
  readonly messages: number;
  /** False once the connection is gone or cannot be trusted any more. */
  readonly usable: boolean;
  /**
   * Never rejects. The signal ends the connection; the result has what is known by then. `onBodySent` is called when the end
   * of data may have left: to abort after that would leave the message uncertain.
   */
  transact(envelope: SmtpEnvelope, bytes: Buffer, signal: AbortSignal, onBodySent: () => void): Promise<Transaction>;
  /** Ends a transaction that a refusal has left open; false if the session cannot be used any more. */
  clear(signal: AbortSignal): Promise<boolean>;
  /** Says QUIT and closes. */
  quit(): void;
}

type Done<T> = (error: Error | null, value?: T) => void;

const mechanisms = ['PLAIN', 'LOGIN', 'CRAM-MD5'];

/** Connects, secures and authenticates. Rejects with SmtpFailure, which names the phase. `onSocket` gets the connection itself. */
export async function openSession(
  settings: SmtpSettings,
  hostname: string,
  login: Login | null,
  signal: AbortSignal,
  onSocket?: (socket: net.Socket) => void,
): Promise<SmtpSession> {
  const { timeouts } = settings;
  const socket = await dial(settings, signal);
  onSocket?.(socket);
  const connection = new SMTPConnection({
    connection: socket,
    host: settings.tls.servername ?? settings.host,
    name: hostname,
    secure: settings.security === 'tls',
    secured: settings.security === 'tls',
    requireTLS: settings.security === 'starttls',
    ignoreTLS: settings.security === 'none',
    tls: tlsOptions(settings),
    greetingTimeout: timeouts.greetingMs,
    socketTimeout: timeouts.commandMs,
    // The connection exists already; this limit would cut the greeting and the TLS upgrade short.
    connectionTimeout: timeouts.totalMs,
  });

  let alive = true;
  let fail: ((error: Error) => void) | null = null;
  const current = (): net.Socket => connection._socket || socket;
  connection.on('error', (error: Error) => {
    alive = false;
    fail?.(error);
  });
  connection.on('end', () => {
    alive = false;
    // After a 421 the callback with the reply comes later than this event.
    setImmediate(() => fail?.(Object.assign(new Error('the server closed the connection'), { code: 'ECONNRESET' })));
  });
  const destroy = (error: Error): void => {
    alive = false;
    fail?.(error);
    connection.close();
    current().destroy();
  };

  /** Runs one exchange with nodemailer. The first of its callback, a connection fault and the signal settles it. */
  const exchange = <T>(begin: (done: Done<T>) => void): Promise<T | undefined> =>
    interruptible(
      signal,
      () => destroy(abortError(signal)),
      () =>
        new Promise<T | undefined>((resolve, reject) => {
          fail = reject;
          // An aborted session sends nothing more.
          if (signal.aborted) return;
          begin((error, value) => (error === null || error === undefined ? resolve(value) : reject(error)));
        }),
    ).finally(() => (fail = null));

  const leave = (): void => {
    if (alive) takeOver(connection, current(), timeouts.commandMs).quit();
    else current().destroy();
  };

  const authenticate = async ({ user, secret, kind }: Login): Promise<void> => {
    const offered = extensions.authMechanisms;
    const possible = kind === 'token' ? ['XOAUTH2'] : mechanisms;
    const method = possible.find((mechanism) => offered?.includes(mechanism));
    if (method === undefined) {
      leave();
      const found = offered === null ? 'no AUTH' : `only AUTH ${offered.join(' ')}`;
      throw new SmtpFailure('auth', {
        code: 'ENOAUTH',
        text: `credentials are configured, but the server offers ${found}`,
      });
    }
    try {
      await exchange<boolean>((done) =>
        connection.login(kind === 'token' ? tokenLogin(user, secret) : { user, pass: secret, method }, (error, ok) =>
          done(error, ok),
        ),
      );
    } catch (error) {
      leave();
      throw failureBeforeMail(error as NodemailerError, 'auth');
    }
  };

  try {
    await exchange((done) => connection.connect((error) => done(error ?? null)));
  } catch (error) {
    destroy(error as Error);
    throw failureBeforeMail(error as NodemailerError, null);
  }
  const extensions = readExtensions(connection.lastServerResponse || '');
  if (login !== null) await authenticate(login);
  const secured = current();
  const protocol = secured instanceof TLSSocket ? secured.getProtocol() : null;
  return createSession(takeOver(connection, secured, timeouts.commandMs), protocol, extensions, timeouts);
}

/** Takes the connection away from nodemailer. */
function takeOver(connection: SMTPConnection, socket: net.Socket, idleTimeoutMs: number): SmtpChannel {
  const inner = connection as unknown as NodemailerInside;
  socket.off('data', inner._onSocketData).off('timeout', inner._onSocketTimeout).off('error', inner._onSocketError);
  socket.off('close', inner._onSocketClose).off('end', inner._onSocketEnd);
  const unread = inner._responseQueue.map((reply) => `${reply}\r\n`).join('') + inner._remainder;
  inner._responseQueue = [];
  return createChannel(socket, idleTimeoutMs, Buffer.from(unread, 'latin1'));
}

interface NodemailerInside {
  readonly _onSocketData: (chunk: Buffer) => void;
  readonly _onSocketTimeout: () => void;
  readonly _onSocketError: (error: Error) => void;
  readonly _onSocketClose: () => void;
  readonly _onSocketEnd: () => void;
  readonly _remainder: string;
  _responseQueue: readonly string[];
}

function createSession(
  channel: SmtpChannel,
  protocol: string | null,
  extensions: SmtpExtensions,
  timeouts: SmtpTimeouts,
): SmtpSession {
  let messages = 0;
  let mustClear = false;

  /** Runs one exchange; the signal ends it, and the connection. */
  const unlessAborted = <T>(signal: AbortSignal, begin: () => Promise<T>): Promise<T> =>
    interruptible(
      signal,
      () => {
        const { code, message } = abortError(signal);
        channel.end(code ?? null, message);
      },
      begin,
    );

  return {
    extensions,
    protocol,
    get messages() {
      return messages;
    },
    get usable() {
      return channel.usable;
    },
    quit: () => channel.quit(),
    async clear(signal) {
      if (!mustClear || !channel.usable) return channel.usable;
      mustClear = false;
      const cleared = await unlessAborted(signal, () => reset(channel));
      if (!cleared) channel.end('EPROTOCOL', 'the session could not be reset');
      return cleared && channel.usable;
    },
    async transact(envelope, bytes, signal, onBodySent) {
      messages += 1;
      const { dataTerminationMs, commandMs } = timeouts;
      const task = { envelope, bytes, extensions, dataTerminationMs, onBodySent };
      const transaction = await unlessAborted(signal, () => transact(channel, task));
      const { failure, refused, body } = transaction;
      // After a reply amid the message, the server still waits for an end of data that will never come.
      if (body === 'partial') channel.end('EPROTOCOL', 'the server answered before the end of the message');
      else if (body === 'complete') channel.setIdleTimeout(commandMs);
      mustClear = failure !== null && failure.phase !== 'end-of-data';
      const last = failure !== null && endsSession(failure);
      if (channel.usable && (last || [...refused.values()].some(endsSession))) channel.quit();
      return transaction;
    },
  };
}

/** RSET; false if the server does not accept it. */
function reset(channel: SmtpChannel): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (cleared: boolean): void => {
      channel.listen(null);
      resolve(cleared);
    };
    channel.listen({
      reply: (text) => done(codeOf(text)?.startsWith('2') === true),
      drained: () => undefined,
      ended: () => done(false),
    });
    channel.write('RSET\r\n');
  });
}

/** The token generator that nodemailer expects: it presents the given token, and once more after a refusal by 334. */
function tokenLogin(user: string, token: string): { user: string; method: string; oauth2: XOAuth2 } {
  const generator = {
    getToken: (_again: boolean, done: (error: null, token: string) => void) => done(null, token),
    buildXOAuth2Token: (shown: string) => Buffer.from(xoauth2(user, shown), 'utf8').toString('base64'),
  };
  return { user, method: 'XOAUTH2', oauth2: generator as unknown as XOAuth2 };
}

/**
 * 421 says that the session ends; 503 that client and server disagree about its state (RFC 5321 section 4.2.2). After a reply
 * that is neither a yes nor a refusal, it is unknown which command the next one would answer.
 */
function endsSession({ answered, reply }: SmtpFailure): boolean {
  return answered && (!/^[45]/.test(reply.code ?? '') || reply.code === '421' || reply.code === '503');
}

function abortError(signal: AbortSignal): NodemailerError {
  const reason: unknown = signal.reason;
  return reason instanceof Error && (reason as NodemailerError).code === 'ETIMEDOUT'
    ? reason
    : new Error('stopped while sending');
}
