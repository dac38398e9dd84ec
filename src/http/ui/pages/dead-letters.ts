/** Dead letters: in groups by reason, connector and reply, or one by one; each group leads to a preview of its replay or drop. */
import { html } from 'hono/html';
import type { DeadGroup, DeadGroups } from '../../../admin/dead-groups.ts';
import type { LetterFilter } from '../../../admin/dead-filter.ts';
import { deadReasons, type DeadLetterSummary } from '../../../queue/ledger/dead-letters.ts';
import { mayUse } from '../../api/access.ts';
import { readPlace, writePlace } from '../cursor.ts';
import { counted, number } from '../format.ts';
import { hrefOfMessage, shortId } from '../hrefs.ts';
import {
  agoTime,
  clockTime,
  empty,
  mark,
  nothing,
  outside,
  recipient,
  reply,
  table,
  type Column,
  type Content,
  type Html,
} from '../parts.ts';
import { picked, query, select } from '../query.ts';
import { connectorLink } from '../rows.ts';
import type { Page, Visit } from '../visit.ts';

const pageSize = 50;
/** Letters that are grouped at once, a third of a second: those of an incident are the newest ones. The rest is counted on request. */
const mostGrouped = 10_000;

/** What a preview is of, as fields of a form and as the address of the page. */
export interface Asked {
  readonly reason: string | null;
  /** `none`: letters that no connector had. */
  readonly connector: string | null;
  /** As a group shows it; `none`: letters without a reply. */
  readonly reply: string | null;
  readonly recipient: string | null;
}

const noReply = 'none';

export function askedOf(form: URLSearchParams): Asked {
  const text = (name: string, most: number): string | null => form.get(name)?.trim().slice(0, most) || null;
  return {
    reason: picked(deadReasons, form.get('reason')),
    connector: text('connector', 64),
    reply: text('reply', 400),
    recipient: text('recipient', 320),
  };
}

export function filterOf({ reason, connector, reply: shape, recipient: who }: Asked): LetterFilter {
  const known = picked(deadReasons, reason);
  return {
    ...(known === null ? {} : { reason: known }),
    ...(connector === null ? {} : { connector: connector === 'none' ? null : connector }),
    ...(shape === null ? {} : { reply: shape === noReply ? null : shape }),
    ...(who === null ? {} : { recipient: who }),
  };
}

export const deadLettersPage: Page = async (visit) => {
  const { url, tools, operator, token } = visit;
  const asked = askedOf(url.searchParams);
  // Groups count letters that a limited token may not see.
  const isList = url.searchParams.get('view') === 'list' || token.from !== null;
  const stats = visit.can('connectors:read') ? await visit.glance() : null;
  const filter = filterOf(asked);
  const body = isList
    ? await list(visit, filter, asked)
    : groups(
        visit,
        await operator.deadGroups(
          tools.config(),
          filter,
          ['reason', 'connector', 'reply'],
          url.searchParams.has('all') ? undefined : mostGrouped,
        ),
        asked,
      );
  const total =
    stats === null ? '' : `${counted(stats.deadLetters, 'message')} that Postlane will not try again by itself. `;
  const other = isList ? 'groups' : 'list';
  return {
    title: 'Dead letters',
    place: 'dead-letters',
    main: html`<header class="head">
        <h1>Dead letters</h1>
        <p class="lede">${total}Each is kept whole until it is replayed or dropped, or its time is over.</p>
      </header>
      <form
        class="filters"
        id="filters"
        method="get"
        action="/ui/dead-letters"
        role="search"
        aria-label="Filter dead letters"
      >
        ${isList ? html`<input type="hidden" name="view" value="list" />` : nothing}
        ${select('reason', 'Reason', asked.reason, [['', 'Any'], ...deadReasons.map((each) => [each, each] as const)])}
        <div class="f">
          <label for="connector">Connector</label
          ><input id="connector" name="connector" value="${asked.connector ?? ''}" maxlength="64" />
        </div>
        <div class="f grow">
          <label for="recipient">Recipient</label
          ><input
            id="recipient"
            name="recipient"
            type="search"
            value="${asked.recipient ?? ''}"
            maxlength="320"
            spellcheck="false"
          />
        </div>
        <div class="acts">
          <button class="btn">Filter</button
          >${token.from === null ? html`<a class="btn quiet" href="/ui/dead-letters${query({ ...asked, view: other === 'list' ? 'list' : null })}">Show as ${other}</a>` : nothing}
          <a class="btn quiet morefilters" href="#filters">More filters</a>
        </div>
      </form>
      ${body}`,
  };
};

