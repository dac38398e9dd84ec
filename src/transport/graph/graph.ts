/** The Microsoft Graph transport of one connector: joins tokens, requests and attempts. */
import { createKeyedSemaphore } from '../../async/semaphore.ts';
import { sleep as defaultSleep } from '../../async/timeout.ts';
import { askFence, createAttempts, stopped } from '../attempts.ts';
import { errorTypeOf } from '../error-type.ts';
import type { HttpClient } from '../http.ts';
import { maskCheck, maskSender } from '../mask.ts';
import { wayOf } from '../proxy.ts';
import { readTokenError } from '../oauth/entra-errors.ts';
import { checkGraph } from './check.ts';
import { createGraphClient } from './client.ts';
import { openGraph } from './connection.ts';
import { countedBytes, mimeBytes, requestsPerMailbox } from './limits.ts';
import { verify } from './lookup.ts';
import { outcomeOf, settled } from './outcome.ts';
import { planOf } from './plan.ts';
import type { GraphSettings } from './settings.ts';
import { tryGraphSenders } from './senders.ts';
import { submit } from './submit.ts';
import type { Outcome, OutgoingMail, SendContext, TokenListener, Transport } from '../transport.ts';

export interface GraphTransportOptions {
  readonly settings: GraphSettings;
  /** Messages that this process sends at once; per mailbox never more than Graph allows. */
  readonly maxConnections: number;
  /** Addresses and patterns that the connector sends for: `check` tries the first address. */
  readonly addresses?: readonly string[];
  /** ms since the epoch. Default: the system's clock. */
  readonly now?: () => number;
  readonly onToken?: TokenListener | undefined;
  /** Default: a timer. Resolves when the signal comes, too. */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** A draft of this program is sent within one request; one that Exchange parks itself may wait longer for its transport. */
const parkedDraftTimes = 5;

/** Requests a token and connects when the first mail comes. */
export function createGraphTransport(options: GraphTransportOptions): Transport {
  const { settings, maxConnections, addresses = [], now = Date.now, sleep = defaultSleep, onToken } = options;
  const { cloud, timeouts } = settings;
  const { graphBaseUrl } = cloud;
  // A message makes one request at a time; a verification may run beside it.
  const { tokens, mask, http, client } = openGraph(settings, maxConnections + 1, now, onToken);
  const perMailbox = createKeyedSemaphore(Math.min(maxConnections, requestsPerMailbox));
  const attempts = createAttempts(mask);
  const [server, login] = [serverOf(graphBaseUrl), serverOf(cloud.authorityHost)];

  const attempt = async (mail: OutgoingMail, context: SendContext): Promise<Outcome> => {
    const { signal } = context;
    const plan = planOf(mail, settings, addresses, now());
    if (plan.kind === 'refused') return (await askFence(context)) ?? plan.outcome;
    const { facts } = plan;
    const release = await perMailbox.acquire(facts.mailbox.toLowerCase(), signal);
    if (release === null) return stopped;
    try {
      const { trace } = context;
      const [known] = tokens.secrets;
      const askedAt = Date.now();
      try {
        // Tells of a request that this message waited for.
        if ((await tokens.get(signal)) !== known) trace?.child('token', login, askedAt).end();
      } catch (error) {
        if (signal.aborted) return stopped;
        const failure = readTokenError(error);
        trace?.child('token', login, askedAt).end(failure.fault);
        return outcomeOf({ kind: 'no-token', failure }, 'prepare', facts);
      }
      const span = trace?.child('graph send', server);
      const fence = fenceOnce(context);
      const gated = fencedHttp(http, fence);
      const gatedClient = createGraphClient(graphBaseUrl, tokens, gated);
      const tools = { client: gatedClient, http: gated, graphBaseUrl, timeouts, now, sleep };
      const outcome = await submit(plan, signal, tools);
      // Without a connection the fence was not asked, and the connector is to blame. What is said of a message is said under the fence.
      const stop = fence.asked() || outcome.kind === 'settled' ? await fence.ask() : null;
      if (stop !== null) return stop;
      const end = signal.aborted && nothingSent(outcome) ? stopped : outcome;
      span?.end(errorTypeOf('graph', end));
      return mail.dsn === undefined ? end : withoutDsn(end);
    } finally {
      release();
    }
  };

  return {
    kind: 'graph',
    maxInMemoryBytes: mimeBytes,
    copyWithinMs: timeouts.sentItemsMs,
    countedBytes,
    send: (mail, context) =>
      attempts.run(
        context.signal,
        () => attempt(mail, context),
        (error) => unexpected(mail, error),
      ),
    async check(signal) {
      const mailbox = settings.mailbox ?? addresses.find((address) => !address.startsWith('*')) ?? null;
      const { proxy } = wayOf({ kind: 'graph', graph: settings });
      const task = { client, tokens, mailbox, proxy, requestMs: timeouts.requestMs, now: now(), signal };
      return maskCheck(await checkGraph(task), mask);
    },
    trySenders(senders, signal, told) {
      const task = { client, mailbox: settings.mailbox, requestMs: timeouts.requestMs, now, signal };
      return tryGraphSenders(senders, task, (check) => told(maskSender(check, mask)));
    },
    async verify(mail, { signal, attemptedAt }) {
      const plan = planOf(mail, settings, addresses, now());
      if (plan.kind === 'refused') return 'not-sent';
      if (plan.messageId === null) return 'unknown';
      const draftTimes = plan.kind === 'large' || plan.kind === 'apart' ? 1 : parkedDraftTimes;
      return verify({
        client,
        mailbox: plan.facts.mailbox,
        messageId: plan.messageId,
        recipients: plan.facts.recipients,
        keepsCopies: plan.kind !== 'json',
        attemptedAt,
        now: now(),
        patience: { copyMs: timeouts.sentItemsMs, draftMs: timeouts.sentItemsMs * draftTimes },
        requestMs: timeouts.requestMs,
        signal,
      });
    },
    async close() {
      await attempts.close();
      http.close();
    },
  };
}

/** As OpenTelemetry names it. */
function serverOf(url: string) {
  const { hostname, port, protocol } = new URL(url);
  const number = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
  return { 'server.address': hostname, 'server.port': number, 'network.transport': 'tcp' } as const;
}

interface FenceOnce {
  /** Asks at the first call. → null if the attempt may begin. */
  ask(): Promise<Outcome | null>;
  asked(): boolean;
}

function fenceOnce(context: SendContext): FenceOnce {
  let answer: Promise<Outcome | null> | null = null;
  return { ask: () => (answer ??= askFence(context)), asked: () => answer !== null };
}

/** Asks the fence when the first request has its connection, so that neither TCP nor TLS stands between it and the first byte. */
function fencedHttp(http: HttpClient, fence: FenceOnce): HttpClient {
  const mayBegin = async (): Promise<boolean> => (await fence.ask()) === null;
  return { ...http, request: (request) => http.request({ ...request, mayBegin }) };
}

/** It has no envelope that could ask for reports; Exchange sends its own in any case. */
function withoutDsn(outcome: Outcome): Outcome {
  if (outcome.kind !== 'settled') return outcome;
  const noted = outcome.recipients.map((recipient) => {
    if (recipient.outcome !== 'accepted') return recipient;
    const text = `${recipient.reply.text ?? ''}; dsn has no effect, as Graph cannot ask for delivery reports`;
    return { ...recipient, reply: { ...recipient.reply, text } };
  });
  return { ...outcome, recipients: noted };
}

/** An unknown result is never a success, and whether the mail was sent is unknown, too. */
function unexpected(mail: OutgoingMail, error: Error): Outcome {
  const reply = { code: null, enhancedCode: null, text: `internal: ${error.message}` };
  return settled({ recipients: [...new Set(mail.envelope.to)] }, 'uncertain', 'message', reply);
}

/** Whether an attempt that the signal ended has left nothing but a message to be tried again. */
function nothingSent(outcome: Outcome): boolean {
  if (outcome.kind !== 'settled') return true;
  return outcome.recipients.every((recipient) => recipient.outcome === 'deferred');
}
