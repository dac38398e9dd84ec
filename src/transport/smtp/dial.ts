/**
 * Opens the TCP connection of an SMTP session, through a proxy where there is one, and, for implicit TLS, its TLS session.
 *
 * nodemailer could do it, but it asks DNS servers before the hosts file, caches the result for five minutes whatever the TTL,
 * and shares one time limit between connecting and the greeting. Here the system's resolver is asked (hosts file, search
 * domains, container DNS) and each phase has its own limit. The price: the resolver blocks one of libuv's four threads while
 * it waits (`UV_THREADPOOL_SIZE` sets their number); `connectMs` bounds how long the sender waits.
 */
import net from 'node:net';
import tls from 'node:tls';
import { proxyFor } from '../proxy.ts';
import { openTunnel, type ProxyFailure } from '../tunnel.ts';
import { SmtpFailure } from './failure.ts';
import type { SmtpSettings } from './settings.ts';
import { isCutOff, tlsCutOffText, tlsFailureText, tlsOptions } from './tls.ts';

/** How long one address of the host is tried before the next. */
const perAddressMs = 2_000;

/** The socket, connected (and secured, with `security: tls`); rejects with SmtpFailure. */
export async function dial(settings: SmtpSettings, signal: AbortSignal): Promise<net.Socket> {
  const { host, port, security } = settings;
  const { connectMs } = settings.timeouts;
  const proxy = proxyFor(settings.proxy, host, port);
  if (proxy === null) return connect(settings, signal, null, connectMs);
  const startedAt = performance.now();
  const limits = { signal, timeoutMs: connectMs };
  const tunnel = await openTunnel(proxy, { host, port }, limits).catch((error: ProxyFailure) => {
    throw new SmtpFailure('connect', { code: error.code, text: error.message });
  });
  if (security !== 'tls') return tunnel;
  return connect(settings, signal, tunnel, Math.max(1, connectMs - (performance.now() - startedAt)));
}

/** `tunnel`: a connection to the server that exists already. */
function connect(
  settings: SmtpSettings,
  signal: AbortSignal,
  tunnel: net.Socket | null,
  timeoutMs: number,
): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const from = settings.localAddress ?? null;
    const target = {
      // An address of the other family cannot be reached from it.
      ...(from === null ? {} : { localAddress: from, family: net.isIP(from) }),
      host: settings.host,
      port: settings.port,
      noDelay: true,
      keepAlive: true,
      // Node gives up one address when it tries the next, so its default of 250 ms would never reach a distant server.
      autoSelectFamilyAttemptTimeout: Math.max(10, Math.min(perAddressMs, Math.floor(settings.timeouts.connectMs / 4))),
    };
    const secure = settings.security === 'tls';
    const way = tunnel === null ? target : { host: settings.host, socket: tunnel };
    const socket = secure ? tls.connect({ ...way, ...tlsOptions(settings) }) : net.connect(target);
    let connected = tunnel !== null;

    const done = (failure: SmtpFailure | null): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.off('error', onError).off('close', onClose);
      if (failure === null) return resolve(socket);
      socket.on('error', () => undefined);
      socket.destroy();
      reject(failure);
    };
    const fail = (code: string | null, text: string): void => {
      if (!connected) return done(new SmtpFailure('connect', { code, text }));
      // A proxy before a server that is away closes so as well: it stays a fault `unreachable`, with words.
      const words = isCutOff(code) ? tlsCutOffText(settings) : tlsFailureText(code, text, settings);
      done(new SmtpFailure('tls', { code, text: words }));
    };
    const onError = (error: NodeJS.ErrnoException): void => {
      const isNotOurs = error.code === 'EADDRNOTAVAIL' && from !== null;
      fail(
        error.code ?? null,
        isNotOurs ? `${from} is no address of this machine (smtp.localAddress)` : describe(error),
      );
    };
    const onClose = (): void => fail('ECONNRESET', 'the connection was closed before it was secure');
    const onAbort = (): void => fail(null, 'stopped while connecting');
    const timer = setTimeout(
      () =>
        fail(
          'ETIMEDOUT',
          connected
            ? `no TLS session within ${settings.timeouts.connectMs} ms; if the server speaks first, set security: starttls`
            : `no connection within ${settings.timeouts.connectMs} ms`,
        ),
      timeoutMs,
    );

    socket.on('error', onError).on('close', onClose);
    socket.once('connect', () => {
      connected = true;
    });
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) return onAbort();
    socket.once(secure ? 'secureConnect' : 'connect', () => done(null));
  });
}

/** Several addresses that all fail arrive as one error with an empty message. */
function describe(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map((one) => String(one.message ?? one)).join('; ');
  return error.message;
}
