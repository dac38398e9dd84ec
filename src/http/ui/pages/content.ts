/** What a message says: as text, and its HTML within a frame that can do nothing. It is made for a click, and is in the audit. */
import { html } from 'hono/html';
import { size, visible } from '../format.ts';
import { hrefOfMessage } from '../hrefs.ts';
import { empty, facts, nothing, outside, section, type Content, type Html } from '../parts.ts';
import type { Shown } from '../visit.ts';

/** More of a text is for the API. */
const mostChars = 200_000;

/** Within the frame nothing is loaded and nothing runs; the styles of the mail are let through. */
const framePolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/** `content`: the message in the form in which it can be submitted. */
export function contentPage(id: string, content: Readonly<Record<string, unknown>>): Shown {
  const { subject, text, html: markup, attachments, raw } = content;
  const forms = formsOf(content);
  const files = Array.isArray(attachments) ? (attachments as Readonly<Record<string, unknown>>[]) : [];
  return {
    title: 'Content',
    place: 'messages',
    main: html`<header class="head">
        <p class="crumb"><a href="${hrefOfMessage(id)}">Message</a></p>
        <h1>${typeof subject === 'string' && subject !== '' ? outside(subject) : 'Without a subject'}</h1>
        <p class="lede">The audit records that you opened this page.</p>
      </header>
      ${section({ id: 'head', title: 'Header' }, facts(headOf(content)))}
      ${typeof text === 'string' ? section({ id: 'text', title: 'Text' }, textBlock(text)) : nothing}
      ${
        typeof markup === 'string'
          ? section({ id: 'html', title: 'HTML', note: 'nothing in it is loaded or runs' }, frameOf(markup))
          : nothing
      }
      ${forms.map(({ title, text: form }, index) => section({ id: `form-${index}`, title }, textBlock(form)))}
      ${
        raw === undefined
          ? nothing
          : section(
              { id: 'raw', title: 'Finished message' },
              typeof raw === 'string'
                ? textBlock(raw)
                : html`<p class="prose">It is stored apart, and the API names where.</p>`,
            )
      }
      ${
        text === undefined && markup === undefined && raw === undefined && forms.length === 0
          ? empty({ what: 'It has no text.', next: 'It may have attachments.' })
          : nothing
      }
      ${files.length === 0 ? nothing : section({ id: 'files', title: 'Attachments' }, filesOf(files))}`,
  };
}

/** An invitation, and the further forms of the body that are text. */
function formsOf({
  calendarEvent,
  alternatives,
}: Readonly<Record<string, unknown>>): { title: string; text: string }[] {
  const event = Object(calendarEvent) as { readonly content?: unknown };
  const others = Array.isArray(alternatives) ? (alternatives as Readonly<Record<string, unknown>>[]) : [];
  return [
    ...(typeof event.content === 'string' ? [{ title: 'Invitation', text: event.content }] : []),
    ...others.slice(0, 100).map(({ contentType, content, encoding }) => ({
      title: `Alternative ${visible(typeof contentType === 'string' ? contentType : '')}`,
      text: encoding === 'base64' || typeof content !== 'string' ? 'It is no text.' : content,
    })),
  ];
}

function headOf(content: Readonly<Record<string, unknown>>): [string, Content][] {
  const rows = (['from', 'sender', 'to', 'cc', 'bcc', 'replyTo'] as const).flatMap((name): [string, Content][] => {
    const value = content[name];
    const boxes = value === undefined ? [] : [value].flat();
    if (boxes.length === 0) return [];
    const shown = boxes.slice(0, 100).map((each, i) => html`${i === 0 ? '' : ', '}${outside(mailbox(each))}`);
    const label = { from: 'From', sender: 'Sender', to: 'To', cc: 'Cc', bcc: 'Bcc', replyTo: 'Reply-To' }[name];
    return [[label, html`${shown}${boxes.length > 100 ? ` and ${boxes.length - 100} more` : ''}`]];
  });
  return rows.length === 0 ? [['Addresses', 'in the finished message']] : rows;
}

function mailbox(value: unknown): string {
  if (typeof value === 'string') return value;
  const { name, address } = Object(value) as { name?: unknown; address?: unknown };
  const of = typeof address === 'string' ? address : '';
  return typeof name === 'string' && name !== '' ? `${name} <${of}>` : of;
}

function textBlock(text: string): Html {
  const shown = text.slice(0, mostChars).split(/\r?\n/).map(visible).join('\n');
  return html`<div class="block">
      <pre class="wrap"><code>${shown}</code></pre>
    </div>
    ${text.length > mostChars ? html`<p class="prose">Cut after ${mostChars} characters.</p>` : nothing}`;
}

/** The policy stands before everything that the mail says, in a document of its own origin without any right (`sandbox`). */
function frameOf(markup: string): Html {
  const document = `<meta http-equiv="Content-Security-Policy" content="${framePolicy}"><meta charset="utf-8">${markup.slice(0, mostChars)}`;
  return html`<iframe
    class="mail"
    title="HTML of the message"
    sandbox=""
    referrerpolicy="no-referrer"
    srcdoc="${document}"
  ></iframe>`;
}

function filesOf(files: readonly Readonly<Record<string, unknown>>[]): Html {
  return facts(
    files.slice(0, 100).map((file): [string, Content] => {
      const { filename, contentType, content, size: bytes } = file as Record<string, unknown>;
      const stored = Object(content) as { size?: unknown };
      const length = typeof bytes === 'number' ? bytes : typeof stored.size === 'number' ? stored.size : null;
      return [
        typeof filename === 'string' ? visible(filename) : 'without a name',
        html`${typeof contentType === 'string' ? outside(contentType) : ''}${length === null ? '' : ` ${size(length)}`}`,
      ];
    }),
  );
}
