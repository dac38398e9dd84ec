/** Validates the file's data against the schema and describes each mistake, without ever repeating a secret. */
import type { z } from 'zod';
import { printable } from '../errors.ts';
import type { ConfigRule, Path, Problem } from './issues.ts';
import { type Expansion, pathId } from './references.ts';
import { type ConfigFile, configJsonSchema, configSchema } from './schema.ts';
import { nearest } from './suggest.ts';
import { replyPhases } from '../transport/smtp/reply-rules.ts';

/** `file` is set if and only if the data is valid. */
export interface Validation {
  readonly file: ConfigFile | undefined;
  readonly problems: readonly Problem[];
}

/** The value as a message may repeat it: quoted text or a number, or null if it must not. */
export type Show = (path: Path, value: unknown) => string | null;

const scalarKinds: ReadonlySet<string> = new Set(['string', 'number', 'int', 'boolean']);
const secretKeys: ReadonlySet<string> = new Set([
  'password',
  'secret',
  'secrets',
  'clientSecret',
  'certificate',
  'certificatePassword',
  'refreshToken',
  'serviceAccount',
  'ca',
  'cert',
  'clientCa',
  'key',
  'keys',
  'sha256',
  'url',
  'nodes',
]);

/** Keys whose values are addresses; anywhere else an @ may be what separates a password from a host. */
const addressKeys: ReadonlySet<string> = new Set([
  'address',
  'addresses',
  'unmonitoredAddress',
  'mailbox',
  'from',
  'redirectTo',
  'allowRecipients',
]);

/** The text of a reference is never shown, whatever its key: an operator may keep anything in the environment. */
export function showUnless(referring: ReadonlySet<string>): Show {
  return (path, value) => {
    // With a typing error in it, the URL of a proxy has a login in any place.
    if (path.at(-1) === 'proxy' || path.some((part) => secretKeys.has(String(part))) || referring.has(pathId(path)))
      return null;
    if (typeof value === 'string') return mayHoldLogin(path, value) ? null : JSON.stringify(printable(value, 60));
    return typeof value === 'number' || typeof value === 'boolean' ? String(value) : null;
  };
}

/** `smtp://user:password@host` in place of a host, for example. */
function mayHoldLogin(path: Path, value: string): boolean {
  return value.includes('://') || (value.includes('@') && !path.some((part) => addressKeys.has(String(part))));
}

/** A number or boolean given as one whole reference is first read from its text, in place. */
export function validate(data: Record<string, unknown>, whole: Expansion['whole'], show: Show): Validation {
  let result = parse(data);
  if (result?.success === false && readReferredScalars(data, result.error.issues, whole)) result = parse(data);
  if (result === null) {
    const message = 'the file has too many mistakes to list them';
    return { file: undefined, problems: [{ path: [], rule: 'too-many-mistakes', message, on: 'value' }] };
  }
  if (result.success) return { file: result.data, problems: [] };
  const describe = describerOf(data, show, configJsonSchema());
  return { file: undefined, problems: result.error.issues.flatMap(describe) };
}

