/** Reads the fields of a message one by one: counted first, then judged by its schema, until there are issues enough. */
import type { z } from 'zod';
import { fieldFits, isRecord, objectFits, type Counting } from './counts.ts';
import { alternative } from './alternatives.ts';
import { attachment } from './content-fields.ts';
import { address, mailbox, messageSchema, nestedKeys } from './fields.ts';
import type { IssueList } from './issue-list.ts';
import type { MessageLimits } from './message.ts';
import { plainAddress, plainEnvelope, plainField } from './plain-fields.ts';
import { toIssues, unknownKey } from './rules.ts';

export type Fields = z.output<typeof messageSchema>;
const fieldNames = Object.keys(messageSchema.shape) as (keyof Fields)[];

interface Element<T = unknown> {
  readonly schema: z.ZodType<T>;
  /** Undefined where the schema has to judge. */
  readonly plain: (value: unknown) => T | undefined;
}

/** Fields whose elements are judged one at a time. */
const mailboxes: Element = { schema: mailbox, plain: (value) => plainField('to', value) };
const elements: Readonly<Record<string, Element>> = {
  to: mailboxes,
  cc: mailboxes,
  bcc: mailboxes,
  replyTo: mailboxes,
  alternatives: { schema: alternative, plain: () => undefined },
  attachments: { schema: attachment, plain: () => undefined },
};
const envelopeTo: Element<string> = { schema: address, plain: plainAddress };
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
    const others = plainEnvelope(rest) ?? judge(messageSchema.shape.envelope, rest, [name], issues);
    const addresses = readEach(envelopeTo, to as unknown[], [name, 'to'], counting);
    return others === undefined || addresses === undefined ? undefined : { ...others, to: addresses };
  }
  return plainOf(name, value) ?? judge(messageSchema.shape[name], value, [name], issues);
}

/** A list may be given as its only element. */
function plainOf(name: keyof Fields, value: unknown): unknown {
  const plain = plainField(name, value);
  return plain !== undefined && isList.has(name) ? [plain] : plain;
}

/** → undefined if an element is wrong. */
function readEach<T>(
  { schema, plain }: Element<T>,
  values: readonly unknown[],
  path: Path,
  counting: Counting,
): T[] | undefined {
  const { issues } = counting;
  const read: T[] = [];
  let isWhole = true;
  for (const [index, value] of values.entries()) {
    if (issues.isFull()) return undefined;
    const at = [...path, index];
    const before = issues.found.length;
    const element = objectFits(at, value, counting) ? (plain(value) ?? judge(schema, value, at, issues)) : undefined;
    if (issues.found.length > before) isWhole = false;
    else read.push(element as T);
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
