/** The suppression list: addresses that get no mail, since when, until when and why; one is added or removed. */
import { html } from 'hono/html';
import { suppressionOrigins, type Suppression } from '../../../queue/suppressions.ts';
import { counted } from '../format.ts';
import {
  agoTime,
  clockTime,
  dialog,
  dialogLink,
  empty,
  field,
  nothing,
  outside,
  reasonField,
  recipient,
  reply,
  table,
  type Column,
  type Content,
  type Html,
} from '../parts.ts';
import { picked, query, select } from '../query.ts';
import type { Page, Visit } from '../visit.ts';

const pageSize = 50;

export const suppressionsPage: Page = async (visit) => {
  const { url, operator } = visit;
  const asked = url.searchParams;
  const prefix = (asked.get('q') ?? '').trim().toLowerCase().slice(0, 320);
  const origin = picked(suppressionOrigins, asked.get('origin'));
  const after = (asked.get('cursor') ?? '').slice(0, 400) || null;
  const filter = { ...(prefix === '' ? {} : { prefix }), ...(origin === null ? {} : { origin }) };
  const [{ items, next }, count] = await Promise.all([
    operator.suppressions.list({ ...filter, after, limit: pageSize }),
    operator.suppressions.count(),
  ]);
  return {
    title: 'Suppressions',
    place: 'suppressions',
    main: html`<header class="head split">
        <h1>Suppressions</h1>
        <p class="lede">
          ${counted(count, 'address', 'addresses')} that ${count === 1 ? 'gets' : 'get'} no mail. The list is looked at
          before each attempt, so it also holds for messages that wait.
        </p>
        <div class="acts">${dialogLink('d-add', 'Add an address…', 'primary')}</div>
      </header>
      <form
        class="filters"
        id="filters"
        method="get"
        action="/ui/suppressions"
        role="search"
        aria-label="Filter suppressions"
      >
        <div class="f grow">
          <label for="q">Address begins with</label
          ><input id="q" name="q" type="search" value="${prefix}" maxlength="320" spellcheck="false" />
        </div>
        ${select('origin', 'Added by', origin, [['', 'Anything'], ...suppressionOrigins.map((each) => [each, each] as const)])}
        <div class="acts">
          <button class="btn">Filter</button><a class="btn quiet morefilters" href="#filters">More filters</a>
        </div>
      </form>
      ${items.length === 0 && next === null ? none(count) : table('Suppressed addresses, by address', columns(visit), items)}
      <div class="pager">
        <span role="status">${counted(items.length, 'address', 'addresses')}</span>
        <div class="acts">
          ${next === null ? nothing : visit.mask ? html`<span>There are more. Filter by how the address begins.</span>` : html`<a class="btn small" href="/ui/suppressions${query({ q: prefix, origin, cursor: next })}">Next</a>`}
        </div>
      </div>
      ${dialogs(items, visit)}`,
  };
};

function none(count: number): Html {
  return count === 0
    ? empty({
        what: 'No address is suppressed.',
        next: html`Add one, or let delivery reports add those that fail for good:
          <code>suppressions.fromBounces</code>.`,
      })
    : empty({
        what: 'No suppressed address fits the filter.',
        next: html`<a href="/ui/suppressions">Show all ${counted(count, 'address', 'addresses')}</a>`,
      });
}

function columns(visit: Visit): Column<Suppression>[] {
  return [
    { head: 'Address', classes: 'any', names: true, cell: ({ address }) => recipient(address, visit) },
    { head: 'Since', classes: 'inl', cell: ({ at }) => agoTime(at, visit) },
    {
      head: 'Until',
      classes: 'inl',
      cell: ({ until }) => (until === null ? 'for good' : clockTime(until, visit, 'minutes')),
    },
    {
      head: 'Added by',
      classes: 'inl',
      cell: ({ origin, by }) => html`${origin}${by === null ? '' : html`, ${outside(by)}`}`,
    },
    {
      head: 'Reason',
      classes: 'any',
      bare: true,
      cell: ({ reason }) => (reason === null ? '–' : html`<span class="mid">${reply(reason, visit, 300)}</span>`),
    },
    {
      head: 'Actions',
      classes: 'act',
      bare: true,
      hideHead: true,
      // Where recipients are masked, the page has no address that a form could name.
      cell: ({ address }) =>
        visit.mask ? nothing : dialogLink(idOf(address), 'Remove…', 'small', `Remove… ${address}`),
    },
  ];
}

/** An id of the page: letters, digits and `_` alone. */
function idOf(address: string): string {
  return `d-remove-${Buffer.from(address).toString('hex')}`;
}

function dialogs(items: readonly Suppression[], { csrf, mask }: Visit): Content {
  return [
    dialog({
      id: 'd-add',
      title: 'Suppress an address',
      action: '/ui/suppressions/add',
      csrf,
      verb: 'Suppress it',
      stay: 'Do not',
      danger: true,
      body: html`${field({
        id: 's-address',
        label: 'Address',
        control: html`<input id="s-address" name="address" type="email" required maxlength="320" autocomplete="off" />`,
      })}
      ${reasonField('s-why', false)}
      ${select('for', 'How long', null, [
        ['', 'For good'],
        ['1d', 'A day'],
        ['30d', '30 days'],
        ['365d', 'A year'],
      ])}`,
    }),
    ...(mask ? [] : items).map(({ address }) =>
      dialog({
        id: idOf(address),
        title: 'Remove this address?',
        action: '/ui/suppressions/remove',
        csrf,
        verb: 'Remove it',
        stay: 'Keep it',
        body: html`<p class="prose">${outside(address)} gets mail again, from the next attempt on.</p>
          <input type="hidden" name="address" value="${address}" />
          ${reasonField(`why-${idOf(address)}`, false)}`,
      }),
    ),
  ];
}
