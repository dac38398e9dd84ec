/** What follows from an answer: delivered, again at a time, given up, or the endpoint is switched off. Pure. */
import type { Answer } from './sender.ts';

export type Verdict =
  | { readonly kind: 'delivered' }
  /** `pauseMs`: the endpoint wants to hear nothing at all for so long. */
  | { readonly kind: 'retry'; readonly delayMs: number; readonly pauseMs: number | null; readonly reason: string }
  | { readonly kind: 'dead'; readonly reason: string }
  /** It answered 410: nothing is to be sent to it any more. */
  | { readonly kind: 'gone' };

/** Standard Webhooks 1.0.0: ten attempts within three days. From one to the next, in ms. */
export const retryDelaysMs: readonly number[] = [
  5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000, 86_400_000,
];
export const attempts = retryDelaysMs.length + 1;
/** Receivers that come back shall not get everything in the same second: up to so much later. */
const jitter = 0.1;
/** What an endpoint asks for holds up everything for it; a longer wait holds this one event alone, in ms. */
const maxPauseMs = 3_600_000;
/** These say that the receiver, or what stands before it, has too much to do. */
const throttling: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** `attempt` counts from 1. */
export function judge(answer: Answer, attempt: number, random: () => number): Verdict {
  if (answer.kind === 'answered' && answer.status >= 200 && answer.status <= 299) return { kind: 'delivered' };
  if (answer.kind === 'answered' && answer.status === 410) return { kind: 'gone' };
  const reason = reasonOf(answer);
  const delay = retryDelaysMs[attempt - 1];
  if (delay === undefined) return { kind: 'dead', reason };
  const delayMs = Math.round(delay * (1 + jitter * random()));
  const asked = answer.kind === 'answered' && throttling.has(answer.status) ? answer.retryAfterMs : null;
  return {
    kind: 'retry',
    delayMs: Math.max(delayMs, asked ?? 0),
    pauseMs: asked === null ? null : Math.min(asked, maxPauseMs),
    reason,
  };
}

/** A redirect is a failure: to follow it would send events to another server. */
export function reasonOf(answer: Answer): string {
  return answer.kind === 'answered' ? `HTTP ${answer.status}` : `${answer.why}: ${answer.detail}`;
}
