/** The servers of the quick start: one per sending connector, on the loopback, which keep everything they accept. */
import { startFakeGraph, type FakeGraph } from '../../testkit/graph/fake-graph.ts';
import { faults } from '../../testkit/graph/faults.ts';
import type { Delivery } from '../../testkit/graph/outbox.ts';
import { createCertificates, type KeyAndCertificate } from '../../testkit/certificates.ts';
import { createDisposables } from '../../testkit/disposables.ts';
import { startSmtpServer, type SmtpServer } from '../../testkit/smtp/server.ts';

/** A message as a server accepted it. */
export interface Received {
  /** The connector whose server it is. */
  readonly server: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly bytes: Buffer;
  readonly secure: boolean;
  /** The login; null without one. */
  readonly user: string | null;
  /** ms since the epoch. */
  readonly at: number;
}

/** What a server requires of its clients. */
export interface ServerPlan {
  readonly connector: string;
  readonly by: 'smtp' | 'graph';
  readonly security: 'none' | 'starttls' | 'tls';
  readonly login: { readonly user: string; readonly password: string } | null;
}

/** Client id of the application that sends through the mailbox `support`. */
const supportClientId = '0b6f3a52-8f35-4f4e-9a51-3f1b7f0f7a22';

/** The servers that the example set is sent to. `password` makes one up for this run. */
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
  /** Where the fake Graph is. */
  readonly graph: Pick<FakeGraph, 'graphBaseUrl' | 'authorityHost' | 'tenantId' | 'ca'>;
  stop(): Promise<void>;
}

export async function startServers(plans: readonly ServerPlan[], now: Date): Promise<Servers> {
  const { ca, server: tls } = await createCertificates(now);
  const started = createDisposables();
  const received: Received[] = [];
  const take = (mail: Received): void => void received.push(mail);
  const ports = new Map<string, number>();
  const graphPlans = plans.filter(({ by }) => by === 'graph');
  const graph = started.add(await startGraph(graphPlans, take));
  for (const { connector } of graphPlans) ports.set(connector, graph.port);
  for (const plan of plans.filter(({ by }) => by === 'smtp')) {
    const { port } = started.add(await startSmtp(plan, tls, take));
    ports.set(plan.connector, port);
  }
  return { ca, ports, received, graph, stop: async () => void (await started.close()) };
}

/** A fake Microsoft 365 with a mailbox for each plan. It fails twice, in ways that Graph does. */
async function startGraph(plans: readonly ServerPlan[], take: (mail: Received) => void): Promise<FakeGraph> {
  const addresses = new Map(plans.map(({ connector }) => [`${connector}@example.com`, connector]));
  const graph: FakeGraph = await startFakeGraph({
    apps: plans.flatMap(({ login }) =>
      login === null ? [] : [{ clientId: login.user, clientSecret: login.password }],
    ),
    mailboxes: [...addresses.keys()],
    onAccepted: (copies) => take(receivedOf(copies)),
  });
  // One message goes out although the answer is a gateway's error; a later one is throttled for a second.
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
      // The fake serves HTTPS only.
      secure: true,
      user: request?.app ?? null,
      at,
    };
  }
}

function startSmtp(
  { connector, security, login }: ServerPlan,
  tls: KeyAndCertificate,
  take: (mail: Received) => void,
): Promise<SmtpServer> {
  const seenBefore = new Set<string>();
  return startSmtpServer({
    hostname: `${connector}.example.com`,
    ...(security === 'none' ? {} : { tls, implicitTls: security === 'tls' }),
    ...(login === null ? {} : { auth: login }),
    script: {
      RCPT({ line }) {
        const address = /<([^>]+)>/.exec(line)?.[1] ?? '';
        if (address.startsWith('gone-')) return '550 5.1.1 There is no mailbox of that name';
        if (!address.startsWith('greylisted-') || seenBefore.has(address)) return undefined;
        seenBefore.add(address);
        return '450 4.7.1 Greylisted, please try again in 1 second';
      },
    },
    onMessage: ({ from, to, bytes, secure, user }) =>
      take({ server: connector, from, to, bytes, secure, user, at: Date.now() }),
  });
}
