/** The forms of a body beside text and HTML, as their parts carry them; an invitation is also a file, for programs that show no buttons. */
import type { MailComposerAlternative, MailComposerAttachment } from 'nodemailer/lib/mail-composer';
import type { Alternative, CalendarEvent, Message } from './message.ts';
import type { Piece } from './pieces.ts';
import type { TextEncoding } from './text-encoding.ts';
import { textPart } from './text-part.ts';
import type { Turns } from './turns.ts';

export interface BodyForm {
  readonly contentType: string;
  readonly encoding: TextEncoding;
  readonly pieces: readonly Piece[];
  /** What the boundary of the mail must not be found in. */
  readonly bytes: Buffer;
}

export type GivenForms = Pick<Message, 'alternatives' | 'calendarEvent'>;

export function hasForms({ alternatives, calendarEvent }: GivenForms): boolean {
  return alternatives !== undefined || calendarEvent !== undefined;
}

/** The invitation first, as nodemailer has it: what the application calls an alternative is the best form. */
export async function bodyForms({ alternatives = [], calendarEvent }: GivenForms, turns: Turns): Promise<BodyForm[]> {
  const all = calendarEvent === undefined ? alternatives : [asAlternative(calendarEvent), ...alternatives];
  const forms: BodyForm[] = [];
  for (const { contentType, content, encoding } of all) {
    const bytes = Buffer.from(content, encoding);
    // Of another type nodemailer takes the content for base64, whatever it is.
    const part =
      encoding === 'utf8' && /^text\//i.test(contentType)
        ? await textPart(content, turns)
        : { encoding: 'base64' as const, pieces: [{ base64: bytes }] };
    forms.push({ contentType, bytes, ...part });
  }
  return forms;
}

function asAlternative({ method, content }: CalendarEvent): Alternative {
  return { contentType: `text/calendar; charset=utf-8; method=${method}`, content, encoding: 'utf8' };
}

export function calendarFile({ filename, content }: CalendarEvent): MailComposerAttachment {
  return { filename, contentType: 'application/ics', contentDisposition: 'attachment', content: Buffer.from(content) };
}

/** A word stands in the place of each form, so that nodemailer does not look at the form; of words it finds out that they need no encoding. */
export function placesOf(forms: readonly BodyForm[]): { alternatives: MailComposerAlternative[]; words: string[] } {
  const words = forms.map((_form, index) => `form ${index}`);
  const alternatives = forms.map(({ contentType, encoding }, index) => ({
    contentType,
    content: words[index]!,
    ...(encoding === '7bit' ? {} : { contentTransferEncoding: encoding }),
  }));
  return { alternatives, words };
}
