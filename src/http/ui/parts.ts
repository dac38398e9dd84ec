/** Small pieces that every page is made of: icons, marks of state, times, sections, tables, dialogs. */
import { html, raw } from 'hono/html';
import { absolute, clock, masked, relative, replyText, visible, type Zone } from './format.ts';

/** Markup, with every value in it escaped. */
export type Html = ReturnType<typeof html>;
/** What a template may hold. */
export type Content = Html | string | number | null | readonly Content[];

export type Family = 'ok' | 'move' | 'wait' | 'doubt' | 'bad' | 'idle';

/** Where a page is made: the viewer's clock, and whether recipients are masked. */
export interface Viewpoint {
  readonly now: number;
  readonly zone: Zone;
  readonly mask: boolean;
}

export const nothing: Html = html``;

export function icon(name: string): Html {
  return html`<svg class="i" aria-hidden="true"><use href="#i-${name}" /></svg>`;
}

export interface Mark {
  readonly family: Family;
  readonly icon: string;
  readonly word: string;
}

/** A state: a shape, a word, a colour; never a colour alone. */
export function mark({ family, icon: name, word }: Mark): Html {
  return html`<span class="st ${family}">${icon(name)}${word}</span>`;
}

export function chip({ family, icon: name, word }: Mark): Html {
  return html`<span class="chip ${family}">${icon(name)}${word}</span>`;
}

/** A time: what is shown, and behind it the absolute time, in UTC for machines. */
export function time(at: number, shown: string, { zone, now }: Viewpoint, alsoRelative = false): Html {
  const more = alsoRelative ? `, ${relative(at, now)}` : '';
  return html`<time class="t" datetime="${new Date(at).toISOString()}"
    >${shown}<span> ${absolute(at, zone)}${more}</span></time
  >`;
}

export function agoTime(at: number, view: Viewpoint): Html {
  return time(at, relative(at, view.now), view);
}

export function clockTime(at: number, view: Viewpoint, precision: 'minutes' | 'seconds' | 'ms' = 'seconds'): Html {
  return time(at, clock(at, view.now, view.zone, precision), view, true);
}

/** Text from outside: escaped, isolated in direction, wrapping anywhere. */
export function outside(text: string): Html {
  return html`<bdi class="any">${visible(text)}</bdi>`;
}

/** Prose of ours, where names of settings stand between backticks. */
export function withCode(text: string): Content {
  return text.split('`').map((part, i) => (i % 2 === 0 ? html`${part}` : html`<code>${part}</code>`));
}

/** The address of a recipient, masked where that is wanted. */
export function recipient(address: string, { mask }: Pick<Viewpoint, 'mask'>): Html {
  return outside(mask ? masked(address) : address);
}

