/**
 * One SMTP session: connected, secured, authenticated, and then one transaction after the other.
 *
 * This is the only file that touches nodemailer's SMTPConnection. Beyond its documented methods it relies on four things,
 * held by test/integration/smtp-contract.test.ts (nodemailer is pinned exactly): `lastServerResponse` is the reply to EHLO when
 * connect() calls back; `_socket` is the current socket; send() keeps its books in the envelope object it is given, so
 * that who was accepted and who was refused is known although the message failed; `_responseQueue` holds replies not yet read.
 */
import type net from 'node:net';
import { TLSSocket } from 'node:tls';
import SMTPConnection, { type SMTPConnectionEnvelope, type SMTPEnvelope } from 'nodemailer/lib/smtp-connection';
import { bodyOf, type BodyProgress } from './smtp-body.ts';
import { dial, tlsOptions } from './smtp-dial.ts';
import { readExtensions, type SmtpExtensions } from './smtp-extensions.ts';
import type XOAuth2 from 'nodemailer/lib/xoauth2';
import { failureBeforeMail, failureInTransaction, SmtpFailure, xoauth2, type NodemailerError } from './smtp-failure.ts';
import type { Login } from './smtp-login.ts';
import type { SmtpSettings } from './settings.ts';

/** How a transaction went. `failure` is null exactly if the server answered the final dot with 2xx. */
export interface Transaction {
  /** Recipients that the server took at RCPT. */
  readonly taken: ReadonlySet<string>;
  /** Recipients that it refused at RCPT, and how. */
  readonly refused: ReadonlyMap<string, SmtpFailure>;
  readonly failure: SmtpFailure | null;
  /** The reply to the final dot, if it was 2xx. */
  readonly reply: string | null;
  readonly body: BodyProgress;
}

export interface SmtpSession {
  readonly extensions: SmtpExtensions;
  /** `TLSv1.3`; null on an unencrypted session. */
  readonly protocol: string | null;
  /** Transactions so far. */
  readonly messages: number;
  /** False once the connection is gone or cannot be trusted any more. */
  readonly usable: boolean;
  /**
   * Never rejects. The signal ends the connection; what is known by then is in the result. `onWhole` is called when the
   * final dot may have left: from then on an end brought about here would leave the message uncertain.
   */
  transact(envelope: SMTPEnvelope, bytes: Buffer, signal: AbortSignal, onWhole: () => void): Promise<Transaction>;
  /** Ends an open transaction, if a refusal has left one; false if the session is no use any more. */
  clear(signal: AbortSignal): Promise<boolean>;
  /** Says QUIT and closes. */
  quit(): void;
}

type Done<T> = (error: Error | null, value?: T) => void;

