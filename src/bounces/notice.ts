/** The text of a report, for people: its lines, and where it ends and the returned mail begins. */
import { maxLineChars, maxTextLines } from './bounds.ts';

export interface Notice {
  readonly lines: readonly string[];
  /** The returned mail, or what is there of it. */
  readonly copy: readonly string[];
}

export function linesOf(text: string): string[] {
  return text.split(/\r\n|\n|\r/, maxTextLines).map((line) => line.slice(0, maxLineChars).trimEnd());
}

/** Text out of HTML, by line. Only for notices that have no text part; it need not be pretty. */
export function plainText(html: string): string {
  return visible(html)
    .replaceAll(/<(?:br|\/?p|\/?div|\/?tr|\/?h\d|\/?li|\/?td)\b[^<>]{0,2000}>/gi, '\n')
    .replaceAll(/<(?![^<>\s@]{1,128}@)[^<>]{0,2000}>/g, '')
    .replaceAll(/&(lt|gt|amp|quot|nbsp|#39);/g, (_, name: string) => entities[name] ?? ' ');
}

/** Without the elements that no reader sees. By search, as a pattern would look at the same text again and again. */
function visible(html: string): string {
  const lower = html.toLowerCase();
  let kept = '';
  let from = 0;
  for (const { index, 1: name = '' } of lower.matchAll(/<(style|script|head)\b/g)) {
    if (index < from) continue;
    const end = lower.indexOf(`</${name}>`, index);
    if (end < 0) break;
    kept += html.slice(from, index);
    from = end;
  }
  return kept + html.slice(from);
}

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', nbsp: ' ', '#39': "'" };

/** A line that announces the returned mail, in the words of servers. */
const announcement =
  /^[\s\-=*_#:.[]*(?:(?:this|below this line|attachment|here|what follows|following) is a copy of|(?:the )?(?:original|returned|undelivered|unsent|rejected) (?:message|mail|e-?mail)\b(?!.{0,40}\breceived\b)(?!.{0,30}\b(?:id|identifier)\b)|(?:the )?(?:body|header|text|start|beginning|copy|contents?)s? of (?:the |your )?(?:original |returned |sent )?(?:message|mail)|message (?:header|body|text)|(?:the )?non-?delivered message)/i;
/** A field with which the header of a returned mail begins, whatever the language of the line before it. */
const hardField =
  /^(?:received|return-path|message-id|mime-version|dkim-signature|delivered-to|arc-[a-z-]+|x-[a-z0-9-]+):/i;
const anyField = /^(?:[a-z][a-z0-9-]{1,60}:|[ \t]+\S)/i;

/** Divides the text. What is quoted (`>`) is not the server's own, and is left out. */
export function divided(lines: readonly string[]): Notice {
  const at = lines.findIndex(
    (line, i) => (i > 0 && announcement.test(line) && isHeading(line)) || isHeaderStart(lines, i),
  );
  const notice = at < 0 ? lines : lines.slice(0, at);
  return {
    lines: notice.filter((line) => !line.startsWith('>') || line.startsWith('>>>')),
    copy: at < 0 ? [] : lines.slice(at),
  };
}

/** An announcement stands alone: a sentence goes on, or has an address. */
function isHeading(line: string): boolean {
  return line.length < 120 && !/was received at|could not|cannot|has been|address/i.test(line);
}

function isHeaderStart(lines: readonly string[], at: number): boolean {
  if (!hardField.test(lines[at] ?? '')) return false;
  const next = lines.slice(at + 1, at + 4);
  return next.length > 0 && next.every((line) => anyField.test(line) || line === '');
}
