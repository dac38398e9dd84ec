/** The few tools that the message's schemas are made of: text, a value with a reader behind it, one or many. */
import { z } from 'zod';
import type { Parsed } from './address.ts';
import { hasLineControl } from './header-rules.ts';
import type { MessageRule } from './rules.ts';

/** Text; lone surrogates become U+FFFD, as they could not be encoded as UTF-8. */
export const text = z.string().overwrite((value) => value.toWellFormed());

/** The schema with a reader behind it that gives the normal form, or what breaks `rule`. */
export function read<S extends z.ZodType, O>(schema: S, rule: MessageRule, reader: (value: z.output<S>) => Parsed<O>) {
  return schema.transform((value, context): O => {
    const parsed = reader(value);
    if (parsed.ok) return parsed.value;
    context.addIssue({ code: 'custom', message: parsed.problem, params: { rule } });
    return z.NEVER;
  });
}

/** The schema with a condition that leaves the value as it is. */
export function check<S extends z.ZodType>(
  schema: S,
  rule: MessageRule,
  message: string,
  holds: (value: z.output<S>) => boolean,
) {
  return schema.refine(holds, { error: message, params: { rule } });
}

/** One value or an array of them, as an array. */
export function list<S extends z.ZodType>(one: S, error: string, max?: number) {
  const many = max === undefined ? z.array(one) : z.array(one).max(max);
  return z.union([one, many], { error }).transform((value): z.output<S>[] => (Array.isArray(value) ? value : [value]));
}

/** Text of one line. */
export const line = check(text, 'control-character', 'has a line break or a NUL', (value) => !hasLineControl(value));
