/** A Microsoft Graph and Entra of one's own, on the loopback: enough of them to send mail, and everything that can go wrong with it. */
import { randomUUID } from 'node:crypto';
import { createAuthority, localNames } from '../certificates.ts';
import { graphError } from './answers.ts';
import { createConcurrency } from './concurrency.ts';
import { serveMail } from './endpoints.ts';
import { createEntra, type FakeApp } from './entra.ts';
import { concurrencyKey, serveExchange, type ExchangeContext, type Work } from './exchange.ts';
import { listen } from './listener.ts';
import { createMailbox, type FakeMailbox, type OpenMailbox } from './mailbox.ts';
import { exchangeOnlineLimits, type FakeGraphOptions } from './options.ts';
import { createOutbox, type Delivery, type SentItems } from './outbox.ts';
import { receivedContent } from './received.ts';
import type { Answer, FakeRequest, Operation, OpenRequest } from './requests.ts';
import { serviceOf } from './routes.ts';
import { createScript, type Pattern, type ScriptEntry, type Step } from './script.ts';
import { createUploads } from './uploads.ts';

export type { FakeGraphOptions } from './options.ts';

export interface FakeGraph {
  /** `https://127.0.0.1:PORT` or with the `hostname` of the options, no version and no slash at its end. */
  readonly graphBaseUrl: string;
  readonly authorityHost: string;
  /** PEM of the private CA. */
  readonly ca: string;
  readonly port: number;
  readonly tenantId: string;
  /** The first app, which most tests have alone; `apps` is all, by client id. */
  readonly app: FakeApp;
  readonly apps: ReadonlyMap<string, FakeApp>;
  /** @throws Error if there is none. */
  mailbox(address: string): FakeMailbox;
  readonly mailboxes: ReadonlyMap<string, FakeMailbox>;
  /** Every request, in the order in which they came. */
  readonly requests: readonly FakeRequest[];
  /** How many requests asked for this. */
  count(operation: Operation): number;
  /** Every recipient's copy of every message that was accepted. */
  readonly deliveries: readonly Delivery[];
  /** Most requests that an app had on their way to the mailbox at once, refused ones included. */
  highWater(address: string, clientId?: string): number;
  /** Faults for requests to come: `script('sendMail', faults.throttled(1), null, faults.reset('after-body'))`. */
  script(pattern: Pattern, ...steps: readonly Step[]): ScriptEntry;
  /** When accepted messages are to be seen in Sent Items; may be changed. */
  sentItems: SentItems;
  /** Sent Items catches up with all that was accepted. */
  releaseSentItems(): void;
  /** All tokens so far are no longer good: 401 until the client gets a new one. */
  revokeTokens(): void;
  /** Every value that must not be in a log: tokens, upload tokens, secrets. */
  secrets(): string[];
  /** Ends every connection at once, as a restart would. */
  dropConnections(): void;
  stop(): Promise<void>;
}

