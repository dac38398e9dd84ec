/** What the table says of a reply before other messages have spoken: believed, or open. Pure. */
import type { Reply } from '../transport.ts';
import { classify } from './replies.ts';
import { believedOf } from './reply-topics.ts';
import type { SmtpPhase } from './reply-table.ts';
import { endsSessionOnly, listLimitOf } from './transaction-limits.ts';

export interface Attributed {
  /** `rejected` and `deferred` are believed at once; `open` waits for other messages; `fault` is the connector's. */
  readonly outcome: 'rejected' | 'deferred' | 'open' | 'fault';
  readonly scope: 'recipient' | 'message' | 'connector' | 'session' | 'list' | 'unknown';
}

const transaction: readonly SmtpPhase[] = ['mail', 'rcpt', 'data', 'end-of-data'];

export function attribute(phase: SmtpPhase, reply: Reply): Attributed {
  if (!transaction.includes(phase)) return { outcome: 'fault', scope: 'connector' };
  if (listLimitOf(reply) !== null) return { outcome: 'deferred', scope: 'list' };
  if (endsSessionOnly(reply)) return { outcome: 'deferred', scope: 'session' };
  const isPermanent = reply.code?.startsWith('5') === true;
  const believed = believedOf(phase, reply);
  if (believed !== null) return { outcome: isPermanent ? 'rejected' : 'deferred', scope: believed };
  const verdict = classify(phase, reply);
  if (verdict.kind === 'outcome' && verdict.sendAs === true) return { outcome: 'rejected', scope: 'message' };
  return { outcome: 'open', scope: verdict.kind === 'fault' ? 'connector' : 'unknown' };
}
