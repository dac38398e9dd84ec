/**
 * Rules that an operator adds to the reply table: their data in the words of the configuration, what makes one invalid, and
 * the rows of the table that they become.
 *
 *   class    what the reply means: a fault of the connector, or the outcome of the message or recipient
 *   phase    when the reply was given; a rule without phases applies in all phases in which its class makes sense
 */
import type { ReplyRule, Verdict } from './reply-table.ts';
import { readTextPattern } from './text-pattern.ts';

/** In the order of a session, in the words of the configuration: `final` is the phase `end-of-data`. */
export const replyPhases = ['connect', 'tls', 'greeting', 'ehlo', 'auth', 'mail', 'rcpt', 'data', 'final'] as const;

/** Faults of the connector: they postpone all its mail and make no dead letter. */
const faultClasses = ['unreachable', 'throttled', 'quota', 'blocked', 'auth', 'config'] as const;

/** `accepted` is not among them: only the server decides that. */
export const replyClasses = ['deferred', 'rejected', 'too-large', ...faultClasses] as const;

type RulePhase = (typeof replyPhases)[number];
type ReplyClass = (typeof replyClasses)[number];

/** One rule, as plain data. All patterns that are not null must match. */
export interface ReplyRuleSettings {
  /** Regular expression, searched for in the first 500 characters of the text, ignoring case. */
  readonly text: string | null;
  /** `450`, `45x` or `4xx`. */
  readonly code: string | null;
  /** `4.7.1` or `4.7.x`. */
  readonly enhanced: string | null;
  /** Empty: all in which the class makes sense. */
  readonly phases: readonly RulePhase[];
  readonly class: ReplyClass;
  /** For `deferred` and `rejected`. null: the recipient in the phase `rcpt`, else the message. */
  readonly scope: 'recipient' | 'message' | null;
  /** For faults and `deferred`: how long the connector's lane pauses, in ms. null: as the table of faults says. */
  readonly pauseMs: number | null;
  /** For `deferred`: when the message is tried again, in ms. null: as the server or the schedule says. */
  readonly retryAfterMs: number | null;
}

/** What is wrong with a rule: the key, and a sentence that begins with "must" or "has". */
export interface ReplyRuleProblem {
  readonly key: 'text' | 'code' | 'enhanced' | 'phase' | 'scope' | 'pause' | 'retryAfter' | null;
  readonly must: string;
}

const transaction: readonly RulePhase[] = ['mail', 'rcpt', 'data', 'final'];

/** Everything that makes a rule invalid; empty if it is valid. */
export function problemsOfRule(rule: ReplyRuleSettings): ReplyRuleProblem[] {
  const problems: ReplyRuleProblem[] = [];
  const add = (key: ReplyRuleProblem['key'], must: string): void => void problems.push({ key, must });
  const { text, code, enhanced, phases } = rule;
  if (text === null && code === null && enhanced === null) add(null, 'must name a text, a code or an enhanced code');
  const pattern = text === null ? null : readTextPattern(text);
  if (pattern !== null && 'must' in pattern) add('text', pattern.must);
  if (code !== null && codePattern(code) === null)
    add('code', 'must be such as 450, 45x or 4xx, and begin with 4 or 5');
  if (enhanced !== null && enhancedPattern(enhanced) === null) {
    add('enhanced', 'must be such as 4.7.1, 4.7.x or 4.x.x, and begin with 4 or 5');
  }
  const fault = isFault(rule.class);
  if (!fault && phases.some((phase) => !transaction.includes(phase))) {
    const must = `must be ${transaction.join(', ')} for the class ${rule.class}: earlier replies say nothing about a message`;
    add('phase', must);
  }
  if (rule.scope !== null && rule.class !== 'deferred' && rule.class !== 'rejected') {
    add('scope', 'must stand beside the class deferred or rejected only');
  }
  if (rule.pauseMs !== null && !fault && rule.class !== 'deferred') {
    add('pause', 'must stand beside deferred or a fault of the connector only');
  }
  if (rule.retryAfterMs !== null && rule.class !== 'deferred') {
    add('retryAfter', 'must stand beside the class deferred only');
  }
  return problems;
}

/** The rows that these rules become, in order. Throws for a rule that problemsOfRule() refuses. */
export function compileRules(rules: readonly ReplyRuleSettings[]): ReplyRule[] {
  return rules.flatMap((rule, index) => {
    const [problem] = problemsOfRule(rule);
    if (problem !== undefined) throw new Error(`replyRules[${index}]: ${problem.key ?? ''} ${problem.must}`);
    const { text, code, enhanced } = rule;
    const found = text === null ? null : readTextPattern(text);
    const patterns = {
      ...(found !== null && 'pattern' in found ? { text: found.pattern, steps: found.steps } : {}),
      // A rule applies to refusals only: 2xx remains the server's word, and noise remains unknown.
      code: code === null ? /^[45]\d\d$/ : codePattern(code)!,
      ...(enhanced === null ? {} : { enhanced: enhancedPattern(enhanced)! }),
    };
    const source = `replyRules[${index}]`;
    return phasesOf(rule).map((phase): ReplyRule => ({
      phases: [phase === 'final' ? 'end-of-data' : phase],
      ...patterns,
      verdict: verdictOf(rule, phase),
      source,
    }));
  });
}

function phasesOf({ phases, class: kind }: ReplyRuleSettings): readonly RulePhase[] {
  if (phases.length > 0) return phases;
  return isFault(kind) ? replyPhases : transaction;
}

function verdictOf(rule: ReplyRuleSettings, phase: RulePhase): Verdict {
  const { class: kind, pauseMs, retryAfterMs } = rule;
  if (isFault(kind)) return { kind: 'fault', fault: kind, ...(pauseMs === null ? {} : { pauseMs }) };
  if (kind === 'too-large') return { kind: 'outcome', outcome: 'rejected', scope: 'message', tooLarge: true };
  return {
    kind: 'outcome',
    outcome: kind,
    scope: rule.scope ?? (phase === 'rcpt' ? 'recipient' : 'message'),
    ...(retryAfterMs === null ? {} : { retryAfterMs }),
    ...(pauseMs === null ? {} : { slowDownMs: pauseMs }),
  };
}

function isFault(kind: ReplyClass): kind is (typeof faultClasses)[number] {
  return (faultClasses as readonly string[]).includes(kind);
}

function codePattern(code: string): RegExp | null {
  return /^[45](?:\d\d|\dx|xx)$/i.test(code) ? new RegExp(`^${code.replace(/x/gi, '\\d')}$`) : null;
}

function enhancedPattern(code: string): RegExp | null {
  if (!/^[45]\.(?:\d{1,3}\.(?:\d{1,3}|x)|x\.x)$/i.test(code)) return null;
  return new RegExp(`^${code.replaceAll('.', '\\.').replace(/x/gi, '\\d+')}$`);
}
