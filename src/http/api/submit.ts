/** Submits messages as a token: what it may send, and the answer for each. The producer does the rest, as for an application. */
import { createBooking, isNotStored, type Booking, type SenderQuotas } from '../../admin/sender-quota.ts';
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
  const take: SenderQuotas['take'] = async (...call) => (await tools.operator()).senderQuotas.take(...call);
  const booking = createBooking(token.quota, (recipients) => take(token.id, token.quota, recipients));
  const { beforeStore } = booking;
  try {
    const sent = { ...options, submittedBy: token.id, signal, beforeStore };
    const { id, kind } = await producer.submit(message as OutboundMessage, sent);
    if (kind === 'refused') return { ok: false, problem: overQuota(booking, token.id) };
    if (kind === 'new')
      return { ok: true, submitted: { id, state: firstState(message, tools.now()), duplicate: false } };
    await booking.giveBack();
    const status = await producer.status(id);
    // An id is everyone's: what another has submitted under it is not shown.
    if (status !== null && !mayUse(token, senderOf(status, config()))) {
      return { ok: false, problem: { code: 'conflict', detail: 'the id is in use', id } };
    }
    return { ok: true, submitted: { id, state: status?.state ?? 'queued', duplicate: true } };
  } catch (thrown) {
    if (isNotStored(thrown)) await booking.giveBack();
    return { ok: false, problem: problemOf(thrown) };
  }
}

function overQuota(booking: Booking, token: string): Problem {
  const full = booking.refusal();
  if (full === null) return { code: 'internal', detail: 'The log of the server has the reason.' };
  const detail = `the token ${token} may submit ${full.what}`;
  return full.kind === 'never'
    ? { code: 'forbidden', detail: `${detail}: fewer than this message has` }
    : { code: 'rate-limited', detail, retryAfterSeconds: full.waitMs / 1_000 };
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
