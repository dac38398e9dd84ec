/** Submits messages as a token: what it may send, and the answer for each. The producer does the rest, as for an application. */
import { isNotStored, type SenderShare } from '../../admin/sender-quota.ts';
import type { ApiToken } from '../../config/api.ts';
import { unreachable } from '../../errors.ts';
import { parseMessage } from '../../message/schema.ts';
import type { OutboundMessage } from '../../message/outbound.ts';
import type { SendOptions } from '../../producer/producer.ts';
import { sends } from '../../routing/connector.ts';
import { problemDocument, problemOf, type Problem } from '../problem.ts';
import { hasScope, mayUse, missingScope, senderOf } from './access.ts';
import type { Context } from './route.ts';
import { refusedSender } from './sender.ts';

interface Submitted {
  readonly id: string;
  readonly state: string;
  readonly duplicate: boolean;
}

export type Submission =
  | { readonly ok: true; readonly submitted: Submitted }
  | { readonly ok: false; readonly problem: Problem };

/** `message` is whatever the client sent; the producer judges it. */
export async function submit(
  message: unknown,
  options: Pick<SendOptions, 'idempotencyKey' | 'via'>,
  { token, tools, signal }: Context,
): Promise<Submission> {
  const { producer, config } = tools;
  const refused = refusedSender(message, token, config());
  if (refused !== null) return { ok: false, problem: { code: 'forbidden', detail: refused } };
  let share: SenderShare = untaken;
  try {
    share = await takeShare(message, token, tools);
    const over = overQuota(share, token.id);
    if (over !== null) return { ok: false, problem: over };
    const { id, duplicate } = await producer.send(message as OutboundMessage, {
      ...options,
      submittedBy: token.id,
      signal,
    });
    if (duplicate && share.kind === 'taken') await share.giveBack();
    if (!duplicate) return { ok: true, submitted: { id, state: firstState(message, tools.now()), duplicate } };
    const status = await producer.status(id);
    // An id is everyone's: what another has submitted under it is not shown.
    if (status !== null && !mayUse(token, senderOf(status, config()))) {
      return { ok: false, problem: { code: 'conflict', detail: 'the id is in use', id } };
    }
    return { ok: true, submitted: { id, state: status?.state ?? 'queued', duplicate } };
  } catch (thrown) {
    if (share.kind === 'taken' && isNotStored(thrown)) await share.giveBack();
    return { ok: false, problem: problemOf(thrown) };
  }
}

const untaken: SenderShare = { kind: 'taken', giveBack: async () => undefined };

/** What is no valid message is left to the producer, which refuses it. */
async function takeShare(message: unknown, { id, quota }: ApiToken, tools: Context['tools']): Promise<SenderShare> {
  if (quota.messagesPerDay === null && quota.recipientsPerDay === null) return untaken;
  const parsed = parseMessage(message, tools.config().message);
  if (!parsed.ok) return untaken;
  const recipients = new Set(parsed.message.envelope.to).size;
  return (await tools.operator()).senderQuotas.take(id, quota, recipients);
}

function overQuota(share: SenderShare, token: string): Problem | null {
  switch (share.kind) {
    case 'taken':
      return null;
    case 'full': {
      const detail = `the token ${token} may submit ${share.what}`;
      return { code: 'rate-limited', detail, retryAfterSeconds: share.waitMs / 1_000 };
    }
    case 'never':
      return { code: 'forbidden', detail: `the token ${token} may submit ${share.what}: fewer than this message has` };
    default:
      return unreachable(share);
  }
}

/** A message with a time ahead waits for it. */
function firstState(message: unknown, now: number): string {
  const { sendAt } = message as { sendAt?: string | number };
  return sendAt !== undefined && new Date(sendAt).getTime() > now ? 'scheduled' : 'queued';
}

/** Why the token may not send through this connector; null if it may, or named none. */
export function refusedVia(via: string | undefined, { token, tools }: Context): Problem | null {
  if (via === undefined) return null;
  if (!hasScope(token, 'connectors:write')) return missingScope(token, 'connectors:write');
  const connector = tools.config().connectors.find(({ id }) => id === via);
  if (connector !== undefined && sends(connector.direction)) return null;
  const message = connector === undefined ? 'is no connector' : 'is a connector that only receives';
  return { code: 'invalid-request', detail: `via ${message}`, issues: [{ field: 'via', rule: 'connector', message }] };
}

/** A problem as a part of another answer. */
export function problemBody(problem: Problem): Readonly<Record<string, unknown>> {
  return problemDocument(problem).body;
}
