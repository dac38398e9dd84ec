/** Sends a planned mail in one of four ways, and turns the answer into the outcome of the attempt. */
import { unreachable } from '../../errors.ts';
import type { HttpClient } from '../http.ts';
import type { GraphAnswer, GraphClient } from './client.ts';
import { draftOf, fileAttachmentOf } from './draft.ts';
import { divide, readContent, sendLarge } from './large.ts';
import { mimeBytes } from './limits.ts';
import { outcomeOf, refusedHere, settled, type AttemptFacts } from './outcome.ts';
import type { MimePlan, StructuredPlan } from './plan.ts';
import type { GraphTimeouts } from './settings.ts';
import type { Outcome, Structured } from '../transport.ts';

export interface SubmitTools {
  readonly client: GraphClient;
  readonly http: HttpClient;
  readonly graphBaseUrl: string;
  readonly timeouts: GraphTimeouts;
  /** ms since the epoch. */
  readonly now: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

export async function submit(
  plan: MimePlan | StructuredPlan,
  signal: AbortSignal,
  tools: SubmitTools,
): Promise<Outcome> {
  switch (plan.kind) {
    case 'mime':
      return submitMime(plan, signal, tools);
    case 'json':
      return submitJson(plan, signal, tools);
    case 'large':
      return submitParts(plan, plan.structured, signal, tools);
    case 'apart':
      return submitApart(plan, signal, tools);
    default:
      return unreachable(plan);
  }
}

function submitParts(
  { facts, messageId }: MimePlan | StructuredPlan,
  structured: Structured,
  signal: AbortSignal,
  { client, http, graphBaseUrl, timeouts, now, sleep }: SubmitTools,
): Promise<Outcome> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(timeouts.uploadMs)]);
  const tools = { http, signal: limited, requestMs: timeouts.requestMs, now, sleep };
  return sendLarge({ client, facts, ...structured, messageId, graphBaseUrl, tools });
}

async function submitApart(plan: MimePlan, signal: AbortSignal, tools: SubmitTools): Promise<Outcome> {
  const { facts, bytes } = plan;
  const apart = await divide(bytes, facts.recipients);
  if (!apart.ok) return refusedHere(facts, apart.problem, true);
  return submitParts(plan, apart.structured, signal, tools);
}

async function submitMime({ facts, bytes }: MimePlan, signal: AbortSignal, tools: SubmitTools): Promise<Outcome> {
  const answer = await sendMail(facts, bytes.toString('base64'), signal, tools);
  // Seen for MIME that was a little too large: nothing was sent.
  if (answer.kind === 'answer' && answer.status === 200 && bytes.length > mimeBytes) {
    return refusedHere(facts, `Graph dropped a message of ${bytes.length} bytes without an error`, true);
  }
  return outcomeOf(answer, 'submit', facts);
}

async function submitJson(plan: StructuredPlan, signal: AbortSignal, tools: SubmitTools): Promise<Outcome> {
  const { facts, messageId, structured } = plan;
  const { message, contentOf } = structured;
  const attachments: object[] = [];
  for (const attachment of message.attachments) {
    const bytes = await readContent(contentOf, attachment);
    if (typeof bytes === 'string') {
      return settled(facts, 'deferred', 'message', { code: null, enhancedCode: null, text: bytes });
    }
    attachments.push(fileAttachmentOf(attachment, bytes));
  }
  const draft = { ...draftOf(message, messageId, facts.recipients), attachments };
  return outcomeOf(await sendMail(facts, { message: draft, saveToSentItems: false }, signal, tools), 'submit', facts);
}

function sendMail(
  { mailbox }: AttemptFacts,
  body: string | object,
  signal: AbortSignal,
  { client, timeouts }: SubmitTools,
): Promise<GraphAnswer> {
  const path = ['users', mailbox, 'sendMail'];
  return client.call({ method: 'POST', path, body, timeoutMs: timeouts.requestMs }, signal);
}