const addresses = /[^\s<>()"',;:]{1,200}@[^\s<>()"',;:]{1,255}/g;

/** A reply of a server, which often repeats a recipient. */
export function reply(text: string, { mask }: Pick<Viewpoint, 'mask'>, mostChars = Infinity): Html {
  const shown = mask ? text.slice(0, 4_096).replace(addresses, masked) : text;
  return html`<bdi class="any">${replyText(shown).slice(0, mostChars)}</bdi>`;
}

export interface Section {
  readonly id: string;
  readonly title: string;
  readonly note?: Content;
  readonly end?: Content;
}

export function section({ id, title, note, end }: Section, body: Content): Html {
  return html`<section class="sec" aria-labelledby="h-${id}">
    <div class="sec-head">
      <h2 id="h-${id}">${title}</h2>
      ${note === undefined ? nothing : html`<p>${note}</p>`}
      ${end === undefined ? nothing : html`<span class="end">${end}</span>`}
    </div>
    ${body}
  </section>`;
}

export interface Column<Row> {
  readonly head: string;
  /** Classes of the cells: `n` is a number; `lo`, `lo2`, `lo3` go on narrow columns. */
  readonly classes?: string;
  /** The cell that names the row. */
  readonly names?: boolean;
  /** Stacked rows show no label before it. */
  readonly bare?: boolean;
  readonly hideHead?: boolean;
  readonly cell: (row: Row) => Content;
}

/** A table whose rows are stacked on narrow screens; roles are explicit, because stacked rows lose theirs in some browsers. */
export function table<Row>(caption: string, columns: readonly Column<Row>[], rows: readonly Row[]): Html {
  return html`<div class="tbl-wrap">
    <table class="tbl stack" role="table">
      <caption class="vh">
        ${caption}
      </caption>
      <thead role="rowgroup">
        <tr role="row">
          ${columns.map(headOf)}
        </tr>
      </thead>
      <tbody role="rowgroup">
        ${rows.map(
          (row) =>
            html`<tr role="row">
              ${columns.map((column) => cellOf(column, row))}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function headOf({ head, classes = '', hideHead = false }: Pick<Column<never>, 'head' | 'classes' | 'hideHead'>): Html {
  return html`<th role="columnheader" scope="col" class="${classes}">
    ${hideHead ? html`<span class="vh">${head}</span>` : head}
  </th>`;
}

function cellOf<Row>({ head, classes = '', names = false, bare = false, cell }: Column<Row>, row: Row): Html {
  const body = cell(row);
  if (names) return html`<th role="rowheader" scope="row" class="${classes} full">${body}</th>`;
  const gone = body === '' || body === '–' ? ' gone' : '';
  return html`<td role="cell" class="${classes}${bare ? ' full bare' : ''}${gone}" data-label="${head}">${body}</td>`;
}

export function sub(content: Content): Html {
  return html`<span class="sub">${content}</span>`;
}

/** Facts as a list of terms. */
export function facts(entries: readonly (readonly [string, Content, Content?])[]): Html {
  return html`<dl class="kv">
    ${entries.map(
      ([term, value, small]) =>
        html`<div>
          <dt>${term}</dt>
          <dd>${value}${small === undefined ? nothing : html`<small>${small}</small>`}</dd>
        </div>`,
    )}
  </dl>`;
}

export function copyable(shown: string, label: string): Html {
  return html`<span class="copyline"
    ><span class="mono any">${visible(shown)}</span
    ><button class="copy js-only" type="button" data-copy="${shown}" aria-label="${label}">
      ${icon('copy')}
    </button></span
  >`;
}

/** A share as a bar. `family` is empty where it is no state. */
export function bar(share: number, family: Family | '' = ''): Html {
  const width = `${Math.min(100, Math.max(0, Math.round(share * 1000) / 10))}%`;
  return html`<svg class="bar ${family}" aria-hidden="true">
    <rect class="bg" width="100%" height="100%" />
    <rect class="fg" width="${width}" height="100%" />
  </svg>`;
}

export function banner(
  family: Family | 'wait staging',
  name: string,
  strong: string,
  rest: Content,
  acts?: Content,
): Html {
  return html`<div class="ban ${family}">
    ${icon(name)}
    <p><b>${strong}</b> ${rest}</p>
    ${acts === undefined ? nothing : html`<div class="acts">${acts}</div>`}
  </div>`;
}

export interface Empty {
  /** What is not there, in which range. */
  readonly what: string;
  /** One next step. */
  readonly next: Content;
}

export function empty({ what, next }: Empty): Html {
  return html`<div class="empty">
    <p><b>${what}</b></p>
    <p>${next}</p>
  </div>`;
}

export interface Dialog {
  readonly id: string;
  readonly title: string;
  readonly action: string;
  readonly csrf: string;
  readonly body: Content;
  /** The button says what happens, with the count; the other says what stays. */
  readonly verb: string;
  readonly stay: string;
  readonly danger?: boolean;
}

/** A question before a change. A link leads to it and `:target` shows it; with script it is modal. */
export function dialog({ id, title, action, csrf, body, verb, stay, danger = false }: Dialog): Html {
  return html`<dialog class="dlg" id="${id}" aria-labelledby="${id}-h">
    <form method="post" action="${action}">
      <input type="hidden" name="csrf" value="${csrf}" />
      <div class="dlg-head">
        <h2 id="${id}-h">${title}</h2>
        <a class="btn quiet" href="#main" data-close aria-label="Close">${icon('close')}</a>
      </div>
      <div class="dlg-body">${body}</div>
      <div class="dlg-foot">
        <a class="btn" href="#main" data-close>${stay}</a
        ><button class="btn ${danger ? 'danger' : 'primary'}">${verb}</button>
      </div>
    </form>
  </dialog>`;
}

export function dialogLink(id: string, text: string, classes: string, label?: string): Html {
  const named = label === undefined ? nothing : html`aria-label="${label}"`;
  return html`<a class="btn ${classes}" href="#${id}" data-dialog="${id}" ${named}>${text}</a>`;
}

export interface Field {
  readonly id: string;
  readonly name: string;
  readonly label: string;
  readonly control: Content;
  readonly hint?: Content;
}

export function field({ id, label, control, hint }: Omit<Field, 'name'>): Html {
  return html`<div class="f">
    <label for="${id}">${label}</label
    >${control}${hint === undefined ? nothing : html`<span class="hint">${hint}</span>`}
  </div>`;
}

export function reasonField(id: string, required = true): Html {
  return field({
    id,
    label: 'Reason (kept in the audit log)',
    control: html`<input id="${id}" name="reason" ${required ? raw('required') : nothing} maxlength="200" />`,
  });
}
