/** The servers of the quick start: one per connector that sends, on the loopback, remembering all that they take. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerAddress } from 'smtp-server';
import { startFakeGraph, type FakeGraph } from '../../testkit/graph/fake-graph.ts';
import { faults } from '../../testkit/graph/faults.ts';
import type { Delivery } from '../../testkit/graph/outbox.ts';
import { createAuthority, localNames } from '../../testkit/certificates.ts';

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
  readonly by: 'smtp' | 'graph';
  readonly security: 'none' | 'starttls' | 'tls';
  readonly login: { readonly user: string; readonly password: string } | null;
}

/** The application that the mailbox `support` is used as. */
const supportClientId = '0b6f3a52-8f35-4f4e-9a51-3f1b7f0f7a22';

/** The servers that the example set is sent to. Passwords are made up for one run. */
export function serverPlans(password: () => string): ServerPlan[] {
  return [
    { connector: 'relay', by: 'smtp', security: 'none', login: null },
    { connector: 'sales', by: 'smtp', security: 'starttls', login: { user: 'sales', password: password() } },
    { connector: 'finance', by: 'smtp', security: 'tls', login: { user: 'finance', password: password() } },
    { connector: 'shop', by: 'smtp', security: 'none', login: null },
    { connector: 'support', by: 'graph', security: 'tls', login: { user: supportClientId, password: password() } },
  ];
}

export interface Servers {
  /** PEM of the private CA behind the servers that speak TLS. */
  readonly ca: string;
  /** Connector → port on 127.0.0.1. */
  readonly ports: ReadonlyMap<string, number>;
  readonly received: readonly Received[];
  /** Where the plan by Graph is served. */
  readonly graph: Pick<FakeGraph, 'graphBaseUrl' | 'authorityHost' | 'tenantId' | 'ca'>;
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
  const graph = await startGraph(
    plans.filter(({ by }) => by === 'graph'),
    (mail) => received.push(mail),
  );
  for (const plan of plans) {
    if (plan.by === 'graph') {
      ports.set(plan.connector, graph.port);
      continue;
    }
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
    graph,
    async stop() {
      await Promise.all([
        graph.stop(),
        ...running.map((server) => new Promise<void>((resolve) => server.close(resolve))),
      ]);
    },
  };
}

/** A Microsoft 365 of one's own, with a mailbox for each plan. It has its moods, too. */
async function startGraph(plans: readonly ServerPlan[], take: (mail: Received) => void): Promise<FakeGraph> {
  const addresses = new Map(plans.map(({ connector }) => [`${connector}@example.com`, connector]));
  const graph: FakeGraph = await startFakeGraph({
    apps: plans.flatMap(({ login }) =>
      login === null ? [] : [{ clientId: login.user, clientSecret: login.password }],
    ),
    mailboxes: [...addresses.keys()],
    onAccepted: (copies) => take(receivedOf(copies)),
  });
  // One message goes out although its answer is an error of a gateway; one later is told to wait for a second.
  graph.script('sendMail', faults.acceptThen(504), null, null, null, faults.throttled(1));
  return graph;

  function receivedOf(copies: readonly Delivery[]): Received {
    const { mailbox, mime, at } = copies[0]!;
    const request = graph.requests.findLast(({ operation }) => operation === 'sendMail');
    return {
      server: addresses.get(mailbox) ?? '?',
      from: mailbox,
      to: copies.map(({ recipient }) => recipient),
      bytes: mime ?? Buffer.alloc(0),
      // Nothing else is served.
      secure: true,
      user: request?.app ?? null,
      at,
    };
  }
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
