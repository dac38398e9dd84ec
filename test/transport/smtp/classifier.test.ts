/** Replies of one message: judged once where they are equal, and within a budget where an operator's patterns are slow. */
import { expect, test } from 'vitest';
import { createClassifier, maxPatternSteps } from '../../../src/transport/smtp/classifier.ts';
import { compileRules, type ReplyRuleSettings } from '../../../src/transport/smtp/reply-rules.ts';
import { parseReply } from '../../../src/transport/smtp/replies.ts';
import { readTextPattern } from '../../../src/transport/smtp/text-pattern.ts';

const quota: ReplyRuleSettings = {
  text: '.*quota.*today',
  code: '550',
  enhanced: null,
  phases: [],
  class: 'quota',
  scope: null,
  pauseMs: null,
  retryAfterMs: null,
};
const rules = compileRules([quota]);
const hostile = (at: number) => parseReply(`550 ${`quota${at} `.repeat(100)}`);
const honest = (at: number) => parseReply(`550 <user${at}@example.net> over quota for today`);

function stepsOf(source: string, length: number): number {
  const read = readTextPattern(source);
  return 'steps' in read ? read.steps(length) : NaN;
}

test('a pattern of an operator says how many steps a search can take, growing with the text', () => {
  expect(stepsOf('quota today', 500)).toBe(500);
  expect(stepsOf('quota.*today', 500)).toBe(500 ** 2);
  expect(stepsOf('.*quota.*today', 500)).toBe(500 ** 3);
  expect(stepsOf('.*quota.*today', 100)).toBe(100 ** 3);
  expect(stepsOf('try .*? later', 100)).toBe(100 ** 2);
  expect(stepsOf('(?:a|b)c?x{2,4}', 100)).toBe(100 * 2 * 2 * 3);
});

test('attack: of 500 slow replies made for a pattern, only those within the budget are searched; the others are deferred', () => {
  const classify = createClassifier(rules);
  const verdicts = Array.from({ length: 500 }, (_, at) => classify('rcpt', hostile(at)));
  const deferred = verdicts.filter((verdict) => verdict.kind === 'outcome' && verdict.outcome === 'deferred');
  expect(500 - deferred.length).toBe(Math.ceil(maxPatternSteps / 500 ** 3));
  expect(verdicts[0]).toMatchObject({ kind: 'outcome', outcome: 'rejected' });
});

test('the replies of an honest server to 100 recipients are all judged by the rules', () => {
  const classify = createClassifier(rules);
  const verdicts = Array.from({ length: 100 }, (_, at) => classify('rcpt', honest(at)));
  expect(new Set(verdicts.map(({ kind }) => kind))).toEqual(new Set(['fault']));
});

test('equal replies use up the budget once, whatever their number', () => {
  const classify = createClassifier(rules, 1);
  const verdicts = Array.from({ length: 500 }, () => classify('rcpt', honest(1)));
  expect(new Set(verdicts.map(({ kind }) => kind))).toEqual(new Set(['fault']));
  expect(classify('rcpt', honest(2))).toMatchObject({ outcome: 'deferred' });
});

test('a reply that no pattern of the operator is tried on is judged without a budget', () => {
  const classify = createClassifier(rules, 0);
  expect(classify('rcpt', parseReply('551 5.1.6 moved'))).toMatchObject({ outcome: 'rejected' });
  expect(classify('end-of-data', parseReply('250 2.0.0 ok'))).toMatchObject({ outcome: 'accepted' });
});
