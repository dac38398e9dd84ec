/** Checks what a request brings against the schemas of its route, and says what is wrong as fields and rules. */
import { z } from 'zod';
import { unreachable, type Issue } from '../../errors.ts';
import type { Problem } from '../problem.ts';

export type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem };

/** What is listed of it at most. */
const maxIssues = 100;

/** `where` is put before the names of fields, for what is not in the body. */
export function check<S extends z.ZodType>(schema: S, value: unknown, where = ''): Checked<z.output<S>> {
  const result = schema.safeParse(value);
  if (result.success) return { ok: true, value: result.data };
  const issues = result.error.issues.slice(0, maxIssues).flatMap((found) => issuesOf(found, where));
  return { ok: false, problem: invalid(issues) };
}

function invalid(issues: readonly Issue[]): Problem {
  const named = issues.slice(0, 3).map(({ field, message }) => `${field === '' ? 'the body' : field} ${message}`);
  return { code: 'invalid-request', detail: named.join('; '), issues };
}

function issuesOf(found: z.core.$ZodIssue, where: string): Issue[] {
  const at = [where, ...found.path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))]
    .join('')
    .replace(/^\./, '');
  if (found.code === 'unrecognized_keys') {
    return found.keys.slice(0, maxIssues).map((key) => {
      const field = [at, key.slice(0, 80)].filter((part) => part !== '').join('.');
      return { field, rule: 'unknown-field', message: 'is not known here' };
    });
  }
  return [{ field: at, rule: ruleOf(found), message: found.message }];
}

function ruleOf(found: z.core.$ZodIssue): string {
  switch (found.code) {
    case 'invalid_type':
      return found.input === undefined ? 'required' : 'type';
    case 'too_big':
    case 'too_small':
      return 'range';
    case 'invalid_value':
      return 'choice';
    case 'invalid_format':
      return 'format';
    case 'custom':
      return typeof found.params?.['rule'] === 'string' ? found.params['rule'] : 'rule';
    case 'not_multiple_of':
      return 'range';
    case 'unrecognized_keys':
    case 'invalid_union':
    case 'invalid_key':
    case 'invalid_element':
      return 'type';
    default:
      return unreachable(found);
  }
}

/** For routes that take none. */
export const noQuery = z.strictObject({});

/** A query against its schema. Zod passes over `__proto__` in silence. */
export function checkQuery<S extends z.ZodType>(schema: S, search: URLSearchParams): Checked<z.output<S>> {
  if (!search.has('__proto__')) return check(schema, queryOf(search));
  return { ok: false, problem: invalid([{ field: '__proto__', rule: 'unknown-field', message: 'is not known here' }]) };
}

/** Names and values of a query: a text each, or a list where a name is repeated. */
function queryOf(search: URLSearchParams): Readonly<Record<string, string | string[]>> {
  const values = new Map<string, string | string[]>();
  for (const [name, value] of search) {
    const before = values.get(name);
    values.set(name, before === undefined ? value : [before, value].flat());
  }
  return Object.fromEntries(values);
}