function groups(visit: Visit, found: DeadGroups, asked: Asked): Html {
  const { groups: all, count, recipients, omitted, complete } = found;
  if (all.length === 0) return complete ? none(asked) : noneYet(asked);
  const acts = visit.can('dead:read') && visit.can('dead:write');
  const columns: Column<DeadGroup>[] = [
    {
      head: 'Reason',
      names: true,
      cell: ({ reason }) => mark({ family: 'bad', icon: iconOf(reason), word: reason ?? '–' }),
    },
    {
      head: 'Reply',
      bare: true,
      cell: (group) =>
        html`${group.reply === null ? html`<span class="soft">without a reply</span>` : html`<span class="mono">${reply(group.reply, visit, 300)}</span>`}<span
            class="sub"
            >${routeNow(group)}</span
          >`,
    },
    { head: 'Connector', cell: ({ connector }) => (connector === null ? '–' : connectorLink(connector)) },
    { head: 'Messages', classes: 'n', cell: (group) => html`<b>${number(group.count)}</b>` },
    { head: 'Recipients', classes: 'n lo', cell: (group) => number(group.recipients) },
    {
      head: 'Last',
      classes: 'lo3',
      cell: ({ lastAt, lastId }) => html`<a href="${hrefOfMessage(lastId)}">${agoTime(lastAt, visit)}</a>`,
    },
    {
      head: 'Actions',
      classes: 'act',
      bare: true,
      hideHead: true,
      cell: (group) => groupActions(group, asked, { acts, complete }, visit),
    },
  ];
  return html`${table('Dead letters, grouped by reason, connector and reply; the largest group first', columns, all)}
    <div class="pager">
      <span role="status"
        >${complete ? nothing : `Among the newest ${number(mostGrouped)}: `}${counted(count, 'message')} to
        ${counted(recipients, 'recipient')} in
        ${counted(all.length + omitted.groups, 'group')}${omitted.groups > 0 ? `; ${counted(omitted.groups, 'small group')} with ${counted(omitted.count, 'message')} are not shown` : ''}.
        ${complete ? nothing : html`<a href="/ui/dead-letters${query({ ...asked, all: 1 })}">Group all of them</a>`}</span
      >
      ${acts ? previewButtons(asked, complete ? `all ${number(count)}` : 'all of them', visit) : nothing}
    </div>`;
}

function routeNow({ wouldRouteTo, connector }: DeadGroup): string {
  if (wouldRouteTo === null) return 'no connector would send these now';
  return wouldRouteTo === connector ? '' : `${wouldRouteTo} would send these now`;
}

function iconOf(reason: string | null): string {
  const names: Readonly<Record<string, string>> = {
    expired: 'scheduled',
    uncertain: 'uncertain',
    'no-route': 'routes',
    'too-large': 'bytes',
    'invalid-message': 'note',
  };
  return names[reason ?? ''] ?? 'rejected';
}

function groupActions(
  { reason, connector, reply: shape, count }: DeadGroup,
  { recipient: who }: Asked,
  { acts, complete }: { readonly acts: boolean; readonly complete: boolean },
  visit: Visit,
): Content {
  const asked: Asked = { reason, connector: connector ?? 'none', reply: shape ?? noReply, recipient: who };
  return html`<div class="acts">
    <a class="btn small quiet" href="/ui/dead-letters${query({ ...asked, view: 'list' })}">List</a
    >${acts ? previewButtons(asked, `${complete ? '' : 'at least '}${counted(count, 'message')}`, visit, true) : nothing}
  </div>`;
}