export async function startFakeGraph(options: FakeGraphOptions = {}): Promise<FakeGraph> {
  const { tenantId = randomUUID(), now = Date.now, domains = [], hostname = '127.0.0.1' } = options;
  const limits = { ...exchangeOnlineLimits, ...options.limits };
  const { ca, certificate } = await makeCertificate(hostname);
  const apps = new Map(
    (options.apps ?? [{ clientId: randomUUID() }]).map((app) => [app.clientId.toLowerCase(), completeApp(app)]),
  );
  const [app] = apps.values();
  if (app === undefined) throw new Error('A fake Graph needs an app.');
  const oldSecrets = new Set([...apps.values()].map(({ clientSecret }) => clientSecret));
  const mailboxes = new Map<string, OpenMailbox>();
  for (const given of options.mailboxes ?? ['sales@example.com']) {
    const { address, sendAs } = typeof given === 'string' ? { address: given, sendAs: [] } : given;
    mailboxes.set(address.toLowerCase(), createMailbox(address, { sendAs, now, read: receivedContent }));
  }
  const find = (user: string): OpenMailbox | null => {
    const known =
      mailboxes.get(user.toLowerCase()) ?? [...mailboxes.values()].find(({ id }) => id === user.toLowerCase());
    if (known !== undefined) return known;
    const domain = user.slice(user.lastIndexOf('@') + 1).toLowerCase();
    if (!/^[^@\s/?#]+@/.test(user) || !domains.some((each) => each.toLowerCase() === domain)) return null;
    const created = createMailbox(user, { now, read: receivedContent });
    mailboxes.set(user.toLowerCase(), created);
    return created;
  };

  const requests: OpenRequest[] = [];
  const script = createScript();
  const concurrency = createConcurrency(limits.concurrent);
  const outbox = createOutbox(limits.recipients, options.sentItems ?? 'at once', now, options.onAccepted ?? null);
  let origin = '';
  const lifetimeSeconds = options.tokenLifetimeSeconds ?? 3599;
  const entra = createEntra({ tenantId, apps, origin: () => origin, lifetimeSeconds, now });
  const uploads = createUploads(() => origin, limits, now);
  const mailServices = {
    mailboxOf: find,
    outbox,
    uploads,
    now,
    oversize: options.oversize ?? 'refuse',
    origin: () => origin,
  } as const;

  async function workOnGraph({ request, route, headers, body, tooLarge }: Work): Promise<Answer> {
    const { operation, parameters, query } = route;
    if (operation === 'discovery') return entra.discovery(parameters['tenant'] ?? '');
    if (operation === 'token')
      return entra.token(parameters['tenant'] ?? '', new URLSearchParams(body.toString('utf8')));
    if (request.app === null) {
      const challenge = {
        'www-authenticate': `Bearer realm="", authorization_uri="${origin}/common/oauth2/authorize"`,
      };
      return graphError(
        401,
        'InvalidAuthenticationToken',
        'Access token is empty, unknown, expired or for another audience.',
        challenge,
      );
    }
    return serveMail({ operation, parameters, query, headers, body, tooLarge }, mailServices);
  }

  function workOnUpload({ route, body, request, tooLarge }: Work): Promise<Answer> {
    if (tooLarge) return Promise.resolve(graphError(413, 'RequestEntityTooLarge', 'The range is too long.'));
    const call = { session: route.parameters['session'] ?? '', query: route.query, headers: request.headers, body };
    return Promise.resolve(uploads.serve(route.operation, call));
  }

  const exchange: Omit<ExchangeContext, 'service' | 'reset' | 'work'> = {
    requests,
    script,
    concurrency,
    requestBytes: limits.requestBytes,
    now,
    delay: options.delay ?? null,
    describeToken: (token) => entra.describe(token),
    appOf: (token) => entra.appOf(token, origin),
    mailboxOf: (user) => find(user)?.address ?? user,
  };
  const graph = await listen(certificate, options.port ?? 0, (req, res) => {
    const service = serviceOf(req.url ?? '');
    const work = service === 'graph' ? workOnGraph : workOnUpload;
    return serveExchange(req, res, { ...exchange, service, reset: graph.reset, work });
  });
  origin = `https://${hostname}:${graph.port}`;

  return {
    graphBaseUrl: origin,
    authorityHost: origin,
    ca,
    port: graph.port,
    tenantId,
    app,
    apps,
    mailboxes,
    mailbox(address) {
      const found = mailboxes.get(address.toLowerCase());
      if (found === undefined) throw new Error(`The fake has no mailbox ${address}.`);
      return found;
    },
    requests,
    count: (operation) => requests.filter((request) => request.operation === operation).length,
    deliveries: outbox.deliveries,
    highWater: (address, clientId = app.clientId) => concurrency.highWater(concurrencyKey(clientId, address)),
    script: (pattern, ...steps) => script.add(pattern, ...steps),
    get sentItems() {
      return outbox.sentItems;
    },
    set sentItems(when) {
      outbox.sentItems = when;
    },
    releaseSentItems: () => outbox.release(),
    revokeTokens: () => entra.revokeTokens(),
    secrets() {
      for (const { clientSecret } of apps.values()) oldSecrets.add(clientSecret);
      const known = [...oldSecrets].filter((secret) => secret !== null);
      return [...known, ...entra.tokenValues(), ...uploads.tokenValues()];
    },
    dropConnections: () => graph.dropConnections(),
    stop: () => graph.stop(),
  };
}

function completeApp(app: Partial<FakeApp> & { readonly clientId: string }): FakeApp {
  const proofs = {
    certificate: null,
    federatedAssertion: null,
    secretExpired: false,
    clientSecret: `secret-${randomUUID()}`,
  };
  return { ...proofs, ...app };
}

async function makeCertificate(hostname: string) {
  const names = hostname === '127.0.0.1' ? localNames : [...localNames, { type: 2, value: hostname } as const];
  const now = Date.now();
  const dayMs = 24 * 60 * 60 * 1000;
  const authority = await createAuthority('Fake Graph CA', new Date(now));
  const validity = { notBefore: new Date(now - dayMs), notAfter: new Date(now + 30 * dayMs) };
  return {
    ca: authority.ca,
    certificate: await authority.sign({ commonName: 'localhost', names, ...validity }),
  };
}
