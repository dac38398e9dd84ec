/** Reads the fields of a message one by one: counted first, then judged by its schema, until there are issues enough. */
import type { z } from 'zod';
import { fieldFits, isRecord, objectFits, type Counting } from './counts.ts';
import { attachment } from './content-fields.ts';
import { address, mailbox, messageSchema, nestedKeys } from './fields.ts';
import type { IssueList } from './issue-list.ts';
import type { MessageLimits } from './message.ts';
import { toIssues, unknownKey } from './rules.ts';

export type Fields = z.output<typeof messageSchema>;
const fieldNames = Object.keys(messageSchema.shape) as (keyof Fields)[];

/** Fields whose elements are judged one at a time. */
const elements: Readonly<Record<string, z.ZodType>> = {
  to: mailbox,
  cc: mailbox,
  bcc: mailbox,
  replyTo: mailbox,
  attachments: attachment,
};
const isList = new Set([...Object.keys(elements), 'references']);

type Path = readonly PropertyKey[];

/** The fields that are in order; what is wrong with the others is put into `issues`. `skipped` are not read. */
export function readFields(
  input: Readonly<Record<string, unknown>>,
  limits: MessageLimits,
  skipped: ReadonlySet<string>,
  issues: IssueList,
): Partial<Fields> {
  const counting: Counting = { limits, known: nestedKeys, issues };
  const fields: Record<string, unknown> = {};
  for (const key of Object.keys(input)) {
    if (issues.isFull()) return fields;
    if (!Object.hasOwn(messageSchema.shape, key) && input[key] !== undefined)
      issues.add(unknownKey([], key, fieldNames, issues.suggest));
  }
  for (const name of fieldNames) {
    if (issues.isFull()) return fields;
    const value = Object.hasOwn(input, name) ? input[name] : undefined;
    if (value === undefined || skipped.has(name)) continue;
    // The normal form has many of them; nothing is in them that could be wrong.
    if (Array.isArray(value) && value.length === 0 && isList.has(name)) {
      fields[name] = [];
      continue;
    }
    if (!fieldFits(name, value, counting)) continue;
    const read = readField(name, value, counting);
    if (read !== undefined) fields[name] = read;
  }
  return fields;
}

function readField(name: keyof Fields, value: unknown, counting: Counting): unknown {
  const { issues } = counting;
  // Zod passes over this key of a record in silence.
  if ((name === 'headers' || name === 'metadata') && isRecord(value) && Object.hasOwn(value, '__proto__')) {
    issues.say(`${name}.__proto__`, name === 'headers' ? 'header-name' : 'metadata', '"__proto__" is no name');
  }
  const element = elements[name];
  if (element !== undefined && Array.isArray(value)) return readEach(element, value, [name], counting);
  if (name === 'envelope' && isRecord(value) && Array.isArray(value['to'])) {
    const { to, ...rest } = value;
    const others = judge(messageSchema.shape.envelope, rest, [name], issues);
    const addresses = readEach(address, to as unknown[], [name, 'to'], counting);
    return others === undefined || addresses === undefined ? undefined : { ...others, to: addresses };
  }
  return judge(messageSchema.shape[name], value, [name], issues);
}

/** → undefined if an element is wrong. */
function readEach<S extends z.ZodType>(
  schema: S,
  values: readonly unknown[],
  path: Path,
  counting: Counting,
): z.output<S>[] | undefined {
  const { issues } = counting;
  const read: z.output<S>[] = [];
  let isWhole = true;
  for (const [index, value] of values.entries()) {
    if (issues.isFull()) return undefined;
    const at = [...path, index];
    const before = issues.found.length;
    const element = objectFits(at, value, counting) ? judge(schema, value, at, issues) : undefined;
    if (issues.found.length > before) isWhole = false;
    else read.push(element as z.output<S>);
  }
  return isWhole ? read : undefined;
}

function judge<S extends z.ZodType>(schema: S, value: unknown, path: Path, issues: IssueList): z.output<S> | undefined {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  for (const found of result.error.issues) {
    if (issues.isFull()) break;
    issues.add(...toIssues(found, path, nestedKeys, issues.suggest));
  }
  return undefined;
}
