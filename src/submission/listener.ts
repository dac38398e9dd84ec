/** One address to listen on: takes connections, reads what a load balancer says of them, and hands them to smtp-server. */
import { randomBytes } from 'node:crypto';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { asError } from '../errors.ts';
import { createNetworkTest } from '../config/networks.ts';
import type { SubmissionListener } from '../config/submission.ts';
import { plainAddress } from '../observability/host.ts';
import { commandMs, type Connection } from './clients.ts';
import { takeProxyHeader } from './proxy-header.ts';
import { replies } from './replies.ts';
import { createSession, type SessionOptions } from './session.ts';
import type { Sender } from './sender.ts';

export interface ListenerOptions extends Omit<SessionOptions, 'security' | 'known'> {
  readonly settings: SubmissionListener;
  readonly maxClients: () => number;
}

export interface Listener {
  readonly port: number;
  /** Puts other networks, senders, proxies, certificates and limits in force. */
  apply(settings: SubmissionListener): void;
  /** Takes no more connections; those that are there go on. */
  close(): void;
}

/** RFC 5321 section 4.5.3.1.4 asks for 512 octets, and RFC 4954 section 4 for more in AUTH. */
const maxCommandLength = 4_096;
/** Until the PROXY header is there, in ms: it is the first thing that a proxy sends. */
const proxyHeaderMs = 5_000;
/** Connections whose PROXY header is awaited. */
const maxAwaited = 1_000;

/** What smtp-server has beside what a submission service needs: jokes, and ways to speak for another client. */
const disabled = ['WIZ', 'SHELL', 'KILL', 'HELP', 'XCLIENT', 'XFORWARD'];

/** Resolves once it listens. Rejects if the address cannot be had. */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  const { hostname, limits, clients, maxClients, onEvent } = options;
  let settings = options.settings;
  let isKnown = createNetworkTest(settings.networks);
  let isProxy = createNetworkTest(settings.proxies);
  const { host, port } = settings.listen;
  const known = (): Sender => ({
    name: `${host}:${port}`,
    from: settings.from,
    options: false,
    rate: null,
    quota: null,
  });
  const smtp = new SMTPServer({
    ...serverOptions(settings),
    ...createSession({ ...options, security: settings.security, known }),
    name: hostname,
    size: limits().maxBytes,
    maxRecipients: limits().maxRecipients,
  });
  smtp.on('error', (error: Error & { remoteAddress?: string }) => {
    onEvent({ event: 'smtp-client-error', address: error.remoteAddress ?? null, detail: error.message });
  });

  const awaited = new Set<Socket>();
  const admit = async (socket: Socket): Promise<void> => {
    const peer = plainAddress(socket.remoteAddress ?? '');
    if (peer === '') return void socket.destroy();
    let [address, remotePort] = [peer, socket.remotePort ?? 0];
    if (isProxy(peer)) {
      if (awaited.size >= maxAwaited) return void socket.destroy();
      awaited.add(socket);
      try {
        const client = await takeProxyHeader(socket, proxyHeaderMs);
        if (client !== null) [address, remotePort] = [plainAddress(client.address), client.port];
      } finally {
        awaited.delete(socket);
      }
    }
    const byNetwork = isKnown(address);
    const strangers = byNetwork ? 0 : clients.strangersFrom(address);
    if (clients.count >= maxClients() || strangers >= Math.max(10, maxClients() / 4)) return turnAway(socket);
    const id = randomBytes(10).toString('hex');
    smtp.connect(socket, { id, remoteAddress: address, remotePort });
    const connection = lastOf(smtp.connections);
    if (connection === undefined) return void socket.destroy();
    clients.add({ id, address, socket, connection, isKnown: byNetwork });
  };
  const turnAway = (socket: Socket): void => {
    const { code, text } = replies['too-many-clients'];
    if (settings.security !== 'tls') socket.write(`${code} ${text}\r\n`);
    socket.destroySoon();
  };

  const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
    socket.on('error', () => undefined);
    admit(socket).catch((thrown: unknown) => {
      onEvent({ event: 'smtp-client-error', address: socket.remoteAddress ?? null, detail: asError(thrown).message });
      socket.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', (error) => onEvent({ event: 'smtp-client-error', address: null, detail: error.message }));
  return {
    port: (server.address() as AddressInfo).port,

    apply(next) {
      settings = next;
      isKnown = createNetworkTest(next.networks);
      isProxy = createNetworkTest(next.proxies);
      smtp.options.size = limits().maxBytes;
      smtp.options.maxRecipients = limits().maxRecipients;
      if (next.tls !== null) smtp.updateSecureContext(tlsOptions(next.tls));
    },

    close() {
      server.close();
      for (const socket of awaited) socket.destroy();
    },
  };
}

/** Everything that is on by default and should not be, and the reverse. */
function serverOptions({ security, tls }: SubmissionListener): SMTPServerOptions {
  return {
    logger: false,
    // `needsUpgrade`: TLS goes through the same code as after STARTTLS.
    secure: security === 'tls',
    needsUpgrade: security === 'tls',
    hideSTARTTLS: security !== 'starttls',
    disabledCommands: [
      ...disabled,
      ...(security === 'starttls' ? [] : ['STARTTLS']),
      ...(security === 'none' ? ['AUTH'] : []),
    ],
    authMethods: ['PLAIN', 'LOGIN'],
    // MAIL asks for the login itself: clients of listed networks need none.
    authOptional: true,
    hideENHANCEDSTATUSCODES: false,
    heloResponse: '%s',
    disableReverseLookup: true,
    socketTimeout: commandMs + 30_000,
    maxCommandLength,
    useProxy: false,
    useXClient: false,
    useXForward: false,
    // Without a certificate of our own smtp-server would use one whose key is published.
    ...(tls === null ? {} : tlsOptions(tls)),
  };
}

function tlsOptions({ cert, key, clientCa, minVersion }: NonNullable<SubmissionListener['tls']>): SMTPServerOptions {
  const isOld = minVersion === 'TLSv1' || minVersion === 'TLSv1.1';
  return {
    cert,
    key,
    minVersion,
    // OpenSSL 3 has the signatures of TLS 1.0 and 1.1 at level 0 only.
    ...(isOld ? { ciphers: 'DEFAULT@SECLEVEL=0' } : {}),
    ...(clientCa === null ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
  };
}

function lastOf(connections: ReadonlySet<Connection>): Connection | undefined {
  return [...connections].at(-1);
}
