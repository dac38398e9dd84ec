/** The closed list of what can be wrong with a message, and how a schema library's findings become our issues. */
import type { z } from 'zod';
import { printable, type Issue } from '../errors.ts';

/** Rule → what it asks for. The words are stable: callers may branch on them. */
export const messageRules = {
  type: 'The value has another type or form than the field takes.',
  'unknown-key': 'The message has no such field.',
  id: 'An id is 1 to 128 characters of A-Z, a-z, 0-9, _ and -.',
  address: 'The text is not exactly one e-mail address, with or without a name.',
  'no-recipient': 'The message has no recipient.',
  'too-many-recipients': 'More recipients than `message.maxRecipients`.',
  'too-many': 'More entries than the field takes.',
  'too-long': 'More bytes than the field takes, or than all header fields together may have.',
  'too-large': 'The composed mail would have more bytes than `message.maxBytes`.',
  'control-character': 'CR, LF or NUL (in names of files: any control character) where a line of text is expected.',
  'line-length': 'A word without spaces that makes a header line longer than 998 octets.',
  'header-name': 'A header name is printable ASCII without space and colon.',
  'header-value': 'The value of a header is empty.',
  'list-unsubscribe': 'An https URL, an address or mailto URL, or both; one click needs the URL.',
  'header-owned': 'The header is written by the system or by the mail servers, or has a field of its own.',
  'attachment-by-path': 'Attachments bring their content; no file and no URL is opened for a message.',
  base64: 'The content is not valid base64.',
  'content-type': 'A content type is type/subtype with parameters; multipart/* is none of an attachment.',
  calendar: 'An iCalendar object with a METHOD, which the content type names, too (RFC 6047).',
  cid: 'A Content-ID is 1 to 200 printable ASCII characters without spaces and angle brackets.',
  'content-ref': 'Stored content is named by 64 lower-case hexadecimal digits and its size in bytes.',
  'raw-excludes': 'A finished message (`raw`) already has its content and its header.',
  'raw-header': 'The header of the finished message is broken, or different programs would read it differently.',
  date: 'A time is a Date, an ISO 8601 text with a time zone, or milliseconds since 1970.',
  'date-order': '`expiresAt` must be after `sendAt`.',
  metadata: 'At most 50 keys, and 4096 bytes of keys and values together.',
} as const;

export type MessageRule = keyof typeof messageRules;

/** An issue whose rule is one of this room. */
export interface MessageIssue extends Issue {
  readonly rule: MessageRule;
}

/** The known word that was meant, or null. */
export type Suggest = (word: string, known: readonly string[]) => string | null;

/** The issue for a key that `known` does not have. */
export function unknownKey(
  path: readonly PropertyKey[],
  key: string,
  known: readonly string[],
  suggest: Suggest,
): MessageIssue {
  const near = suggest(key, known);
  const hint = near === null ? `known: ${known.join(', ')}` : `did you mean "${near}"?`;
  return {
    field: fieldPath([...path, key]),
    rule: 'unknown-key',
    message: `unknown field "${printable(key, 60)}"; ${hint}`,
  };
}

/** `['to', 1, 'address']` → `to[1].address`. */
export function fieldPath(path: readonly PropertyKey[]): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += `${text === '' ? '' : '.'}${printable(String(part), 60)}`;
  }
  return text;
}

type ZodIssue = z.core.$ZodIssue;

const withContent = new Set<PropertyKey | undefined>(['attachments', 'alternatives', 'calendarEvent']);
const opensSomething = new Set(['path', 'href', 'url', 'raw']);

/** The issue for a key of an object within a message. */
export function unrecognised(
  path: readonly PropertyKey[],
  key: string,
  knownKeys: KnownKeys,
  suggest: Suggest,
): MessageIssue {
  if (withContent.has(path[0]) && opensSomething.has(key)) {
    return {
      field: fieldPath([...path, key]),
      rule: 'attachment-by-path',
      message: 'read the file yourself and give its bytes as `content`: no path and no URL of a message is ever opened',
    };
  }
  return unknownKey(path, key, knownKeys[String(path[0])] ?? [], suggest);
}

/** Of the forms that a value could have had, the one that it is nearest to: the author of an array wants to know which element is wrong, not that it is no string. */
function nearestForm(forms: readonly (readonly MessageIssue[])[], field: string): readonly MessageIssue[] | undefined {
  const fitting = forms.filter((found) => found.length > 1 || found[0]?.rule !== 'type' || found[0].field !== field);
  const byPath = fitting.flat().find((issue) => issue.rule === 'attachment-by-path');
  return byPath === undefined ? fitting.toSorted((a, b) => a.length - b.length)[0] : [byPath];
}

/** Keys that the objects below each field of a message may have, for suggestions. */
export type KnownKeys = Readonly<Record<string, readonly string[]>>;

/** The issues that one finding stands for. */
export function toIssues(
  issue: ZodIssue,
  parentPath: readonly PropertyKey[],
  knownKeys: KnownKeys,
  suggest: Suggest,
): readonly MessageIssue[] {
  const path = [...parentPath, ...issue.path];
  const field = fieldPath(path);
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- the library's codes are not ours: all others mean a wrong type
  switch (issue.code) {
    case 'invalid_union': {
      const forms = issue.errors.map((found) => found.flatMap((each) => toIssues(each, path, knownKeys, suggest)));
      return nearestForm(forms, field) ?? [{ field, rule: 'type', message: issue.message }];
    }
    case 'unrecognized_keys': {
      return issue.keys.map((key) => unrecognised(path, key, knownKeys, suggest));
    }
    case 'invalid_format': {
      const isTime = issue.format === 'datetime';
      return [
        {
          field,
          rule: isTime ? 'date' : 'type',
          message: isTime ? 'is not an ISO 8601 time with a zone' : issue.message,
        },
      ];
    }
    case 'custom': {
      const rule = issue.params?.['rule'] as MessageRule | undefined;
      return [{ field, rule: rule ?? 'type', message: issue.message }];
    }
    default: {
      return [{ field, rule: 'type', message: issue.message.replace(/^Invalid (?:input|option): /, '') }];
    }
  }
}
