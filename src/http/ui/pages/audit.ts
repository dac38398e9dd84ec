/** The audit: who did what, through what, why, and what came of it. */
import { html } from 'hono/html';
import { auditActions, isAuditCursor, type AuditEntry } from '../../../admin/audit.ts';
import { counted } from '../format.ts';
import { hrefOfConnector, hrefOfMessage, shortId } from '../hrefs.ts';
import { clockTime, empty, mark, nothing, outside, reply, table, type Column, type Content } from '../parts.ts';
import { picked, query, select } from '../query.ts';
import type { Page, Visit } from '../visit.ts';

const pageSize = 50;

export const auditPage: Page = async (visit) => {
  const { url, operator } = visit;
  const asked = url.searchParams;
  const by = (asked.get('by') ?? '').trim().slice(0, 300);
  const target = (asked.get('target') ?? '').trim().slice(0, 300);
  const action = picked(auditActions, asked.get('action'));
  const cursor = asked.get('cursor') ?? '';
  const filter = {
    ...(by === '' ? {} : { by }),
    ...(target === '' ? {} : { target }),
    ...(action === null ? {} : { action }),
  };
  const { items, next } = await operator.audit.list(filter, isAuditCursor(cursor) ? cursor : null, pageSize);
  const isFiltered = Object.keys(filter).length > 0;
  return {
    title: 'Audit',
    place: 'audit',
    main: html`<header class="head">
        <h1>Audit</h1>
        <p class="lede">
          Who did what through the dashboard, the API or the command line, and what was refused. The last 100,000
          entries are kept and cannot be changed.
        </p>
      </header>
      <form class="filters" id="filters" method="get" action="/ui/audit" role="search" aria-label="Filter the audit">
        <div class="f grow">
          <label for="target">Connector, message or operation</label
          ><input id="target" name="target" type="search" value="${target}" maxlength="300" spellcheck="false" />
        </div>
        <div class="f"><label for="by">Who</label><input id="by" name="by" value="${by}" maxlength="300" /></div>
        ${select('action', 'What', action, [['', 'Everything'], ...auditActions.map((each) => [each, each] as const)])}
        <div class="acts">
          <button class="btn">Filter</button><a class="btn quiet" href="/ui/audit">Clear</a
          ><a class="btn quiet morefilters" href="#filters">More filters</a>
        </div>
      </form>
      ${
        items.length === 0
          ? isFiltered
            ? empty({ what: 'No entry fits the filter.', next: html`<a href="/ui/audit">Show all entries</a>` })
            : empty({
                what: 'No operator has done anything yet.',
                next: 'Each pause, replay, drop and look at content is listed here.',
              })
          : table('Audit entries, newest first', columns(visit), items)
      }
      <div class="pager">
        <span role="status">${counted(items.length, 'entry', 'entries')}, newest first</span>
        <div class="acts">
          ${next === null ? nothing : html`<a class="btn small" href="/ui/audit${query({ by, target, action, cursor: next })}">Older</a>`}
        </div>
      </div>`,
  };
};

const through = { api: 'API', ui: 'dashboard', cli: 'command line' } as const;

function columns(visit: Visit): Column<AuditEntry>[] {
  return [
    { head: 'Time', classes: 'second', bare: true, cell: ({ at }) => clockTime(at, visit) },
    { head: 'Who', classes: 'first', names: true, cell: ({ by }) => html`<b>${outside(by)}</b>` },
    {
      head: 'Through',
      classes: 'lo2',
      cell: (entry) =>
        html`<span class="mid">${through[entry.through]}${entry.client === null ? '' : `, ${entry.client}`}</span>`,
    },
    { head: 'Action', bare: true, cell: ({ action }) => action },
    { head: 'Target', classes: 'any', bare: true, cell: (entry) => targetOf(entry, visit) },
    {
      head: 'Result',
      bare: true,
      cell: ({ result }) =>
        result === 'done'
          ? mark({ family: 'ok', icon: 'accepted', word: 'done' })
          : mark({ family: 'bad', icon: 'rejected', word: result }),
    },
    {
      head: 'Details',
      classes: 'any',
      bare: true,
      cell: ({ detail }) => (detail === null ? '–' : html`<span class="mid">${reply(detail, visit, 300)}</span>`),
    },
    {
      head: 'Reason',
      classes: 'any',
      bare: true,
      cell: ({ reason }) => (reason === null ? '–' : html`“${outside(reason)}”`),
    },
  ];
}

const ofConnectors = ['pause', 'resume', 'try', 'send-via'];
const ofOperations = ['operation-rate', 'operation-stop'];

function targetOf({ target, action }: AuditEntry, visit: Visit): Content {
  if (target === null) return '–';
  if (ofConnectors.includes(action)) return html`<a href="${hrefOfConnector(target)}">${outside(target)}</a>`;
  if (ofOperations.includes(action)) return html`<a class="mono" href="/ui/operations">${shortId(target)}</a>`;
  if (action === 'suppress' || action === 'unsuppress') return reply(target, visit);
  return html`<a class="mono" href="${hrefOfMessage(target)}">${outside(shortId(target))}</a>`;
}
