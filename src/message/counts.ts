/**
 * Counts what a field holds before its schema sees it: a schema works through every element and every key, however many there are.
 *
 * What is counted here costs a length or a look at the names of an object; nothing is converted and no text is searched.
 */
import {
  maxAlternatives,
  maxAttachments,
  maxHeaderFields,
  maxHeaderValueBytes,
  maxListedMailboxes,
  maxMetadataKeys,
  maxObjectKeys,
  maxReferences,
  maxReferencesBytes,
  maxReplyTo,
  maxSubjectBytes,
} from './bounds.ts';
import type { IssueList } from './issue-list.ts';
import type { MessageLimits } from './message.ts';
import { fieldPath, unrecognised, type KnownKeys, type MessageRule } from './rules.ts';

type Path = readonly PropertyKey[];

/** What counting needs to know, and where it says what is too much. */
export interface Counting {
  readonly limits: MessageLimits;
  readonly known: KnownKeys;
  readonly issues: IssueList;
}

/** → whether the schema may see the value of this field. The elements of a list are counted one by one, by `objectFits`. */
export function fieldFits(name: string, value: unknown, counting: Counting): boolean {
  const { limits, issues } = counting;
  const path = [name];
  switch (name) {
    case 'to':
    case 'cc':
    case 'bcc':
      return listFits(path, value, recipientsAt(limits), counting) && objectFits(path, value, counting);
    case 'replyTo':
      return listFits(path, value, { max: maxReplyTo }, counting) && objectFits(path, value, counting);
    case 'alternatives':
      return listFits(path, value, { max: maxAlternatives }, counting);
    case 'attachments':
      return listFits(path, value, { max: maxAttachments }, counting);
    case 'references':
      return listFits(path, value, { max: maxReferences }, counting) && textsFit(name, value, counting);
    case 'inReplyTo':
      return textsFit(name, value, counting);
    case 'subject':
      if (typeof value !== 'string' || fitsBytes(value, maxSubjectBytes)) return true;
      issues.say(name, 'too-long', `has more than ${maxSubjectBytes} bytes; shorten it`);
      return false;
    case 'headers':
      return isBytes(value) ? objectFits(path, value, counting) : headersFit(value, issues);
    case 'metadata':
      if (isBytes(value)) return objectFits(path, value, counting);
      if (!isRecord(value) || Object.keys(value).length <= maxMetadataKeys) return true;
      issues.say(name, 'metadata', `has more than ${maxMetadataKeys} keys`);
      return false;
    case 'envelope':
      if (!objectFits(path, value, counting)) return false;
      return !isRecord(value) || listFits([name, 'to'], value['to'], recipientsAt(limits), counting);
    case 'raw':
      return isBytes(value) || objectFits(path, value, counting);
    default:
      return objectFits(path, value, counting);
  }
}

/** An object with so many keys is none of ours; the first of them are named. Bytes are no object: their keys are their indexes. */
export function objectFits(path: Path, value: unknown, { known, issues }: Counting): boolean {
  if (isBytes(value)) {
    issues.say(fieldPath(path), 'type', 'must not be bytes');
    return false;
  }
  if (!isRecord(value)) return true;
  const keys = Object.keys(value);
  if (keys.length <= maxObjectKeys) return true;
  const knownHere = known[String(path[0])] ?? [];
  for (const key of keys) {
    if (issues.isFull()) break;
    if (!knownHere.includes(key)) issues.add(unrecognised(path, key, known, issues.suggest));
  }
  return false;
}

function recipientsAt(limits: MessageLimits): { max: number; rule: MessageRule } {
  return { max: maxListedIn(limits), rule: 'too-many-recipients' };
}

/** Mailboxes that are read of one list. */
export function maxListedIn({ maxRecipients }: MessageLimits): number {
  return Math.max(maxRecipients, maxListedMailboxes);
}

function listFits(
  path: Path,
  value: unknown,
  { max, rule = 'too-many' }: { readonly max: number; readonly rule?: MessageRule },
  { issues }: Counting,
): boolean {
  if (!Array.isArray(value) || value.length <= max) return true;
  issues.say(
    fieldPath(path),
    rule,
    `${value.length} entries; the field takes ${max}: leave some out, or send several messages`,
  );
  return false;
}

function textsFit(name: string, value: unknown, { issues }: Counting): boolean {
  const texts: readonly unknown[] = Array.isArray(value) ? value : [value];
  let left = maxReferencesBytes;
  for (const each of texts) left -= typeof each === 'string' ? each.length : 0;
  if (left >= 0) return true;
  issues.say(name, 'too-long', `has more than ${maxReferencesBytes} characters; leave out ids in the middle`);
  return false;
}

function headersFit(value: unknown, issues: IssueList): boolean {
  if (!isRecord(value)) return true;
  const names = Object.keys(value);
  let count = names.length;
  let fits = true;
  for (const name of names) {
    if (issues.isFull()) break;
    const given = value[name];
    const isList = Array.isArray(given);
    const values: readonly unknown[] = isList ? given : [given];
    count += Math.max(values.length - 1, 0);
    if (count > maxHeaderFields) break;
    for (const [index, each] of values.entries()) {
      if (typeof each !== 'string' || fitsBytes(each, maxHeaderValueBytes)) continue;
      issues.say(
        fieldPath(['headers', name, ...(isList ? [index] : [])]),
        'too-long',
        `has more than ${maxHeaderValueBytes} bytes; shorten it`,
      );
      fits = false;
    }
  }
  if (count <= maxHeaderFields) return fits;
  issues.say('headers', 'too-many', `more than ${maxHeaderFields} header fields; leave some out`);
  return false;
}

/** The bytes are counted only where the characters do not decide. */
function fitsBytes(text: string, max: number): boolean {
  return text.length * 3 <= max || (text.length <= max && Buffer.byteLength(text) <= max);
}

export function isBytes(value: unknown): value is NodeJS.ArrayBufferView {
  return ArrayBuffer.isView(value);
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
