/** The SMTP transport of one connector: joins login, sessions, pool and attempts. */
import type net from 'node:net';
import { createAttempts } from '../attempts.ts';
import { createMask, maskCheck, maskSender } from '../mask.ts';
import { proxyFor, proxyName } from '../proxy.ts';
import { attemptSmtp } from './attempt.ts';
import { SmtpFailure, type MissedHost } from './failure.ts';
import { hostsOf, noMemory, openAtOne, type SmtpHost } from './hosts.ts';
import type { HostMemory, LeaseProvider } from './lease-provider.ts';
import { createLogins } from './login.ts';
import { faultOf } from './outcome.ts';
import { createSmtpPool } from './pool.ts';
import { compileRules } from './reply-rules.ts';
import { createServerLimits, type ConfiguredServerLimits } from './server-limits.ts';
import { trySmtpSenders } from './senders.ts';
import { openSession, type SmtpSession } from './session.ts';
import type { SmtpSettings } from './settings.ts';
import type { Outcome, Transport, TokenListener } from '../transport.ts';

export interface SmtpTransportOptions {
  readonly settings: SmtpSettings;
  /** The name given with EHLO. */
  readonly hostname: string;
  /** Connections of this process to the server. */
  readonly maxConnections: number;
  /** Counts the connections of all processes. Default: no other process connects. */
  readonly leases?: LeaseProvider | null;
  /** What all processes know of the hosts, where there are several. Default: nothing. */
  readonly hostMemory?: HostMemory;
  /** Default: `Math.random`. */
  readonly random?: () => number;
  readonly onToken?: TokenListener | undefined;
  /** ms since the epoch. Default: the system's clock. */
  readonly now?: () => number;
  /** Default: none but those that are found out. */
  readonly serverLimits?: ConfiguredServerLimits;
}

const unlimited: ConfiguredServerLimits = { recipientsPerTransaction: null, messagesPerSession: null };

/** Connects when the first mail comes. Messages are bytes: no path or URL in one is ever opened. */
export function createSmtpTransport(options: SmtpTransportOptions): Transport {
  const { settings, hostname, maxConnections, leases = null, now = Date.now, serverLimits = unlimited } = options;
  const { hostMemory: memory = noMemory, random = Math.random } = options;
  const hosts = hostsOf(settings);
  const { totalMs } = settings.timeouts;
  const rules = compileRules(settings.replyRules);
  const logins = createLogins(settings.auth, now, options.onToken);

  const openAt = async (
    { host, port }: SmtpHost,
    signal: AbortSignal,
    onSocket?: (socket: net.Socket) => void,
    missed: readonly MissedHost[] = [],
  ): Promise<SmtpSession> => {
    if (settings.security === 'none' && settings.auth !== null && !settings.allowInsecureAuth) {
      const text = 'credentials are refused over an unencrypted session (allowInsecureAuth is off)';
      throw new SmtpFailure('auth', { code: 'ECONFIG', text });
    }
    const login = await logins.next(signal);
    const there = { ...settings, host, port };
    try {
      return await openSession(there, hostname, login, signal, { onSocket, missed });
    } catch (error) {
      if (!(error instanceof SmtpFailure)) throw error;
      if (error.phase === 'auth' && faultOf(error, rules).fault === 'auth') logins.refused();
      const proxy = proxyFor(settings.proxy, host, port);
      throw (proxy === null ? error : error.through(proxyName(proxy))).at({ host, port });
    }
  };

  const open = (signal: AbortSignal, onSocket?: (socket: net.Socket) => void): Promise<SmtpSession> =>
    openAtOne(hosts, { memory, random }, signal, (host, missed) => openAt(host, signal, onSocket, missed));

  const limits = createServerLimits(serverLimits, now);
  const maxMessagesPerSession = (): number => limits.messagesPerSession ?? Infinity;
  const pool = createSmtpPool({ open, maxConnections, leases, maxMessagesPerSession });
  const mask = createMask(() => logins.secrets);
  const attempts = createAttempts(mask);
  const tools = {
    pool,
    totalMs,
    account: settings.auth?.user ?? null,
    rules,
    limits,
  };

  return {
    kind: 'smtp',
    send: (mail, context) => attempts.run(context.signal, () => attemptSmtp(mail, context, tools), unexpected),
    async reserve(signal, connect) {
      if (attempts.closed) return null;
      const reservation = await pool.reserve(signal, connect, totalMs);
      if (!attempts.closed && !signal.aborted) return reservation;
      reservation?.cancel();
      return null;
    },
    warm: () => (attempts.closed ? null : pool.warm()),
    async check(signal) {
      const limited = AbortSignal.any([signal, AbortSignal.timeout(totalMs)]);
      try {
        const session = await open(limited);
        session.quit();
        return maskCheck({ ok: true, detail: describe({ ...settings, ...session.server }, session) }, mask);
      } catch (error) {
        const failure =
          error instanceof SmtpFailure ? error : new SmtpFailure('connect', { code: null, text: String(error) });
        const { fault, reply } = faultOf(failure, rules);
        return maskCheck({ ok: false, fault, reply }, mask);
      }
    },
    trySenders(senders, signal, told) {
      const task = { open, account: settings.auth?.user ?? null, rules, signal };
      return trySmtpSenders(senders, task, (check) => told(maskSender(check, mask)));
    },
    async close() {
      await attempts.close();
      pool.close();
    },
  };
}

/** An unknown result is never a success: the message waits, and the text tells why. */
function unexpected(error: Error): Outcome {
  const reply = { code: null, enhancedCode: null, text: `internal: ${error.message}` };
  return { kind: 'connector-fault', fault: 'unreachable', reply };
}

/** "smtp.example.com:587, STARTTLS (TLSv1.3), authenticated as relay, SIZE 35 MB". */
function describe(settings: SmtpSettings, { protocol, extensions }: SmtpSession): string {
  const { host, port, security, auth, localAddress = null } = settings;
  const proxy = proxyFor(settings.proxy, host, port);
  const kind = { tls: 'TLS', starttls: 'STARTTLS', none: 'not encrypted' }[security];
  const parts = [`${host}:${port}`, protocol === null ? kind : `${kind} (${protocol})`];
  parts.push(auth === null ? 'without authentication' : `authenticated as ${auth.user}`);
  if (proxy !== null) parts.push(`through the proxy ${proxyName(proxy)}`);
  if (localAddress !== null) parts.push(`from ${localAddress}`);
  if (extensions.maxBytes !== null) parts.push(`SIZE ${Math.floor(extensions.maxBytes / 1024 / 1024)} MB`);
  return parts.join(', ');
}
