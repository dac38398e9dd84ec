/** Rules of an operator: what they can express, what they can never change, and expressions that would never end. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  compileRules,
  problemsOfRule,
  replyClasses,
  replyPhases,
  type ReplyRuleSettings,
} from '../../../src/transport/smtp/reply-rules.ts';
import { classify, parseReply } from '../../../src/transport/smtp/replies.ts';
import type { SmtpPhase } from '../../../src/transport/smtp/reply-table.ts';
import { readTextPattern } from '../../../src/transport/smtp/text-pattern.ts';

const minute = 60_000;
const smtpPhases = replyPhases.map((phase): SmtpPhase => (phase === 'final' ? 'end-of-data' : phase));
const session: readonly SmtpPhase[] = ['connect', 'tls', 'greeting', 'ehlo', 'auth'];

function rule(change: Partial<ReplyRuleSettings>): ReplyRuleSettings {
  const nothing = {
    text: null,
    code: null,
    enhanced: null,
    phases: [],
    scope: null,
    pauseMs: null,
    retryAfterMs: null,
  };
  return { ...nothing, class: 'deferred', ...change };
}

function verdict(rules: readonly Partial<ReplyRuleSettings>[], phase: SmtpPhase, reply: string) {
  return classify(phase, parseReply(reply), compileRules(rules.map(rule)));
}

const fault = (kind: string, pauseMs?: number) => ({
  kind: 'fault',
  fault: kind,
  ...(pauseMs === undefined ? {} : { pauseMs }),
});
const outcome = (kind: string, scope: string, more = {}) => ({ kind: 'outcome', outcome: kind, scope, ...more });

describe('a rule', () => {
  test.for<[string, Partial<ReplyRuleSettings>, SmtpPhase, string, object]>([
    ['by text', { text: 'hourly quota', class: 'quota' }, 'end-of-data', '550 Hourly Quota used up', fault('quota')],
    ['by code', { code: '550', class: 'deferred' }, 'rcpt', '550 5.1.1 no', outcome('deferred', 'recipient')],
    ['by codes', { code: '55x', class: 'deferred' }, 'mail', '554 no', outcome('deferred', 'message')],
    ['by class of codes', { code: '4xx', class: 'rejected' }, 'rcpt', '451 no', outcome('rejected', 'recipient')],
    [
      'by enhanced code',
      { enhanced: '4.7.1', class: 'rejected' },
      'data',
      '450 4.7.1 no',
      outcome('rejected', 'message'),
    ],
    ['by enhanced codes', { enhanced: '5.7.x', class: 'blocked' }, 'rcpt', '550 5.7.26 no', fault('blocked')],
    ['by all of enhanced', { enhanced: '5.x.x', class: 'config' }, 'rcpt', '550 5.7.26 no', fault('config')],
    ['by phase', { code: '554', phases: ['greeting'], class: 'throttled' }, 'greeting', '554 busy', fault('throttled')],
    ['by `final`', { code: '554', phases: ['final'], class: 'throttled' }, 'end-of-data', '554 x', fault('throttled')],
    [
      'with a pause',
      { code: '554', class: 'throttled', pauseMs: 5 * minute },
      'ehlo',
      '554 x',
      fault('throttled', 5 * minute),
    ],
    [
      'with a scope',
      { code: '550', class: 'rejected', scope: 'message' },
      'rcpt',
      '550 x',
      outcome('rejected', 'message'),
    ],
    [
      'for size',
      { text: 'enormous', class: 'too-large' },
      'end-of-data',
      '550 enormous',
      outcome('rejected', 'message', { tooLarge: true }),
    ],
    [
      'with a delay, which wins over that of the reply',
      { code: '450', retryAfterMs: minute, pauseMs: 2 * minute },
      'rcpt',
      '450 try again in 900 seconds',
      outcome('deferred', 'recipient', { retryAfterMs: minute, slowDownMs: 2 * minute }),
    ],
    [
      'without a delay, which leaves it to the reply',
      { code: '450' },
      'rcpt',
      '450 try again in 900 seconds',
      outcome('deferred', 'recipient', { retryAfterMs: 900_000 }),
    ],
  ])('applies %s', ([, change, phase, reply, expected]) =>
    expect(verdict([change], phase, reply)).toEqual({ ...expected, believed: true }),
  );

  test.for<[string, Partial<ReplyRuleSettings>, SmtpPhase, string]>([
    ['another text', { text: 'quota', class: 'quota' }, 'rcpt', '550 5.1.1 no such user'],
    ['another code', { code: '550', class: 'quota' }, 'rcpt', '551 5.1.6 moved'],
    ['another enhanced code', { enhanced: '5.1.1', class: 'quota' }, 'rcpt', '550 5.1.10 no'],
    ['no enhanced code', { enhanced: '5.x.x', class: 'quota' }, 'rcpt', '550 no'],
    ['another phase', { code: '550', phases: ['mail', 'data'], class: 'quota' }, 'rcpt', '550 5.1.1 no'],
    ['one of two patterns', { code: '550', text: 'quota', class: 'quota' }, 'rcpt', '550 5.1.1 no'],
  ])('does not match %s, so the table decides', ([, change, phase, reply]) => {
    expect(verdict([change], phase, reply)).toEqual(classify(phase, parseReply(reply)));
  });

  test('that comes first wins', () => {
    const rules = [
      { text: 'locked', class: 'deferred' },
      { code: '550', class: 'quota' },
    ] as const;
    expect(verdict(rules, 'rcpt', '550 mailbox locked')).toMatchObject({ outcome: 'deferred' });
    expect(verdict(rules.toReversed(), 'rcpt', '550 mailbox locked')).toMatchObject({ fault: 'quota' });
  });

  const anyRule = fc.record({
    text: fc.option(fc.constantFrom('.', 'queued', 'a')),
    code: fc.option(fc.constantFrom('450', '45x', '4xx', '550', '55x', '5xx')),
    enhanced: fc.option(fc.constantFrom('4.7.1', '4.x.x', '5.1.x', '5.x.x')),
    phases: fc.uniqueArray(fc.constantFrom(...replyPhases)),
    class: fc.constantFrom(...replyClasses),
    scope: fc.option(fc.constantFrom('recipient' as const, 'message' as const)),
    pauseMs: fc.option(fc.constantFrom(1_000, minute)),
    retryAfterMs: fc.option(fc.constantFrom(1_000, minute)),
  });
  const goodRules = fc.array(
    anyRule.filter((one) => problemsOfRule(one).length === 0),
    { minLength: 1, maxLength: 4 },
  );
  const anyReply = fc.record({
    code: fc.option(fc.oneof(fc.constantFrom('250', '450', '550', '554', '354'), fc.string())),
    enhancedCode: fc.option(fc.constantFrom('4.7.1', '5.1.1', '2.0.0')),
    text: fc.option(fc.constantFrom('queued as a', 'a', 'b')),
  });

  test('never removes or makes an acceptance, and never blames a message before MAIL FROM', () => {
    const lies = fc.check(
      fc.property(goodRules, fc.constantFrom(...smtpPhases), anyReply, (rules, phase, reply) => {
        const said = classify(phase, reply, compileRules(rules));
        const yes = phase === 'end-of-data' && /^2\d\d$/.test(reply.code ?? '');
        if (said.kind === 'fault') return !yes;
        return (said.outcome === 'accepted') === yes && !session.includes(phase);
      }),
      { numRuns: 2_000 },
    );
    expect(lies.counterexample).toBeNull();
  });
});

describe('a rule is refused', () => {
  test.for<[string, Partial<ReplyRuleSettings>, string | null]>([
    ['without a pattern', { class: 'quota' }, null],
    ['with a code that is no refusal', { code: '250' }, 'code'],
    ['with a code of two digits', { code: '45' }, 'code'],
    ['with an enhanced code of two parts', { enhanced: '4.7' }, 'enhanced'],
    ['with an enhanced code of success', { enhanced: '2.0.0' }, 'enhanced'],
    ['that rejects a message at the greeting', { code: '5xx', class: 'rejected', phases: ['greeting'] }, 'phase'],
    ['that defers a message at AUTH', { code: '4xx', phases: ['rcpt', 'auth'] }, 'phase'],
    ['with a scope beside a fault', { code: '4xx', class: 'quota', scope: 'message' }, 'scope'],
    ['with a pause beside a rejection', { code: '5xx', class: 'rejected', pauseMs: 1 }, 'pause'],
    ['with a delay beside a fault', { code: '5xx', class: 'quota', retryAfterMs: 1 }, 'retryAfter'],
    ['with an expression that is none', { text: '(' }, 'text'],
  ])('%s', ([, change, key]) => {
    expect(problemsOfRule(rule(change)).map((problem) => problem.key)).toEqual([key]);
    expect(() => compileRules([rule(change)])).toThrow('replyRules[0]');
  });
});

describe('an expression for texts', () => {
  test.for([
    'mailbox temporarily (?:locked|unavailable)',
    'too many (?:messages|mails|connections) from .* today',
    'quota.{0,40}exceeded',
    '^sorry, [a-z]+ (?:is )?full$',
    '\\[\\d{1,3}\\.\\d{1,3}\\] (listed|blocked)',
    'a|b|c|d|e|f|g|h|i|j|k',
    '[*+?{}|]{2}',
    'try .*? later',
  ])('is accepted: %s', (source) => expect(readTextPattern(source)).toHaveProperty('pattern'));

  test.for([
    ['nested quantifiers', '(a+)+$'],
    ['nested by braces', '(?:a{1,50}){1,50}$'],
    ['alternatives repeated', '(?:a|a)*$'],
    ['a group repeated lazily', '(?:a|ab)*?c'],
    ['a row of open quantifiers', '.*a.*b.*c.*d.*e'],
    ['a row of options', `${'a?'.repeat(30)}${'a'.repeat(30)}`],
    ['a row of alternatives', `${'(a|a)'.repeat(30)}b`],
    ['a row of braces', `${'a{0,30}'.repeat(6)}b`],
    ['a reference', '(a*)\\1b'],
    ['a look-ahead', '(?=.*a)(?=.*b)c'],
    ['a look-behind', '(?<=a.*)b'],
    ['a text for everything', 'a*'],
    ['too long a text', 'a'.repeat(201)],
  ])('is refused for %s', ([, source = '']) => expect(readTextPattern(source)).toHaveProperty('must'));

  // What the bound lets through at its limit, on texts made for it.
  test.for(['.*.*(?:a|b)x', '[^x]*a*(?:a|a)y', `${'(?:a|a)'.repeat(9)}.*z`])(
    'attack: ends soon even at the limit: %s',
    (source) => {
      const read = readTextPattern(source);
      expect(read).toHaveProperty('pattern');
      const before = process.threadCpuUsage();
      if ('pattern' in read) read.pattern.test('a'.repeat(500));
      const { user, system } = process.threadCpuUsage(before);
      expect((user + system) / 1_000).toBeLessThan(3_000);
    },
  );
});
