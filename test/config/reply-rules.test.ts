/** Reply rules in the configuration: how they reach a connector, and how their mistakes are reported. */
import { describe, expect, test } from 'vitest';
import { goodConfig, mistakes, onlyIssue, withConnector } from './load-text.ts';

const smtp = 'direction: outgoing\nsmtp: { host: a.example }\n';
const general = (rules: string): string => `${withConnector(smtp)}replyRules:\n${rules}\n`;

async function rulesOf(text: string) {
  const { transport } = (await goodConfig(text)).connectors[0]!;
  return transport?.kind === 'smtp' ? transport.smtp.replyRules : null;
}

describe('reply rules', () => {
  test('are none by default', async () => {
    expect(await rulesOf(withConnector(smtp))).toEqual([]);
  });

  test('of the connector come before the general ones', async () => {
    const own = withConnector(`${smtp}replyRules:\n  - { code: 450, class: quota, pause: 5m }`);
    const text = `${own}replyRules:\n  - { text: "later", phase: [rcpt, final], class: deferred, scope: message, retryAfter: 10m }\n`;
    const nothing = {
      text: null,
      code: null,
      enhanced: null,
      phases: [],
      scope: null,
      pauseMs: null,
      retryAfterMs: null,
    };
    expect(await rulesOf(text)).toEqual([
      { ...nothing, code: '450', class: 'quota', pauseMs: 300_000 },
      {
        ...nothing,
        text: 'later',
        phases: ['rcpt', 'final'],
        class: 'deferred',
        scope: 'message',
        retryAfterMs: 600_000,
      },
    ]);
  });

  test.each([
    ['no pattern', '- { class: quota }', '9 reply-rule replyRules[0]'],
    ['an expression that does not end', '- { text: "(a+)+$", class: quota }', '9 reply-rule replyRules[0].text'],
    ['a code of success', '- { code: 250, class: deferred }', '9 reply-rule replyRules[0].code'],
    ['a class before its time', '- { code: 5xx, class: rejected, phase: auth }', '9 reply-rule replyRules[0].phase'],
    ['accepted', '- { code: 5xx, class: accepted }', '9 choice replyRules[0].class'],
    ['no class', '- { code: 5xx }', '9 required replyRules[0].class'],
    ['an unknown phase', '- { code: 5xx, class: quota, phase: noon }', '9 choice replyRules[0].phase'],
    ['a pause without a unit', '- { code: 5xx, class: quota, pause: 5 }', '9 type replyRules[0].pause'],
    ['an unknown key', '- { codes: 5xx, code: 5xx, class: quota }', '9 unknown-key replyRules[0].codes'],
    ['text instead of a list', 'quota', '9 type replyRules'],
  ])('with %s are refused at their place', async (_what, rule, expected) => {
    expect(await mistakes(general(`  ${rule}`))).toEqual([expected]);
  });

  test('of a connector are reported under its name, with a suggestion', async () => {
    const text = withConnector(`${smtp}replyRules:\n  - { code: 5xx, class: quota, phases: rcpt }`);
    const issue = await onlyIssue(text);
    expect(issue).toMatchObject({ key: 'connectors.c.replyRules[0].phases', rule: 'unknown-key' });
    expect(issue.message).toContain('did you mean phase?');
  });

  test('are reported with an explanation', async () => {
    const { message } = await onlyIssue(general('  - { text: "(a|b)+", class: quota }'));
    expect(message).toBe(
      'must not repeat a group: a hostile reply could make it run for ever; repeat single characters or classes',
    );
  });
});