/** A server that does not answer QUIT is not waited for longer. */
const quitMs = 2_000;
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
    // The time to connect is over; this would cut the greeting and the TLS upgrade short.
    connectionTimeout: timeouts.totalMs,
  });

  let usable = true;
  let messages = 0;
  let mustClear = false;
  let waiting: ((error: Error) => void) | null = null;
  const current = (): net.Socket => connection._socket || socket;

  connection.on('error', (error: Error) => {
    usable = false;
    waiting?.(error);
  });
  connection.on('end', () => {
    usable = false;
    // After a 421 the callback with the reply comes later than this event.
    setImmediate(() => waiting?.(Object.assign(new Error('the server closed the connection'), { code: 'ECONNRESET' })));
  });

  const destroy = (error: Error): void => {
    usable = false;
    waiting?.(error);
    connection.close();
    current().destroy();
  };
  const quit = (): void => {
    const wasUsable = usable;
    usable = false;
    if (!wasUsable) return void current().destroy();
    connection.quit();
    const last = current();
    const timer = setTimeout(() => last.destroy(), quitMs);
    timer.unref();
    last.once('close', () => clearTimeout(timer));
  };

  /**
   * nodemailer takes one reply per turn of the event loop, and forgets the rest when the server closes at once after them:
   * the 421 that says why would be lost.
   */
  const parting = (error: NodemailerError): NodemailerError => {
    const { _responseQueue: unread = [] } = connection as unknown as { _responseQueue?: readonly string[] };
    const last = unread.find((reply) => reply.startsWith('421'));
    return error.response !== undefined || last === undefined ? error : Object.assign(error, { response: last });
  };

  /** Runs one exchange with nodemailer; the first of callback, connection fault and signal settles it. */
  const exchange = async <T>(signal: AbortSignal, begin: (done: Done<T>) => void): Promise<T | undefined> => {
    const onAbort = (): void => destroy(abortError(signal));
    try {
      return await new Promise<T | undefined>((resolve, reject) => {
        waiting = reject;
        signal.addEventListener('abort', onAbort);
        if (signal.aborted) return onAbort();
        begin((error, value) => (error === null || error === undefined ? resolve(value) : reject(error)));
      });
    } finally {
      waiting = null;
      signal.removeEventListener('abort', onAbort);
    }
  };

  try {
    await exchange(signal, (done) => connection.connect((error) => done(error ?? null)));
  } catch (error) {
    destroy(error as Error);
    throw failureBeforeMail(error as NodemailerError, null, null);
  }
  const extensions = readExtensions(connection.lastServerResponse || '');
  const socketNow = current();
  const session: SmtpSession = {
    extensions,
    protocol: socketNow instanceof TLSSocket ? socketNow.getProtocol() : null,
    get messages() {
      return messages;
    },
    get usable() {
      return usable;
    },
    quit,
    async clear(signal) {
      if (!mustClear || !usable) return usable;
      mustClear = false;
      try {
        await exchange<boolean>(signal, (done) => connection.reset(done));
        return usable;
      } catch (error) {
        destroy(error as Error);
        return false;
      }
    },
    async transact(envelope, bytes, signal, onWhole) {
      messages += 1;
      const books = { ...envelope } as SMTPConnectionEnvelope & { mailError?: NodemailerError };
      const body = bodyOf(bytes);
      let timer: NodeJS.Timeout | undefined;
      body.stream.once('end', () => {
        onWhole();
        // From here on silence has a time of its own, and a server that trickles does not stretch it.
        current().setTimeout(0);
        timer = setTimeout(
          () => destroy(timeoutError(`no reply to the final dot within ${timeouts.dataTerminationMs} ms`)),
          timeouts.dataTerminationMs,
        );
      });
      let failure: SmtpFailure | null = null;
      let reply: string | null = null;
      try {
        const info = await exchange<{ response: string }>(signal, (done) =>
          connection.send(books, body.stream, (error, info) => done(error, info)),
        );
        reply = info?.response ?? null;
      } catch (error) {
        failure = failureInTransaction(books.mailError ?? parting(error as NodemailerError), body.progress());
      }
      clearTimeout(timer);
      const progress = body.progress();
      // A reply before the end of the body leaves the server amid a message that will never end.
      if (progress === 'part') destroy(new Error('the server answered before the end of the body'));
      else if (usable) current().setTimeout(timeouts.commandMs);
      mustClear = failure !== null && failure.phase !== 'final';
      const refused = new Map<string, SmtpFailure>();
      // Where MAIL was refused, the replies to the recipients sent along mean nothing.
      if (failure?.phase !== 'mail') {
        for (const error of (books.rejectedErrors ?? []) as (NodemailerError & { recipient?: string })[]) {
          if (error.recipient !== undefined) refused.set(error.recipient, failureInTransaction(error, 'none'));
        }
      }
      if (usable && [failure, ...refused.values()].some((one) => one !== null && endsSession(one))) quit();
      return { taken: new Set(books.accepted ?? []), refused, failure, reply, body: progress };
    },
  };
  if (login !== null) await authenticate(login);
  return session;

  async function authenticate({ user, secret, kind }: Login): Promise<void> {
    const offered = extensions.authMechanisms;
    const possible = kind === 'token' ? ['XOAUTH2'] : mechanisms;
    const method = possible.find((mechanism) => offered?.includes(mechanism));
    if (method === undefined) {
      quit();
      const found = offered === null ? 'no AUTH' : `only AUTH ${offered.join(' ')}`;
      throw new SmtpFailure('auth', {
        code: 'ENOAUTH',
        text: `credentials are configured, but the server offers ${found}`,
      });
    }
    try {
      await exchange<boolean>(signal, (done) =>
        connection.login(kind === 'token' ? tokenLogin(user, secret) : { user, pass: secret, method }, (error, ok) =>
          done(error, ok),
        ),
      );
    } catch (error) {
      if (usable) quit();
      throw failureBeforeMail(error as NodemailerError, 'auth', { user, secret });
    }
  }
}

/** What nodemailer asks of a generator of tokens: it shows the one it is given, and once more after a refusal by 334. */
function tokenLogin(user: string, token: string): { user: string; method: string; oauth2: XOAuth2 } {
  const generator = {
    getToken: (_again: boolean, done: (error: null, token: string) => void) => done(null, token),
    buildXOAuth2Token: (shown: string) => Buffer.from(xoauth2(user, shown), 'utf8').toString('base64'),
  };
  return { user, method: 'XOAUTH2', oauth2: generator as unknown as XOAuth2 };
}

/**
 * 421 says that the session ends; 503 that client and server disagree about where they are (RFC 5321 section 4.2.2). After a
 * reply that is no refusal either, nobody knows what the next one would be the answer to.
 */
function endsSession({ answered, reply }: SmtpFailure): boolean {
  return answered && (!/^[45]/.test(reply.code ?? '') || reply.code === '421' || reply.code === '503');
}

function timeoutError(text: string): Error {
  return Object.assign(new Error(text), { code: 'ETIMEDOUT' });
}

function abortError(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof Error && (reason as NodemailerError).code === 'ETIMEDOUT'
    ? reason
    : new Error('stopped while sending');
}