/** Nothing happens yet: a preview follows. */
function previewButtons(asked: Asked, what: string, { csrf }: Visit, isSmall = false): Html {
  const size = isSmall ? 'small' : '';
  return html`<form class="acts" method="post" action="/ui/dead-letters/preview">
    <input type="hidden" name="csrf" value="${csrf}" />
    ${Object.entries(asked).map(([name, value]) => (value === null ? nothing : html`<input type="hidden" name="${name}" value="${value}" />`))}
    <button class="btn ${size}" name="action" value="replay" aria-label="Replay… ${what}">Replay…</button
    ><button class="btn danger ${size}" name="action" value="drop" aria-label="Drop… ${what}">Drop…</button>
  </form>`;
}

async function list(visit: Visit, filter: LetterFilter, asked: Asked): Promise<Html> {
  const { url, operator, token } = visit;
  const after = readPlace(url.searchParams.get('cursor'), ['at'], ['id']);
  const place = after === null ? null : { at: Number(after['at']), id: String(after['id']) };
  const { items, next } = await operator.deadPage(filter, place, pageSize, ({ from }) => mayUse(token, from ?? null));
  if (items.length === 0 && next === null) return none(asked);
  const columns: Column<DeadLetterSummary>[] = [
    { head: 'Died', classes: 'second', bare: true, cell: ({ at }) => clockTime(at, visit) },
    {
      head: 'Reason',
      classes: 'first',
      bare: true,
      cell: ({ reason }) => mark({ family: 'bad', icon: iconOf(reason), word: reason }),
    },
    {
      head: 'To',
      names: true,
      classes: 'any',
      cell: ({ id, recipients }) =>
        html`<a href="${hrefOfMessage(id)}"
            >${recipients[0] === undefined ? shortId(id) : recipient(recipients[0].address, visit)}</a
          >${recipients.length > 1 ? html` <span class="soft">and ${number(recipients.length - 1)} more</span>` : nothing}`,
    },
    { head: 'From', classes: 'any inl', cell: ({ from }) => (from ? outside(from) : '–') },
    {
      head: 'Connector',
      classes: 'inl',
      cell: ({ connector }) => (connector === null ? '–' : connectorLink(connector)),
    },
    {
      head: 'Reply',
      classes: 'any',
      bare: true,
      cell: (letter) =>
        letter.reply === null ? '–' : html`<span class="mid">${reply(letter.reply, visit, 200)}</span>`,
    },
    { head: 'Id', classes: 'lo2', cell: ({ id }) => html`<span class="mono soft nowrap">${shortId(id)}</span>` },
  ];
  return html`${table('Dead letters, newest first', columns, items)}
    <div class="pager">
      <span role="status">${counted(items.length, 'message')}, newest first</span>
      <div class="acts">
        ${next === null ? nothing : html`<a class="btn small" href="/ui/dead-letters${query({ ...asked, view: 'list', cursor: writePlace(next) })}">Older</a>`}
      </div>
    </div>`;
}

function noneYet(asked: Asked): Html {
  return empty({
    what: `None of the newest ${number(mostGrouped)} dead letters fits the filter.`,
    next: html`<a href="/ui/dead-letters${query({ ...asked, all: 1 })}">Look through all of them</a>, which may take
      some seconds.`,
  });
}

function none(asked: Asked): Html {
  const isFiltered = Object.values(asked).some((value) => value !== null);
  return isFiltered
    ? empty({
        what: 'No dead letter fits the filter.',
        next: html`<a href="/ui/dead-letters">Show all dead letters</a>`,
      })
    : empty({
        what: 'There are no dead letters.',
        next: 'A message that is not tried again by itself is kept here, whole, with the reason.',
      });
}
