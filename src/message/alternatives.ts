/** Further forms of the body, of which the reader's program shows the last that it knows (RFC 2046 section 5.1.4): their schema. */
import { z } from 'zod';
import type { Parsed } from './address.ts';
import { maxAlternativeBytes } from './bounds.ts';
import { readCalendar, readText } from './calendar.ts';
import { contentType, inline } from './content-fields.ts';
import { contentSize, normaliseContent, type ContentInput } from './content.ts';
import type { Alternative } from './message.ts';
import { parameter } from './part-header.ts';
import type { MessageRule } from './rules.ts';

type Read<T> = Parsed<T> & { readonly rule?: MessageRule; readonly field?: string };

function fail(field: string, rule: MessageRule, problem: string): Read<never> {
  return { ok: false, problem, rule, field };
}

function readAlternative(type: string, input: ContentInput): Read<Alternative> {
  const bare = /^[^;\s]*/.exec(type.toLowerCase())?.[0] ?? '';
  if (bare === 'text/plain' || bare === 'text/html')
    return fail('contentType', 'content-type', `has a field of its own`);
  if (bare.startsWith('message/')) return fail('contentType', 'content-type', 'is no form of a body');
  if (!bare.startsWith('text/')) return readBytes(type, input);
  const charset = parameter(type, 'charset').toLowerCase();
  if (charset !== '' && charset !== 'utf-8')
    return fail('contentType', 'content-type', 'has a charset other than utf-8');
  const text = readText(input);
  if (!text.ok) return fail('content', text.rule ?? 'type', text.problem);
  const contentType = charset === '' ? `${type.replace(/[\s;]+$/, '')}; charset=utf-8` : type;
  if (bare !== 'text/calendar') return { ok: true, value: { contentType, content: text.value, encoding: 'utf8' } };
  const calendar = readCalendar(text.value);
  if (!calendar.ok) return fail('content', 'calendar', calendar.problem);
  const method = parameter(type, 'method').toUpperCase();
  if (method !== (calendar.value.method ?? '')) {
    return fail('contentType', 'calendar', `has to name the METHOD of the content: method=${calendar.value.method}`);
  }
  return { ok: true, value: { contentType, content: calendar.value.text, encoding: 'utf8' } };
}

function readBytes(contentType: string, input: ContentInput): Read<Alternative> {
  const normal = normaliseContent(input);
  if (!normal.ok) return fail('content', 'base64', normal.problem);
  if (contentSize(normal.value) > maxAlternativeBytes) {
    return fail('content', 'too-long', `has more than ${maxAlternativeBytes} bytes`);
  }
  return { ok: true, value: { contentType, ...normal.value } };
}

export const alternative = z
  .strictObject({
    contentType: contentType.meta({
      description: 'Media type; of text, utf-8 is the only charset. Of a calendar it names the method.',
      examples: ['text/x-amp-html', 'text/calendar; method=REQUEST'],
    }),
    ...inline,
  })
  .transform(({ contentType: type, content, encoding }, context): Alternative => {
    const read = readAlternative(type, { content, encoding });
    if (read.ok) return read.value;
    const { problem, rule = 'type', field = '' } = read;
    context.addIssue({ code: 'custom', message: problem, path: [field], params: { rule } });
    return z.NEVER;
  });
