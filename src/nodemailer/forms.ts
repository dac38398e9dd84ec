/** The forms of a body beside text and HTML: nodemailer's `alternatives` and `icalEvent`, as the message schema has them. */
import { defaultMessageLimits } from '../message/message.ts';
import type { AlternativeInput, CalendarEventInput, OutboundMessage } from '../message/outbound.ts';
import { parseMessage } from '../message/schema.ts';
import { contentAtHand, isRecord, plainText, readContent, type Reading } from './contents.ts';

type Data = Readonly<Record<string, unknown>>;

const contentFields = ['content', 'path', 'href', 'httpHeaders', 'tls', 'encoding'];
const eventFields: ReadonlySet<string> = new Set(['method', 'filename', ...contentFields]);
const alternativeFields: ReadonlySet<string> = new Set(['contentType', ...contentFields]);

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false && value !== '';
}

/** The part of an `icalEvent` that a message has no field for; null without one. It may be the content itself. */
export function eventOnlyComposed(given: unknown): string | null {
  if (!isRecord(given) || isContent(given)) return null;
  const odd = Object.keys(given).find((key) => isSet(given[key]) && !eventFields.has(key));
  return odd === undefined ? null : `icalEvent.${odd}`;
}

export function alternativesOnlyComposed(given: unknown): string | null {
  if (!Array.isArray(given)) return 'alternatives';
  for (const [index, each] of given.entries()) {
    const field = `alternatives[${index}]`;
    if (!isRecord(each)) return field;
    const odd = Object.keys(each).find((key) => isSet(each[key]) && !alternativeFields.has(key));
    if (odd !== undefined) return `${field}.${odd}`;
    if (plainText(each['contentType']) === '') return `${field}.contentType`;
  }
  return null;
}

/** Whether the schema takes them as they are, with the parts that nodemailer would make of them. What has to be read first is nodemailer's. */
export function formsFit({ icalEvent, alternatives }: Data): boolean {
  const others = listOf(alternatives);
  if (!isSet(icalEvent) && others.length === 0) return true;
  const known = others.map((each, index) => ({
    contentType: plainText(each['contentType']),
    content: contentAtHand(each, `alternatives[${index}]`),
  }));
  const { content, method = 'PUBLISH', ...rest } = eventFieldsOf(icalEvent);
  const event = { ...rest, method, content: contentAtHand(content, 'icalEvent') };
  const message = { to: 'a@example.com', alternatives: known, ...(isSet(icalEvent) ? { calendarEvent: event } : {}) };
  return parseMessage(message, defaultMessageLimits).ok;
}

/** Their contents are read one after the other, within the bounds of the mail. */
export async function formsOf(
  { icalEvent, alternatives }: Data,
  reading: Reading,
): Promise<Pick<OutboundMessage, 'alternatives' | 'calendarEvent'>> {
  const event: { calendarEvent?: CalendarEventInput } = {};
  if (isSet(icalEvent)) {
    const { content, ...rest } = eventFieldsOf(icalEvent);
    event.calendarEvent = { ...rest, content: await readContent(content, 'icalEvent', reading) };
  }
  const forms: AlternativeInput[] = [];
  for (const [index, each] of listOf(alternatives).entries()) {
    const content = await readContent(each, `alternatives[${index}]`, reading);
    forms.push({ contentType: plainText(each['contentType']), content });
  }
  return { ...event, ...(forms.length === 0 ? {} : { alternatives: forms }) };
}

/** nodemailer takes it for the content itself where it names none. */
function isContent(given: Data): boolean {
  return !['content', 'path', 'href', 'raw'].some((key) => isSet(given[key]));
}

function eventFieldsOf(given: unknown): { content: unknown; method?: string; filename?: string } {
  if (!isRecord(given) || isContent(given)) return { content: given };
  const [method, filename] = [plainText(given['method']).trim(), plainText(given['filename'])];
  return { content: given, ...(method === '' ? {} : { method }), ...(filename === '' ? {} : { filename }) };
}

function listOf(alternatives: unknown): Data[] {
  return Array.isArray(alternatives) ? alternatives.filter(isRecord) : [];
}
