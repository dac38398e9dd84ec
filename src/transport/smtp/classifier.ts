/** Classifies the replies to one message: equal replies once, and the operator's patterns within a budget of steps. */
import { classify } from './replies.ts';
import type { ReplyRule, SmtpPhase, Verdict } from './reply-table.ts';
import type { Reply } from '../transport.ts';

export type Classifier = (phase: SmtpPhase, reply: Reply) => Verdict;

/**
 * Upper bound of the steps that the patterns of one message's replies may take, beyond those of its first reply: some 0.2 s.
 * Honest servers say the same to all recipients, or need some thousands of steps for each. A hostile one could write 500 slow
 * replies, and all other messages of the process would wait.
 */
export const maxPatternSteps = 250_000_000;

/**
 * A refusal beyond the budget is deferred, so that no rule of the operator is passed over in favour of the table: the next
 * attempt has a budget of its own, and fewer recipients.
 */
export function createClassifier(rules: readonly ReplyRule[], maxSteps: number = maxPatternSteps): Classifier {
  const known = new Map<string, Verdict>();
  let left = maxSteps;
  return (phase, reply) => {
    const { code, enhancedCode, text } = reply;
    const key = `${phase} ${code} ${enhancedCode}${text === null ? '' : ` ${text}`}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const steps = text === null ? 0 : stepsOf(rules, phase, code, text.length);
    if (steps > 0 && left <= 0) return tooMany;
    left -= steps;
    const verdict = classify(phase, reply, rules);
    known.set(key, verdict);
    return verdict;
  };
}

const tooMany: Verdict = { kind: 'outcome', outcome: 'deferred', scope: 'message' };

function stepsOf(rules: readonly ReplyRule[], phase: SmtpPhase, code: string | null, length: number): number {
  let steps = 0;
  for (const rule of rules) {
    if (rule.steps === undefined || !rule.phases.includes(phase)) continue;
    if (rule.code !== undefined && (code === null || !rule.code.test(code))) continue;
    steps += rule.steps(length);
  }
  return steps;
}
