/** The SMTP servers of the quick start: one per connector that sends, on the loopback, remembering all that they take. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerAddress } from 'smtp-server';
import { createAuthority, localNames } from '../scripts/certificates.ts';

/** A mail as a server took it. */
export interface Received {
  /** The connector whose server it is. */
  readonly server: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly bytes: Buffer;
  readonly secure: boolean;
  /** Who was logged in; null is nobody. */
  readonly user: string | null;
  /** ms since the epoch. */
  readonly at: number;
}

/** How a server wants to be talked to. */
export interface ServerPlan {
  readonly connector: string;
  readonly security: 'none' | 'starttls' | 'tls';
  readonly login: { readonly user: string; readonly password: string } | null;
}

/** The servers that the example set is sent to. Passwords are made up for one run. */
export function serverPlans(password: () => string): ServerPlan[] {
  return [
    { connector: 'relay', security: 'none', login: null },
    { connector: 'sales', security: 'starttls', login: { user: 'sales', password: password() } },
    { connector: 'finance', security: 'tls', login: { user: 'finance', password: password() } },
    { connector: 'shop', security: 'none', login: null },
  ];
}

export interface Servers {
  /** PEM of the private CA behind the servers that speak TLS. */
  readonly ca: string;
  /** Connector → port on 127.0.0.1. */
  readonly ports: ReadonlyMap<string, number>;
  readonly received: readonly Received[];
  stop(): Promise<void>;
}

export async function startServers(plans: readonly ServerPlan[], now: Date): Promise<Servers> {
  const authority = await createAuthority('Postlane quick start CA', now);
  const dayMs = 24 * 60 * 60 * 1000;
  const tls = await authority.sign({
    commonName: 'localhost',
    names: localNames,
    notBefore: new Date(now.getTime() - dayMs),
    notAfter: new Date(now.getTime() + dayMs),
  });
  const received: Received[] = [];
  const running: SMTPServer[] = [];
  const ports = new Map<string, number>();
  for (const plan of plans) {
    const server = createServer(plan, tls, (mail) => received.push(mail));
    running.push(server);
    const listener = server.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    ports.set(plan.connector, (listener.address() as AddressInfo).port);
  }
  return {
    ca: authority.ca,
    ports,
    received,
    async stop() {
      await Promise.all(running.map((server) => new Promise<void>((resolve) => server.close(resolve))));
    },
  };
}

function createServer(
  { connector, security, login }: ServerPlan,
  { key, cert }: { readonly key: string; readonly cert: string },
  take: (mail: Received) => void,
): SMTPServer {
  const seenBefore = new Set<string>();
  const server = new SMTPServer({
    name: `${connector}.example.com`,
    banner: 'quick start',
    secure: security === 'tls',
    hideSTARTTLS: security === 'none',
    ...(security === 'none' ? {} : { key, cert }),
    authOptional: login === null,
    ...(login === null ? { disabledCommands: ['AUTH'] } : {}),
    disableReverseLookup: true,
    // The enhanced codes are part of the replies below.
    hideENHANCEDSTATUSCODES: true,
    size: 30 * 1024 * 1024,
    closeTimeout: 500,
    logger: false,
    onAuth({ username, password }, _session, answer) {
      if (login !== null && username === login.user && password === login.password) answer(null, { user: username });
      else answer(refusal(535, '5.7.8 Authentication credentials invalid'));
    },
    onRcptTo({ address }, _session, answer) {
      if (address.startsWith('gone-')) return answer(refusal(550, '5.1.1 There is nobody of that name here'));
      if (address.startsWith('greylisted-') && !seenBefore.has(address)) {
        seenBefore.add(address);
        return answer(refusal(450, '4.7.1 Greylisted, please try again in 1 second'));
      }
      return answer();
    },
    onData(stream, session, answer) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.once('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        take({
          server: connector,
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }: SMTPServerAddress) => address),
          bytes: Buffer.concat(chunks),
          secure: session.secure,
          user: typeof session.user === 'string' ? session.user : null,
          at: Date.now(),
        });
        answer(null, '2.0.0 Taken');
      });
    },
  });
  // A client that goes away in the middle is not the server's failure.
  server.on('error', () => undefined);
  return server;
}

function refusal(responseCode: number, text: string): Error & { responseCode: number } {
  return Object.assign(new Error(text), { responseCode });
}
