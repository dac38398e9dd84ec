/**
 * Reads the INBOX of a mailbox by IMAP. It is opened read-only (EXAMINE), and its mails are peeked at, so that nothing is marked, moved or
 * deleted. The size and the structure of a mail are asked first; only what may be a report is fetched, and of that its beginning.
 */
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { ImapFlow, type FetchMessageObject, type ImapFlowOptions, type MessageStructureObject } from 'imapflow';
import type { IncomingSettings } from '../config/config.ts';
import { asError, printable } from '../errors.ts';
import { createMask } from '../transport/mask.ts';
import { loginSecrets, loginTokens } from '../transport/oauth/login-tokens.ts';
import { proxyFor, proxyName } from '../transport/proxy.ts';
import { checkServerIdentity } from '../transport/server-identity.ts';
import { classifySocketFault } from '../transport/socket-fault.ts';
import { openTunnel } from '../transport/tunnel.ts';
import { maxParts, maxReadBytes } from './bounds.ts';
import { candidateHeaders, mayBeReport } from './candidates.ts';
import { linesOf } from './notice.ts';
import { headerOf } from './returned.ts';
import { MailboxFailure, type Found, type MailSource, type ReadingOptions } from './source.ts';

/** In ms. A reading is repeated, so it is less patient than an attempt to send. */
const timeoutMs = { connect: 30_000, greeting: 30_000, silence: 60_000 };
/** UIDs of one search: its answer is one line. */
const uidsPerSearch = 50_000;
/** Mails whose size and structure are asked for together. */
const mailsPerList = 100;
/** What one answer may take, against a server that sends without end: a search has 11 octets for a UID, a mail its first ones. */
const most = { line: 2 * 1024 * 1024, literal: 2 * 1024 * 1024, response: 8 * 1024 * 1024, tokens: 200_000 };

/** Where a mailbox is, and how one logs in. */
export type MailboxLogin = Omit<IncomingSettings, 'protocol'>;

/** `now`: ms since the epoch. */
export function createImapSource(settings: MailboxLogin, now: () => number): MailSource {
  const { auth, host, port } = settings;
  const proxy = proxyFor(settings.proxy, host, port);
  const way = proxy === null ? '' : ` through the proxy ${proxyName(proxy)}`;
  const tokens = 'oauth2' in auth ? loginTokens(auth.user, auth.oauth2, now) : null;
  const own = 'oauth2' in auth ? loginSecrets(auth.oauth2) : [auth.password];
  /** A token that the server did not take: it may have been revoked, so another one is requested. */
  let refused: string | null = null;
  const accessToken = async (signal: AbortSignal): Promise<string | null> => {
    if (tokens === null) return null;
    return refused === null ? tokens.get(signal) : tokens.renew(refused, signal);
  };
  const mask = createMask(() => [...own, ...(tokens?.secrets ?? [])]);
  const failed = (thrown: unknown, place: string | null): MailboxFailure => {
    if (thrown instanceof MailboxFailure) return thrown;
    const { fault, text } = readFailure(thrown);
    return new MailboxFailure(fault, mask(printable(text, 300)), place);
  };
  /** One session that is logged in, and ends with the loop over it. */
  async function* session(signal: AbortSignal): AsyncGenerator<ImapFlow, void> {
    let client: ImapFlow | null = null;
    let tunnel: Socket | null = null;
    const close = (): void => client?.close();
    signal.addEventListener('abort', close, { once: true });
    try {
      const token = await accessToken(signal);
      if (proxy !== null) tunnel = await openTunnel(proxy, settings, { signal, timeoutMs: timeoutMs.connect });
      client = clientOf(settings, token === null ? {} : { accessToken: token }, tunnel);
      // Without a listener an error of the socket would end the process. What waits for an answer is told as well.
      client.on('error', () => undefined);
      if (signal.aborted) return;
      await client.connect().catch((thrown: unknown) => {
        if (isRefusedLogin(thrown)) refused = token;
        throw thrown;
      });
      refused = null;
      yield client;
    } finally {
      signal.removeEventListener('abort', close);
      await end(client);
      tunnel?.destroy();
    }
  }
  return {
    async *read(options) {
      let place: string | null = null;
      try {
        for await (const client of session(options.signal)) {
          for await (const found of readFrom(client, options, (at) => (place = at))) yield found;
        }
      } catch (thrown) {
        if (!options.signal.aborted) throw failed(thrown, place);
      }
    },
    async check(signal) {
      try {
        for await (const client of session(signal)) {
          const { exists } = await client.mailboxOpen('INBOX', { readOnly: true });
          return `the INBOX of ${auth.user} can be read${way}; it has ${exists} mails`;
        }
      } catch (thrown) {
        throw failed(thrown, null);
      }
      throw new MailboxFailure('unreachable', 'stopped');
    },
  };
}

function isRefusedLogin(thrown: unknown): boolean {
  return (thrown as { readonly authenticationFailed?: unknown } | null)?.authenticationFailed === true;
}

function clientOf(
  { host, port, security, tls, auth }: MailboxLogin,
  login: { readonly accessToken?: string },
  tunnel: Socket | null,
): ImapFlow {
  return new ImapFlow({
    host,
    port,
    secure: security === 'tls',
    ...(security === 'starttls' ? { doSTARTTLS: true } : {}),
    auth: { user: auth.user, ...('oauth2' in auth ? login : { pass: auth.password }) },
    tls: {
      minVersion: 'TLSv1.2',
      checkServerIdentity,
      ...(tls.ca === null ? {} : { ca: tls.ca }),
      ...(tls.servername === null ? {} : { servername: tls.servername }),
    },
    ...(tunnel === null ? {} : { transport: transportOver(tunnel) }),
    logger: false,
    disableAutoIdle: true,
    disableBinary: true,
    connectionTimeout: timeoutMs.connect,
    greetingTimeout: timeoutMs.greeting,
    socketTimeout: timeoutMs.silence,
    maxLineLength: most.line,
    maxLiteralSize: most.literal,
    maxResponseSize: most.response,
    maxResponseTokens: most.tokens,
  });
}

