/**
 * Sets up a session on a connected socket: greeting, EHLO, STARTTLS and EHLO again, by nodemailer.
 *
 * This is the only file that touches nodemailer's SMTPConnection. Beyond its documented methods it relies on four things,
 * which test/transport/smtp/contract.test.ts verifies (nodemailer is pinned exactly): `lastServerResponse` is the reply to EHLO
 * when connect() calls back; `_socket` is the current socket, and its listeners are properties, so that they can be removed
 * afterwards; `_onSocketData` is read from its property whenever a socket gets that listener, so that it can be wrapped before.
 * `upgrading` is true from the reply to STARTTLS to the end of the TLS handshake, and when an error of that is emitted.
 */
import type net from 'node:net';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { interruptible } from '../../async/abort.ts';
import { readExtensions, type SmtpExtensions } from './extensions.ts';
import { SmtpFailure } from './failure.ts';
import { createHandshakeGuard } from './handshake-guard.ts';
import type { SmtpPhase } from './reply-table.ts';
import type { SmtpSettings } from './settings.ts';
import { isCutOff, tlsCutOffText, tlsFailureText, tlsOptions } from './tls.ts';

export interface ReadyConnection {
  /** The TLS socket after STARTTLS, else the one that was given. Nothing listens to it. */
  readonly socket: net.Socket;
  readonly extensions: SmtpExtensions;
}

/** What nodemailer's errors carry; its own type is not exported. */
type NodemailerError = Error & { code?: string; originalCode?: string; command?: string; response?: string };

interface NodemailerInside {
  _onSocketData: (chunk: Buffer) => void;
  readonly _onSocketTimeout: () => void;
  readonly _onSocketError: (error: Error) => void;
  readonly _onSocketClose: () => void;
  readonly _onSocketEnd: () => void;
}

/** Rejects with SmtpFailure, and then the socket is destroyed. `abortError` tells why the signal came. */
export async function handshake(
  socket: net.Socket,
  settings: SmtpSettings,
  hostname: string,
  signal: AbortSignal,
  abortError: () => Error,
): Promise<ReadyConnection> {
  const { timeouts } = settings;
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
  const inner = connection as unknown as NodemailerInside;
  const current = (): net.Socket => connection._socket || socket;

  let fail: (error: Error) => void = () => undefined;
  let duringTls = false;
  const failed = (error: Error): void => {
    duringTls ||= connection.upgrading === true;
    fail(error);
  };
  const destroy = (error: Error): void => {
    failed(error);
    connection.close();
    current().destroy();
  };
  connection.on('error', failed);
  // After a 421 the callback with the reply comes later than this event.
  connection.on('end', () => void setImmediate(() => fail(withCode('ECONNRESET', 'the server closed the connection'))));

  const guard = createHandshakeGuard();
  const pass = inner._onSocketData;
  inner._onSocketData = (chunk) => {
    const problem = guard.inspect(chunk);
    if (problem === null) return pass(chunk);
    const response = problem.reply === null ? {} : { response: problem.reply };
    destroy(Object.assign(withCode(outOfStep, problem.text), response));
  };

  try {
    await interruptible(
      signal,
      () => destroy(abortError()),
      () =>
        new Promise<void>((resolve, reject) => {
          fail = reject;
          // An aborted session sends nothing more.
          if (!signal.aborted) connection.connect((error) => (error === undefined ? resolve() : reject(error)));
        }),
    );
  } catch (error) {
    destroy(error as Error);
    const end: NodemailerError = error as NodemailerError;
    // A refusal that was cut off is a refusal all the same, and nodemailer has its last line only; what the guard objects to is none.
    const cutOff = end.code === outOfStep && end.response === undefined ? null : guard.cutOff();
    if (cutOff !== null) throw new SmtpFailure(phaseOf(end), { server: cutOff });
    throw failureOf(end, settings, duringTls);
  }
  const ready = current();
  ready.off('data', inner._onSocketData).off('timeout', inner._onSocketTimeout).off('error', inner._onSocketError);
  ready.off('close', inner._onSocketClose).off('end', inner._onSocketEnd);
  return { socket: ready, extensions: readExtensions(connection.lastServerResponse || '') };
}

/** The code of what the guard objects to. */
const outOfStep = 'EPROTOCOL';

function failureOf(error: NodemailerError, settings: SmtpSettings, duringTls: boolean): SmtpFailure {
  const { response, message } = error;
  const code = error.originalCode ?? error.code ?? null;
  const phase = duringTls ? 'tls' : phaseOf(error);
  if (response !== undefined) return new SmtpFailure(phase, { server: response });
  // The server has just agreed to TLS, so it is there.
  if (duringTls && isCutOff(code)) {
    return new SmtpFailure(phase, { code, text: tlsCutOffText(settings) }, { fault: 'tls' });
  }
  if (phase === 'tls') return new SmtpFailure(phase, { code, text: tlsFailureText(code, message, settings) });
  const silent = phase === 'greeting' && code === 'ETIMEDOUT';
  return new SmtpFailure(phase, { code, text: silent ? silenceText(settings) : message });
}

/** A server that waits for TLS from the first byte says nothing (RFC 8314 section 3.3). */
function silenceText({ security, port, timeouts }: SmtpSettings): string {
  const text = `no greeting within ${timeouts.greetingMs} ms`;
  if (security === 'tls') return text;
  return port === 465
    ? `${text}; servers expect TLS from the first byte at port 465: set security: tls`
    : `${text}; if the server expects TLS from the first byte, set security: tls`;
}

function phaseOf({ command, code }: NodemailerError): SmtpPhase {
  if (command === 'STARTTLS' || code === 'ETLS') return 'tls';
  return command === 'EHLO' || command === 'HELO' ? 'ehlo' : 'greeting';
}

function withCode(code: string, text: string): Error {
  return Object.assign(new Error(text), { code });
}
