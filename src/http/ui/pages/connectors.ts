/** All connectors, the ones in trouble first. */
import { html } from 'hono/html';
import { connectorSorts, type ConnectorsAsked } from '../../../admin/connectors.ts';
import { connectorStates, type ConnectorState } from '../../../admin/trouble.ts';
import { readPlace, writePlace } from '../cursor.ts';
import { counted, number } from '../format.ts';
import { connectorMarks } from '../marks.ts';
import { empty, icon, nothing, table, type Column, type Html } from '../parts.ts';
import { picked, query, select } from '../query.ts';
import { deadlineColumn, laneColumn, limitsColumn, nameColumn, oldestColumn, statusColumn } from '../rows.ts';
import { heldUpIn, type Page } from '../visit.ts';
import type { ConnectorRow } from '../../../admin/connector-row.ts';

const pageSize = 100;

export const connectorsPage: Page = async (visit) => {
  const { operator, tools, url } = visit;
  const asked = url.searchParams;
  const state = picked(connectorStates, asked.get('state'));
  const transport = picked(['smtp', 'graph'] as const, asked.get('transport'));
  const direction = picked(['incoming', 'outgoing', 'both'] as const, asked.get('direction'));
  const sort = picked(connectorSorts, asked.get('sort')) ?? 'trouble';
  const text = (asked.get('q') ?? '').slice(0, 200);
  const filter: ConnectorsAsked = {
    sort,
    after: readPlace(asked.get('cursor'), ['key', 'second'], ['id']) as ConnectorsAsked['after'],
    limit: pageSize,
    ...(state === null ? {} : { state }),
    ...(transport === null ? {} : { transport }),
    ...(direction === null ? {} : { direction }),
    ...(text === '' ? {} : { text }),
  };
  const { items, next, count, states } = await operator.connectors(tools.config(), filter);
  const all = Object.values(states).reduce((sum, each) => sum + each, 0);
  const held = heldUpIn(states);
  const columns: Column<ConnectorRow>[] = [
    nameColumn(),
    laneColumn,
    statusColumn(visit),
    limitsColumn,
    oldestColumn(visit),
    deadlineColumn(visit),
    { head: 'Sent', classes: 'n lo', cell: ({ sent }) => number(sent) },
  ];
  const keep = { q: text, transport, direction, sort: sort === 'trouble' ? null : sort, state };
  return {
    title: 'Connectors',
    place: 'connectors',
    main: html`<header class="head">
        <h1>Connectors</h1>
        <p class="lede">
          ${held === 0 ? 'No connector is held up.' : `${counted(held, 'connector')} ${held === 1 ? 'is' : 'are'} held up.`}
          ${all - held > 0 ? `${held === 0 ? 'All' : 'The other'} ${number(all - held)} are sending, idle, or only receive.` : ''}
        </p>
      </header>
      ${segments(states, all, state)}
      <form
        class="filters"
        id="filters"
        method="get"
        action="/ui/connectors"
        role="search"
        aria-label="Filter connectors"
      >
        ${state === null ? nothing : html`<input type="hidden" name="state" value="${state}" />`}
        <div class="f grow">
          <label for="q">Id, address or server</label
          ><input id="q" name="q" type="search" value="${text}" maxlength="200" placeholder="sales, smtp.example.com" />
        </div>
        ${select('transport', 'Transport', transport, [
          ['', 'Graph and SMTP'],
          ['graph', 'Graph'],
          ['smtp', 'SMTP'],
        ])}
        ${select('direction', 'Direction', direction, [
          ['', 'All'],
          ['outgoing', 'outgoing'],
          ['both', 'both'],
          ['incoming', 'incoming'],
        ])}
        ${select('sort', 'Sort by', sort, [
          ['trouble', 'Worst first'],
          ['waiting', 'Most waiting'],
          ['id', 'Id'],
        ])}
        <div class="acts">
          <button class="btn">Filter</button><a class="btn quiet morefilters" href="#filters">More filters</a>
        </div>
      </form>
      ${
        items.length === 0
          ? empty({
              what: 'No connector fits the filter.',
              next: html`<a href="/ui/connectors">Show all ${counted(all, 'connector')}</a>`,
            })
          : table(`Connectors, ${sort === 'trouble' ? 'worst first' : `by ${sort}`}`, columns, items)
      }
      <div class="pager">
        <span role="status">${number(items.length)} of ${number(count)}</span>
        <div class="acts">
          ${next === null ? nothing : html`<a class="btn small" href="/ui/connectors${query({ ...keep, cursor: writePlace(next) })}">Next</a>`}
        </div>
      </div>`,
  };
};

function segments(
  states: Readonly<Partial<Record<ConnectorState, number>>>,
  all: number,
  current: ConnectorState | null,
): Html {
  const shown = connectorStates.filter((state) => (states[state] ?? 0) > 0 || state === current);
  return html`<nav class="seg" aria-label="Status">
    <a href="/ui/connectors" ${current === null ? html`aria-current="true"` : nothing}>All <b>${number(all)}</b></a>
    ${shown.map((state) => {
      const { icon: name, word } = connectorMarks[state];
      return html`<a href="/ui/connectors?state=${state}" ${state === current ? html`aria-current="true"` : nothing}
        >${icon(name)}${word} <b>${number(states[state] ?? 0)}</b></a
      >`;
    })}
  </nav>`;
}
