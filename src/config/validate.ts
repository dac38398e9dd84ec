/** Holds the file's data against the schema and says each mistake in words, without ever repeating a secret. */
import type { z } from 'zod';
import { printable } from '../errors.ts';
import type { ConfigRule, Path, Problem } from './issues.ts';
import { type Expansion, pathId } from './references.ts';
import { type ConfigFile, configJsonSchema, configSchema } from './schema.ts';
import { nearest } from './suggest.ts';

/** `file` is there exactly if nothing breaks the schema. */
export interface Validation {
  readonly file: ConfigFile | undefined;
  readonly problems: readonly Problem[];
}

/** How a value may be repeated in a message: quoted text or a number, or null where it must not be. */
export type Show = (path: Path, value: unknown) => string | null;

const secretKeys: ReadonlySet<string> = new Set(['password', 'clientSecret', 'ca', 'url']);

/** Nothing that came out of a reference is shown, whatever its key: an operator may keep anything in the environment. */
export function showUnless(referring: ReadonlySet<string>): Show {
  return (path, value) => {
    if (path.some((part) => secretKeys.has(String(part))) || referring.has(pathId(path))) return null;
    if (typeof value === 'string') return JSON.stringify(printable(value, 60));
    return typeof value === 'number' || typeof value === 'boolean' ? String(value) : null;
  };
}

/** Numbers and switches that are one whole reference are read from its text, in place, before the verdict. */
export function validate(data: Record<string, unknown>, whole: Expansion['whole'], show: Show): Validation {
  let result = configSchema.safeParse(data);
  if (!result.success && readReferredScalars(data, result.error.issues, whole)) result = configSchema.safeParse(data);
  if (result.success) return { file: result.data, problems: [] };
  const schema = configJsonSchema() as JsonSchema;
  return { file: undefined, problems: result.error.issues.flatMap((issue) => problemsOf(issue, data, show, schema)) };
}

function readReferredScalars(
  data: Record<string, unknown>,
  issues: readonly z.core.$ZodIssue[],
  whole: Expansion['whole'],
): boolean {
  let changed = false;
  for (const issue of issues) {
    if (issue.code !== 'invalid_type') continue;
    const path = pathOf(issue);
    const last = path.at(-1);
    const text = valueAt(data, path);
    if (last === undefined || typeof text !== 'string' || !whole.has(pathId(path))) continue;
    const holder = valueAt(data, path.slice(0, -1)) as Record<string | number, unknown>;
    if ((issue.expected === 'number' || issue.expected === 'int') && /^\d{1,15}$/.test(text)) {
      holder[last] = Number(text);
      changed = true;
    }
    if (issue.expected === 'boolean' && (text === 'true' || text === 'false')) {
      holder[last] = text === 'true';
      changed = true;
    }
  }
  return changed;
}

function problemsOf(issue: z.core.$ZodIssue, data: unknown, show: Show, schema: JsonSchema): Problem[] {
  const path = pathOf(issue);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      path: [...path, key],
      rule: 'unknown-key',
      message: unknownKeyText(schema, path, key),
      on: 'key',
    }));
  }
  const value = valueAt(data, path);
  if (value === undefined) return [missing(path)];
  if (value === null) {
    return [{ path, rule: 'empty', message: 'has no value; give it one, or leave the key out', on: 'value' }];
  }
  const [rule, must] = verdict(issue, path);
  return [{ path, rule, message: sentence(must, show(path, value)), on: 'value' }];
}

function missing(path: Path): Problem {
  if (path.length === 1 && path[0] === 'systemDefaultGateway') {
    const message = 'is missing; name the connector that sends where none matches, or write «disabled»';
    return { path, rule: 'default-gateway-missing', message, on: 'key' };
  }
  return { path, rule: 'required', message: 'is missing and has no default', on: 'key' };
}

function verdict(issue: z.core.$ZodIssue, path: Path): [ConfigRule, string] {
  const key = path.at(-1);
  if (key === 'port') return ['port', 'must be a whole number from 1 to 65535'];
  if (key === 'maxSize')
    return ['size', 'must be a number of bytes above 0, or one with a unit: 512KiB, 25MiB or 25MB'];
  switch (issue.code) {
    case 'invalid_type':
      return ['type', `must be ${kindText(issue.expected)}`];
    case 'invalid_value':
      return [
        'choice',
        `must be ${issue.values
          .map(String)
          .join(', ')
          .replace(/, ([^,]+)$/, ' or $1')}`,
      ];
    case 'too_small':
      return issue.origin === 'string'
        ? ['empty', 'must not be empty']
        : ['range', `must be at least ${issue.minimum}`];
    case 'too_big':
      return ['range', `must be at most ${issue.maximum}`];
    case 'custom':
      return [(issue.params?.['rule'] as ConfigRule | undefined) ?? 'type', issue.message];
    default:
      return ['type', 'must be of another kind'];
  }
}

function kindText(expected: string): string {
  switch (expected) {
    case 'string':
      return 'text; put a value that looks like a number, or true or false, in quotes';
    case 'number':
    case 'int':
      return 'a whole number';
    case 'boolean':
      return 'true or false';
    case 'array':
      return 'a list';
    default:
      return 'a map of keys and values';
  }
}

function sentence(must: string, shown: string | null): string {
  if (shown === null) return must;
  return must.startsWith('must') ? `${must}; it is ${shown}` : `${shown} ${must}`;
}

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
}

function unknownKeyText(root: JsonSchema, path: Path, key: string): string {
  let schema: JsonSchema | undefined = root;
  for (const part of path) {
    const inner: JsonSchema | boolean | undefined = schema?.additionalProperties;
    schema = schema?.properties?.[String(part)] ?? (typeof inner === 'object' ? inner : undefined);
  }
  const known = Object.entries(schema?.properties ?? {});
  const near =
    nearest(
      key,
      known.map(([name]) => name),
    ) ?? // The right key one level too high: `host` beside `smtp` instead of in it.
    known.flatMap(([name, inner]) => (Object.hasOwn(inner.properties ?? {}, key) ? [`${name}.${key}`] : []))[0];
  const all = known.map(([name]) => name).join(', ');
  return near === undefined ? `is not known; known here: ${all}` : `is not known; did you mean ${near}?`;
}

function pathOf(issue: z.core.$ZodIssue): Path {
  return issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
}

export function valueAt(data: unknown, path: Path): unknown {
  let value = data;
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}