/** TLS is with the server itself, and verified as without a proxy. */
function transportOver(tunnel: Socket): NonNullable<ImapFlowOptions['transport']> {
  return {
    connect({ secure, host, servername, tls }, onConnect) {
      const named = servername === undefined ? {} : { servername };
      if (secure) return connectTls({ host, ...named, ...tls, socket: tunnel }, onConnect);
      setImmediate(onConnect);
      return tunnel;
    },
    upgrade(socket, { host, servername, tls }, onSecure) {
      const named = servername === undefined ? {} : { servername };
      return connectTls({ host, ...named, ...tls, socket }, onSecure);
    },
  };
}

/** `at` is told of the mail that is asked for. */
async function* readFrom(
  client: ImapFlow,
  { after, since, oneByOne, skip, signal }: ReadingOptions,
  at: (place: string | null) => void,
): AsyncGenerator<Found, void> {
  const { uidNext, uidValidity } = await client.mailboxOpen('INBOX', { readOnly: true });
  const placeOf = (uid: number): string => `${uidValidity}.${uid}`;
  const [validity, uid] = after?.split('.') ?? [];
  // Another UIDVALIDITY: the UIDs of before are worth nothing (RFC 9051 section 2.3.1.1). What is read again is written once.
  let from = validity === String(uidValidity) ? Number(uid) + 1 : 1;
  while (from < uidNext && !signal.aborted) {
    const to = Math.min(from + uidsPerSearch, uidNext) - 1;
    const uids = await client.search({ uid: `${from}:${to}`, since }, { uid: true });
    if (!Array.isArray(uids)) throw new MailboxFailure('protocol', 'the server did not answer to a search');
    const asked = uids.filter((each) => each >= from && each <= to).toSorted((a, b) => a - b);
    const perList = oneByOne ? 1 : mailsPerList;
    for (let i = 0; i < asked.length; i += perList) {
      const some = asked.slice(i, i + perList);
      if (signal.aborted) return;
      at(placeOf(some[0]!));
      if (placeOf(some[0]!) !== skip) yield* readSome(client, some, placeOf, at);
      at(null);
      yield { kind: 'passed', place: placeOf(some.at(-1)!) };
    }
    from = to + 1;
    yield { kind: 'passed', place: placeOf(to) };
  }
}

async function* readSome(
  client: ImapFlow,
  uids: readonly number[],
  placeOf: (uid: number) => string,
  at: (place: string | null) => void,
): AsyncGenerator<Found, void> {
  const candidates: number[] = [];
  const asked = new Set(uids);
  const query = { uid: true, size: true, bodyStructure: true, headers: [...candidateHeaders] };
  for await (const mail of client.fetch(uids.join(','), query, { uid: true })) {
    if (asked.has(mail.uid) && isCandidate(mail)) candidates.push(mail.uid);
  }
  for (const uid of candidates.toSorted((a, b) => a - b)) {
    at(placeOf(uid));
    const source = { start: 0, maxLength: maxReadBytes };
    const mail = await client.fetchOne(String(uid), { source }, { uid: true });
    // Deleted meanwhile: there is nothing to be read.
    if (mail === false || mail.source === undefined) continue;
    yield { kind: 'mail', place: placeOf(uid), bytes: mail.source.subarray(0, maxReadBytes) };
  }
}

function isCandidate({ headers, bodyStructure, size }: FetchMessageObject): boolean {
  if (size === 0) return false;
  return mayBeReport(headerOf(linesOf(headers?.toString('latin1') ?? '')), typesOf(bodyStructure));
}

/** Not within returned mails: the reader of reports does not look there either. */
function typesOf(structure: MessageStructureObject | undefined): string[] {
  const types: string[] = [];
  const open = structure === undefined ? [] : [structure];
  for (let part = open.pop(); part !== undefined && types.length < maxParts; part = open.pop()) {
    types.push(part.type);
    if (part.type !== 'message/rfc822') open.push(...(part.childNodes ?? []));
  }
  return types;
}

/** A server that does not say goodbye is left. */
async function end(client: ImapFlow | null): Promise<void> {
  if (client === null) return;
  try {
    if (client.usable) await client.logout();
  } catch {
    // Nothing is lost: the place is in Redis.
  } finally {
    client.close();
  }
}

function readFailure(thrown: unknown): Pick<MailboxFailure, 'fault'> & { readonly text: string } {
  const error = asError(thrown) as Error & {
    readonly code?: unknown;
    readonly responseText?: string;
    readonly fault?: MailboxFailure['fault'];
  };
  const code = typeof error.code === 'string' ? error.code : null;
  const text = [error.message, error.responseText].filter(Boolean).join(': ');
  if (error.name === 'TokenFailure' && error.fault !== undefined) return { fault: error.fault, text };
  if (isRefusedLogin(error)) return { fault: 'auth', text };
  const isOfProtocol =
    code !== null && /^(?:TooMany|.*TooLarge$|Parser|MAX_IMAP|Invalid|STARTTLS_|Response)/.test(code);
  return { fault: isOfProtocol ? 'protocol' : classifySocketFault(code), text };
}
