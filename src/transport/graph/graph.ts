/** The Microsoft Graph transport of one connector: mailbox, size and recipients first, then token, fence and one of three ways. */
import { unreachable } from '../../errors.ts';
import { readRawHeader } from '../../message/raw.ts';
import { createKeyedSemaphore } from '../../async/semaphore.ts';
import { sleep as defaultSleep } from '../../async/timeout.ts';
import { checkGraph } from './check.ts';
import { createGraphClient } from './client.ts';
import { draftOf, fileAttachmentOf } from './draft.ts';
import { createHttpClient } from '../http.ts';
import { finishedTooLarge, readContent, sendLarge, tooLargeForGraph } from './large.ts';
import { countedBytes, mimeBytes, requestsPerMailbox } from './limits.ts';
import { verify } from './lookup.ts';
import { addressTo } from './mime.ts';
import { outcomeOf, refusedHere, settled, type AttemptFacts } from './outcome.ts';
import type { GraphSettings } from './settings.ts';
import { requestToken, secretsOf } from '../oauth/entra.ts';
import { readTokenError } from '../oauth/entra-errors.ts';
import { createTokenSource } from '../oauth/token-source.ts';
import type { Outcome, OutgoingMail, SendContext, Structured, Transport } from '../transport.ts';

export interface GraphTransportOptions {
  readonly settings: GraphSettings;
  /** Messages of this process on their way at once; of one mailbox never more than Graph takes. */
  readonly maxConnections: number;
  /** Addresses and patterns that the connector sends for: `check` tries the first address. */
  readonly addresses?: readonly string[];
  /** ms since the epoch. Default: the system's clock. */
  readonly now?: () => number;
  /** Default: a timer. Resolves when the signal comes, too. */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Asks for no token and opens nothing until the first mail. */
export function createGraphTransport(options: GraphTransportOptions): Transport {
  const { settings, maxConnections, addresses = [], now = Date.now, sleep = defaultSleep } = options;
  const { cloud, timeouts, tls, tenantId, clientId, credential } = settings;
  const { graphBaseUrl, authorityHost } = cloud;
  const identity = { tenantId, clientId, credential, authorityHost, ca: tls.ca, tokenMs: timeouts.tokenMs };
  const scope = `${new URL(graphBaseUrl).origin}/.default`;
  const tokens = createTokenSource({
    request: (signal) => requestToken(identity, scope, signal),
    timeoutMs: timeouts.tokenMs,
    now,
    secrets: secretsOf(credential),
  });
  // A message makes one request at a time; a look-up may come beside it.
  const http = createHttpClient(tls.ca, maxConnections + 1);
  const client = createGraphClient(graphBaseUrl, tokens, http);
  const perMailbox = createKeyedSemaphore(Math.min(maxConnections, requestsPerMailbox));
  const running = new Set<Promise<unknown>>();
  let closed = false;

  const attempt = async (mail: OutgoingMail, context: SendContext): Promise<Outcome> => {
    const plan = planOf(mail, settings, now());
    if (plan.kind === 'refused') return (await mayStart(context)) ?? plan.outcome;
    const { facts } = plan;
    const release = await perMailbox.acquire(facts.mailbox.toLowerCase(), context.signal);
    if (release === null) return stopped;
    try {
      try {
        await tokens.get(context.signal);
      } catch (error) {
        if (context.signal.aborted) return stopped;
        return outcomeOf({ kind: 'no-token', failure: readTokenError(error) }, 'prepare', facts);
      }
      const stop = await mayStart(context);
      if (stop !== null) return stop;
      const outcome = await go(mail, plan, context);
      return context.signal.aborted && nothingGone(outcome) ? stopped : outcome;
    } finally {
      release();
    }
  };

  const go = async (
    mail: OutgoingMail,
    plan: Extract<Plan, { kind: Way }>,
    { signal }: SendContext,
  ): Promise<Outcome> => {
    const { facts } = plan;
    const submit = (body: string | object): ReturnType<typeof client.call> =>
      client.call(
        { method: 'POST', path: ['users', facts.mailbox, 'sendMail'], body, timeoutMs: timeouts.requestMs },
        signal,
      );
    switch (plan.kind) {
      case 'mime': {
        const answer = await submit(plan.bytes.toString('base64'));
        // Seen for MIME that was a little too large: nothing was sent.
        const silent = answer.kind === 'answer' && answer.status === 200 && plan.bytes.length > mimeBytes;
        if (silent)
          return refusedHere(facts, `Graph dropped a message of ${plan.bytes.length} bytes without a word`, true);
        return outcomeOf(answer, 'submit', facts);
      }
      case 'json': {
        const { message, contentOf } = plan.structured;
        const attachments: object[] = [];
        for (const attachment of message.attachments) {
          const bytes = await readContent(contentOf, attachment);
          if (typeof bytes === 'string') {
            return settled(facts, 'deferred', 'message', { code: null, enhancedCode: null, text: bytes });
          }
          attachments.push(fileAttachmentOf(attachment, bytes));
        }
        const draft = { ...draftOf(message, plan.messageId, facts.recipients), attachments };
        return outcomeOf(await submit({ message: draft, saveToSentItems: false }), 'submit', facts);
      }
      case 'large': {
        const limited = AbortSignal.any([signal, AbortSignal.timeout(timeouts.uploadMs)]);
        const tools = { http, signal: limited, requestMs: timeouts.requestMs, now, sleep };
        const { messageId, structured } = plan;
        return sendLarge({ client, facts, ...structured, messageId, graphBaseUrl, tools });
      }
      default:
        return unreachable(plan);
    }
  };

  return {
    kind: 'graph',
    wholeBytes: mimeBytes,
    countedBytes,
    async send(mail, context) {
      if (closed || context.signal.aborted) return stopped;
      const sending = attempt(mail, context);
      running.add(sending);
      try {
        return await sending;
      } catch (error) {
        // Unknown is never success, and nothing here throws on purpose: whether it was sent is not known either.
        const text = `internal: ${error instanceof Error ? error.message : String(error)}`;
        const reply = { code: null, enhancedCode: null, text };
        return settled({ recipients: [...new Set(mail.envelope.to)] }, 'uncertain', 'message', reply);
      } finally {
        running.delete(sending);
      }
    },
    check: (signal) => {
      const mailbox = settings.mailbox ?? addresses.find((address) => !address.startsWith('*')) ?? null;
      return checkGraph({ client, tokens, mailbox, requestMs: timeouts.requestMs, now: now(), signal });
    },
    async verify(mail, { signal, attemptedAt }) {
      const plan = planOf(mail, settings, now());
      if (plan.kind === 'refused') return 'not-sent';
      if (plan.messageId === null) return 'unknown';
      return verify({
        client,
        mailbox: plan.facts.mailbox,
        messageId: plan.messageId,
        recipients: plan.facts.recipients,
        keepsCopies: plan.kind !== 'json',
        attemptedAt,
        now: now(),
        patience: {
          copyMs: timeouts.sentItemsMs,
          draftMs: timeouts.sentItemsMs * (plan.kind === 'large' ? 1 : parkedDraftTimes),
        },
        requestMs: timeouts.requestMs,
        signal,
      });
    },
    async close() {
      closed = true;
      await Promise.allSettled(running);
      http.close();
    },
  };
}

/** A draft of our own is sent within the request that says so; what Exchange parks by itself may wait longer for its transport. */
const parkedDraftTimes = 5;

const stopped: Outcome = { kind: 'stopped', why: 'signal' };

type Way = 'mime' | 'json' | 'large';

type Plan =
  | { readonly kind: 'refused'; readonly outcome: Outcome }
  | { readonly kind: 'mime'; readonly facts: AttemptFacts; readonly messageId: string | null; readonly bytes: Buffer }
  | {
      readonly kind: 'json' | 'large';
      readonly facts: AttemptFacts;
      readonly messageId: string | null;
      readonly structured: Structured;
    };

/** Which mailbox and which way; the same for a mail each time it is asked. */
function planOf(mail: OutgoingMail, settings: GraphSettings, now: number): Plan {
  const recipients = [...new Set(mail.envelope.to)];
  const refused = (text: string, tooLarge = false): Plan => ({
    kind: 'refused',
    outcome: refusedHere({ recipients }, text, tooLarge),
  });
  const header = readRawHeader(mail.bytes);
  if (!header.ok) return refused(`the message ${header.problem}`);
  const { from, messageId } = header.value;
  if (!from.ok) return refused(`the message ${from.problem}`);
  const sender = from.value?.address ?? mail.envelope.from ?? '';
  const mailbox = settings.mailbox ?? sender;
  if (mailbox === '') return refused('the message has no From, and the connector no mailbox to send it through');
  const facts = { recipients, mailbox, sender, now };
  const structured = mail.structured?.message.raw === undefined ? mail.structured : undefined;
  const size = mail.bytes.length;
  const finished = structured === undefined ? finishedTooLarge(size) : null;
  if (finished !== null) return refused(finished, true);
  if (structured !== undefined && (mail.headerOnly === true || size > mimeBytes)) {
    const problem = tooLargeForGraph(structured.message);
    return problem === null ? { kind: 'large', facts, messageId, structured } : refused(problem, true);
  }
  if (structured !== undefined && !settings.saveToSentItems) return { kind: 'json', facts, messageId, structured };
  const addressed = addressTo(mail.bytes, recipients);
  if (!addressed.ok) return refused(`the message ${addressed.problem}`);
  return { kind: 'mime', facts, messageId, bytes: addressed.bytes };
}

/** Null if the transaction may begin. A fence that fails is a fence that says no. */
async function mayStart({ fence, signal }: SendContext): Promise<Outcome | null> {
  if (signal.aborted) return stopped;
  if (!(await fence().catch(() => false))) return { kind: 'stopped', why: 'fence' };
  return signal.aborted ? stopped : null;
}

/** The signal came while there was nothing to be done but to try again. */
function nothingGone(outcome: Outcome): boolean {
  if (outcome.kind !== 'settled') return true;
  return outcome.recipients.every((recipient) => recipient.outcome === 'deferred');
}
