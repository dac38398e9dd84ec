/**
 * Invitations: what a mail depends on of an iCalendar object (RFC 5545), and its schema.
 *
 * A calendar program believes the method in the Content-Type before it opens the part, and the one in the object afterwards. Where the two
 * differ, Outlook shows no buttons and Gmail shows a file (RFC 6047 section 2.4 wants them equal), so this is refused before it is queued.
 */
import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import type { Parsed } from './address.ts';
import { maxAlternativeBytes, maxCalendarDepth } from './bounds.ts';
import { filename, inline } from './content-fields.ts';
import { contentSize, inlineBytes, normaliseContent, type ContentInput } from './content.ts';
import type { CalendarEvent } from './message.ts';
import { crlfLines } from './plain-mail.ts';
import type { MessageRule } from './rules.ts';

/** RFC 5546 section 1.4. */
const calendarMethods = [
  'PUBLISH',
  'REQUEST',
  'REPLY',
  'ADD',
  'CANCEL',
  'REFRESH',
  'COUNTER',
  'DECLINECOUNTER',
] as const;

function fail(problem: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem };
}

function isMethod(text: string): text is CalendarEvent['method'] {
  return (calendarMethods as readonly string[]).includes(text);
}

/** One object with its METHOD, or why programs would not take it for one. Lines are unfolded first: a fold may stand within a name. */
function methodIn(text: string): Parsed<CalendarEvent['method'] | null> {
  const lines = text.replaceAll(/\r\n[ \t]/g, '').split('\r\n');
  while (lines.at(-1) === '') lines.pop();
  if (!/^BEGIN:VCALENDAR$/i.test(lines[0] ?? '')) return fail('does not begin with BEGIN:VCALENDAR');
  const open: string[] = [];
  const methods: string[] = [];
  for (const [index, line] of lines.entries()) {
    const [, begins] = /^BEGIN:([A-Z0-9-]{1,64})$/i.exec(line) ?? [];
    const [, ends] = /^END:([A-Z0-9-]{1,64})$/i.exec(line) ?? [];
    if (begins !== undefined) open.push(begins.toUpperCase());
    if (open.length > maxCalendarDepth) return fail(`has more than ${maxCalendarDepth} components within each other`);
    if (ends !== undefined && open.pop() !== ends.toUpperCase()) return fail(`ends a component that is not open`);
    if (open.length === 0 && index < lines.length - 1) return fail('has lines behind END:VCALENDAR: one object a mail');
    const [, method] = /^METHOD(?:;[^:]*)?:(.*)$/i.exec(line) ?? [];
    if (method !== undefined && open.length === 1) methods.push(method.trim().toUpperCase());
  }
  if (open.length > 0) return fail(`has no END:${open.at(-1)}`);
  const [method, another] = methods;
  if (another !== undefined) return fail('has two METHOD properties');
  if (method === undefined) return { ok: true, value: null };
  return isMethod(method)
    ? { ok: true, value: method }
    : fail(`has a METHOD that is none of ${calendarMethods.join()}`);
}

export interface ReadCalendar {
  /** With CRLF line ends (RFC 5545 section 3.1). */
  readonly text: string;
  /** null without one: the object is no request of any kind. */
  readonly method: CalendarEvent['method'] | null;
}

/** A calendar as the part of a mail carries it. Its length is checked first. */
export function readCalendar(given: string): Parsed<ReadCalendar> {
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  if (/[\0-\x08\v\f\x0e-\x1f\x7f]/.test(given)) return fail('has control characters');
  const lines = crlfLines(given);
  const method = methodIn(lines);
  if (!method.ok) return method;
  return { ok: true, value: { text: lines.endsWith('\r\n') ? lines : `${lines}\r\n`, method: method.value } };
}

/** Content of a part that is text, whatever it was given as. */
export function readText(input: ContentInput): Parsed<string> & { readonly rule?: MessageRule } {
  const normal = normaliseContent(input);
  if (!normal.ok) return { ...normal, rule: 'base64' };
  if (contentSize(normal.value) > maxAlternativeBytes) {
    return { ...fail(`has more than ${maxAlternativeBytes} bytes`), rule: 'too-long' };
  }
  const bytes = inlineBytes(normal.value);
  if (bytes === null || !isUtf8(bytes)) return fail('is not text in UTF-8');
  return { ok: true, value: bytes.toString() };
}

export const calendarEvent = z
  .strictObject({
    method: z
      .string()
      .optional()
      .meta({
        description: 'What the recipient is asked: the METHOD of the content, by default read from it.',
        examples: ['REQUEST', 'CANCEL'],
      }),
    filename: filename
      .optional()
      .meta({ description: 'Name of the copy that is attached; "invite.ics" by default.', examples: ['invite.ics'] }),
    ...inline,
  })
  .transform(({ method: asked, filename: name = 'invite.ics', content, encoding }, context): CalendarEvent => {
    const refuse = (rule: MessageRule, field: string, message: string): never => {
      context.addIssue({ code: 'custom', message, path: [field], params: { rule } });
      return z.NEVER;
    };
    const text = readText({ content, encoding });
    if (!text.ok) return refuse(text.rule ?? 'calendar', 'content', text.problem);
    const read = readCalendar(text.value);
    if (!read.ok) return refuse('calendar', 'content', read.problem);
    const { method } = read.value;
    if (method === null) return refuse('calendar', 'content', 'has no METHOD property, such as METHOD:REQUEST');
    const wanted = asked?.trim().toUpperCase() ?? method;
    if (wanted !== method) return refuse('calendar', 'method', `is not the METHOD of the content, which is ${method}`);
    return { method, filename: name === '' ? 'invite.ics' : name, content: read.value.text };
  });
