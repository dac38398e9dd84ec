/** What is made of a reply before other messages have spoken: believed, or open. Pure. */
import type { Reply, Scope } from '../transport.ts';
import { beliefOf } from './open-refusals.ts';
import { classify } from './replies.ts';
import type { SmtpPhase } from './reply-table.ts';
import { endsSessionOnly, listLimitOf } from './transaction-limits.ts';

export interface Attributed {
  /** `rejected` and `deferred` are believed at once; `open` waits for other messages; `fault` is the connector's. */
  readonly outcome: 'rejected' | 'deferred' | 'open' | 'fault';
  /** Of an open reply: whom its code and its words suspect. */
  readonly scope: Scope | 'session' | 'list';
}

const transaction: readonly SmtpPhase[] = ['mail', 'rcpt', 'data', 'end-of-data'];

export function attribute(phase: SmtpPhase, reply: Reply): Attributed {
  if (!transaction.includes(phase)) return { outcome: 'fault', scope: 'connector' };
  // RFC 3463 has 5.5.3 for too many recipients; at MAIL there are none yet.
  if (phase !== 'mail' && listLimitOf(reply) !== null) return { outcome: 'deferred', scope: 'list' };
  if (endsSessionOnly(reply)) return { outcome: 'deferred', scope: 'session' };
  const verdict = classify(phase, reply);
  if (verdict.kind === 'fault') return { outcome: 'open', scope: 'connector' };
  const believed = beliefOf(phase, reply, verdict);
  if (believed === null) return { outcome: 'open', scope: verdict.scope };
  return { outcome: verdict.outcome === 'rejected' ? 'rejected' : 'deferred', scope: believed };
}
