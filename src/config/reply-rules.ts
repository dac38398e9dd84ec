/** The operator's reply rules: their schema, the settings they become, and the rules between their keys. */
import { z } from 'zod';
import { problemsOfRule, replyClasses, replyPhases, type ReplyRuleSettings } from '../transport/smtp/reply-rules.ts';
import type { Path, Problem } from './issues.ts';
import { parseDurationMs } from './units.ts';
import * as value from './values.ts';

type Phase = (typeof replyPhases)[number];

export const replyRule = z.strictObject({
  text: value.text.optional().describe('Regular expression to search for in the text of the reply; case is ignored.'),
  code: value.replyCode.optional().describe('Reply code: `450`, `45x` or `4xx`.'),
  enhanced: value.text.optional().describe('Enhanced status code: `4.7.1`, `4.7.x` or `4.x.x`.'),
  phase: z
    .union([z.enum(replyPhases), z.array(z.enum(replyPhases)).min(1)])
    .optional()
    .describe(
      'Phase of the reply, or a list of phases; `final` is the reply to the message itself. Default: all phases that the class applies to.',
    ),
  class: z
    .enum(replyClasses)
    .describe('What the reply means: for the recipient or message (the first three), or for the connector.'),
  scope: z
    .enum(['recipient', 'message'])
    .optional()
    .describe(
      'What `deferred` or `rejected` applies to. Default: the recipient in phase `rcpt`, otherwise the message.',
    ),
  pause: value
    .duration(1)
    .optional()
    .describe('How long the connector pauses after the reply. Default: the pause of the fault; none for `deferred`.'),
  retryAfter: value
    .duration(1)
    .optional()
    .describe('When a `deferred` message is retried. Default: as the reply says, otherwise as `retry`.'),
});

export function buildReplyRule(file: z.output<typeof replyRule>): ReplyRuleSettings {
  const { phase } = file;
  return {
    text: file.text ?? null,
    code: file.code ?? null,
    enhanced: file.enhanced ?? null,
    phases: phase === undefined ? [] : typeof phase === 'string' ? [phase] : phase,
    class: file.class,
    scope: file.scope ?? null,
    pauseMs: file.pause ?? null,
    retryAfterMs: file.retryAfter ?? null,
  };
}

/** Checks the data of the file; values that the schema refuses count as missing here. */
export function replyRuleProblems(rules: unknown, path: Path): Problem[] {
  if (!Array.isArray(rules)) return [];
  return rules.flatMap((rule: unknown, index): Problem[] => {
    const at = [...path, index];
    if (typeof rule !== 'object' || rule === null || Array.isArray(rule)) return [];
    const partial = readPartially(rule as Record<string, unknown>);
    if (partial === null) return [];
    return problemsOfRule(partial).map(({ key, must }) => ({
      path: key === null ? at : [...at, key],
      rule: 'reply-rule',
      message: must,
      on: 'value',
    }));
  });
}

function readPartially(rule: Record<string, unknown>): ReplyRuleSettings | null {
  const kind = replyClasses.find((name) => name === rule['class']);
  if (kind === undefined) return null;
  const text = (key: string): string | null => (typeof rule[key] === 'string' ? rule[key] : null);
  const durationMs = (key: string): number | null => parseDurationMs(text(key) ?? '');
  const phases = [rule['phase']].flat().filter((name): name is Phase => replyPhases.some((phase) => phase === name));
  const scope = text('scope');
  return {
    text: text('text'),
    code: typeof rule['code'] === 'number' ? String(rule['code']) : text('code'),
    enhanced: text('enhanced'),
    phases,
    class: kind,
    scope: scope === 'recipient' || scope === 'message' ? scope : null,
    pauseMs: durationMs('pause'),
    retryAfterMs: durationMs('retryAfter'),
  };
}