/** null where there are so many issues that zod, which passes them on as arguments, exhausts the stack (some 100,000). */
function parse(data: Record<string, unknown>): ReturnType<typeof configSchema.safeParse> | null {
  try {
    return configSchema.safeParse(data);
  } catch (thrown) {
    if (thrown instanceof RangeError) return null;
    throw thrown;
  }
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

/** Suggestions compare with every known key, so only the first unknown keys get one. */
const maxSuggestions = 100;

function describerOf(data: unknown, show: Show, schema: JsonSchema): (issue: z.core.$ZodIssue) => Problem[] {
  let suggested = 0;
  return (issue) => {
    if (issue.code !== 'unrecognized_keys') return [problemOf(issue, data, show)];
    const path = pathOf(issue);
    const map = valueAt(data, path) as Record<string, unknown>;
    const place = schemaAt(schema, path);
    return issue.keys.map((key) => {
      suggested += 1;
      return unknownKey(place, path, key, map, suggested <= maxSuggestions);
    });
  };
}

function problemOf(issue: z.core.$ZodIssue, data: unknown, show: Show): Problem {
  const path = pathOf(issue);
  const value = valueAt(data, path);
  if (value === undefined) return missing(path);
  if (value === null) {
    return { path, rule: 'empty', message: 'has no value; set one, or remove the key', on: 'value' };
  }
  const [rule, must] = verdict(issue, path);
  return {
    path,
    rule,
    message: sentence(must, isMisplaced(issue, rule, value) ? null : show(path, value)),
    on: 'value',
  };
}

/** Text in place of a map, a list or a number may be `user:password`, which its key does not reveal. */
function isMisplaced(issue: z.core.$ZodIssue, rule: ConfigRule, value: unknown): boolean {
  if (issue.code === 'invalid_type' && !scalarKinds.has(issue.expected)) return true;
  const wantsNumber = rule === 'port' || (issue.code === 'invalid_type' && /^(?:number|int)$/.test(issue.expected));
  return wantsNumber && typeof value === 'string' && !/^\d+$/.test(value);
}

function missing(path: Path): Problem {
  if (path.length === 1 && path[0] === 'systemDefaultGateway') {
    const message = 'is missing; name the connector that sends if no other matches, or write "disabled"';
    return { path, rule: 'default-gateway-missing', message, on: 'key' };
  }
  return { path, rule: 'required', message: 'is missing and has no default', on: 'key' };
}

function verdict(issue: z.core.$ZodIssue, path: Path): [ConfigRule, string] {
  const key = path.at(-1);
  if (key === 'port') return ['port', 'must be a whole number from 1 to 65535'];
  if (key === 'maxSize')
    return ['size', 'must be a number of bytes above 0, or one with a unit: 512KiB, 25MiB or 25MB'];
  if (issue.code === 'invalid_union' && key === 'phase') {
    return ['choice', `must be ${alternatives(replyPhases)}, or a list of them`];
  }
  if (issue.code === 'custom') return [(issue.params?.['rule'] as ConfigRule | undefined) ?? 'type', issue.message];
  if (issue.code === 'invalid_value') return ['choice', `must be ${alternatives(issue.values.map(String))}`];
  if (issue.code === 'too_small' && issue.origin === 'string') return ['empty', 'must not be empty'];
  if (issue.code === 'too_small') return ['range', `must be at least ${issue.minimum}`];
  if (issue.code === 'too_big') return ['range', `must be at most ${issue.maximum}`];
  if (issue.code !== 'invalid_type') return ['type', 'must have another type'];
  // The message of a schema may be more specific than its type.
  return ['type', issue.message.startsWith('must') ? issue.message : `must be ${kindText(issue.expected)}`];
}

function alternatives(values: readonly string[]): string {
  return [values.slice(0, -1).join(', '), values.at(-1)].filter((part) => part !== '').join(' or ');
}

function kindText(expected: string): string {
  switch (expected) {
    case 'string':
      return 'text; put a value that looks like a number or a boolean in quotes';
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
  readonly items?: JsonSchema;
}

function schemaAt(root: JsonSchema, path: Path): JsonSchema | undefined {
  let schema: JsonSchema | undefined = root;
  for (const part of path) {
    const inner: JsonSchema | boolean | undefined = schema?.additionalProperties;
    const item: JsonSchema | undefined = typeof part === 'number' ? schema?.items : undefined;
    schema = item ?? schema?.properties?.[String(part)] ?? (typeof inner === 'object' ? inner : undefined);
  }
  return schema;
}

function unknownKey(
  schema: JsonSchema | undefined,
  path: Path,
  key: string,
  map: Record<string, unknown>,
  suggest: boolean,
): Problem {
  const properties = schema?.properties ?? {};
  const known = Object.keys(properties);
  const list = known.join(', ');
  const holdsSecrets = known.some((name) => secretKeys.has(name));
  if (map[key] === null && holdsSecrets) {
    // In `{ user: u, hunter2 }`, what looks like a key may be the secret.
    return { path, rule: 'unknown-key', message: `has a key without a value; known keys: ${list}`, on: 'value' };
  }
  if (!suggest) return { path: [...path, key], rule: 'unknown-key', message: 'is not a known key', on: 'key' };
  // The right key one level too high: `port` beside `smtp` instead of in it. Sections that are written come first.
  const written = known.filter((name) => name in map);
  const above = [...written, ...known].find((name) => Object.hasOwn(properties[name]?.properties ?? {}, key));
  const near = nearest(key, known) ?? (above === undefined ? null : `${above}.${key}`);
  const message =
    near === null ? `is not a known key; known keys: ${list}` : `is not a known key; did you mean ${near}?`;
  return { path: [...path, key], rule: 'unknown-key', message, on: 'key' };
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
