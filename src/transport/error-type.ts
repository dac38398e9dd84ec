/** What went wrong with an attempt, as one word of few: the attribute `error.type` of a span. Never the text of a reply, which may quote addresses. */
import type { Outcome } from './transport.ts';

/** Codes are words of servers, and of other people's transports. */
const word = /^[\w.-]{1,40}$/;

/** `unreachable`, `smtp.550`, `graph.no-reply`; null if every recipient was accepted, or nothing was tried. */
export function errorTypeOf(kind: string, outcome: Outcome): string | null {
  if (outcome.kind === 'connector-fault') return outcome.fault;
  if (outcome.kind === 'stopped') return null;
  const failed = outcome.recipients.find((recipient) => recipient.outcome !== 'accepted');
  if (failed === undefined) return null;
  const { code } = failed.reply;
  return `${word.test(kind) ? kind : 'transport'}.${code !== null && word.test(code) ? code : 'no-reply'}`;
}
