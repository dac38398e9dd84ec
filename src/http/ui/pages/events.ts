/** Events: the last ones that are kept, and then as they happen; the script adds rows from the stream of the server. */
import { html } from 'hono/html';
import type { StoredEvent } from '../../../queue/journal/events.ts';
import { mayUse } from '../../api/access.ts';
import { clock, number } from '../format.ts';
import { hrefOfMessage, shortId } from '../hrefs.ts';
import { empty, icon, nothing, outside, reply, time, type Content, type Html } from '../parts.ts';
import { picked, select } from '../query.ts';
import { connectorLink } from '../rows.ts';
import type { Page, Visit } from '../visit.ts';

/** Of the journal; and how many of them are looked at where a filter or a token leaves some out. */
const mostShown = 100;
const mostLooked = 500;

interface Filter {
  readonly type: string | null;
  readonly connector: string;
  readonly isQuiet: boolean;
}

export const eventsPage: Page = async (visit) => {
  const asked = visit.url.searchParams;
  const type = picked(['message.', 'connector.', 'config.'] as const, asked.get('type'));
  const connector = (asked.get('connector') ?? '').trim().slice(0, 64);
  const isQuiet = asked.get('level') === 'quiet';
  const events = await recent({ type, connector, isQuiet }, visit);
  const none = events.length === 0;
  return {
    title: 'Events',
    place: 'events' as const,
    main: html`<header class="head">
        <h1>Events</h1>
        <p class="lede">
          What happens, as it happens. An event is written together with the state that it reports, so it may come late
          and is never missing.
        </p>
      </header>
      <form class="filters" id="filters" method="get" action="/ui/events" role="search" aria-label="Filter events">
        ${select('level', 'Level', isQuiet ? 'quiet' : null, [
          ['', 'All'],
          ['quiet', 'Without successful sends'],
        ])}
        ${select('type', 'Type', type, [
          ['', 'All'],
          ['message.', 'message'],
          ['connector.', 'connector'],
          ['config.', 'configuration'],
        ])}
        <div class="f grow">
          <label for="connector">Connector</label
          ><input id="connector" name="connector" value="${connector}" maxlength="64" />
        </div>
        <div class="acts">
          <button class="btn">Filter</button
          ><button class="btn js-only" type="button" data-feed aria-pressed="false">
            ${icon('pause')}Pause the feed</button
          ><a class="btn quiet morefilters" href="#filters">More filters</a>
        </div>
      </form>
      <p class="vh" role="status">Live feed. Events are not announced.</p>
      <div class="tbl-wrap" id="stream">
        <table class="tbl stack" role="table" ${none ? html`hidden` : nothing}>
          <caption class="vh">
            Events, newest first
          </caption>
          <thead role="rowgroup">
            <tr role="row">
              <th role="columnheader" scope="col">Time</th>
              <th role="columnheader" scope="col">Event</th>
              <th role="columnheader" scope="col">Connector</th>
              <th role="columnheader" scope="col">What</th>
              <th role="columnheader" scope="col">Message</th>
            </tr>
          </thead>
          <tbody
            role="rowgroup"
            data-type="${type ?? ''}"
            data-connector="${connector}"
            data-families="${JSON.stringify(families)}"
            ${visit.mask ? html`data-mask="1"` : nothing}
            ${isQuiet ? html`data-quiet="1"` : nothing}
          >
            ${events.map((event) => rowOf(event, visit))}
          </tbody>
        </table>
        <template id="stream-row"
          ><tr role="row" class="new">
            <td role="cell" class="mid second bare" data-label="Time" data-of="time"></td>
            <th role="rowheader" scope="row" class="first"><span class="st" data-of="event"></span></th>
            <td role="cell" class="full inl" data-label="Connector"><a data-of="connector"></a></td>
            <td role="cell" class="full bare any" data-label="What"><bdi data-of="what"></bdi></td>
            <td role="cell" class="full any" data-label="Message"><a class="mono" data-of="message"></a></td></tr
        ></template>
      </div>
      <div id="stream-none" ${none ? nothing : html`hidden`}>
        ${empty({ what: 'No event is kept.', next: 'New events appear here without a reload. Events are written while a client listens or a webhook is configured, and are removed once every reader has read them.' })}
      </div>`,
  };
};

async function recent(filter: Filter, { operator, tools, token, can }: Visit): Promise<StoredEvent[]> {
  const found = (await operator.events.recent(mostLooked)).filter((event) => fits(event, filter));
  if (token.from === null) {
    const seesConnectors = can('connectors:read');
    return found.filter((event) => 'sequence' in event || seesConnectors).slice(0, mostShown);
  }
  // A token of some senders sees their messages alone.
  const own: StoredEvent[] = [];
  for (const event of found.slice(0, mostShown)) {
    if (!('sequence' in event)) continue;
    if (mayUse(token, (await tools.producer.status(event.id))?.from ?? null)) own.push(event);
  }
  return own;
}

function fits(event: StoredEvent, { type, connector, isQuiet }: Filter): boolean {
  if (type !== null && !event.type.startsWith(type)) return false;
  if (connector !== '' && (!('connector' in event) || event.connector !== connector)) return false;
  return !(isQuiet && /\.(?:sent|accepted)$/.test(event.type));
}

/** How an event is marked, by its name without its object; live.js has them from the page. */
const families: Readonly<Record<string, string>> = {
  sent: 'ok',
  recovered: 'ok',
  deferred: 'wait',
  'set-aside': 'wait',
  uncertain: 'doubt',
  held: 'doubt',
  dead: 'bad',
  partial: 'bad',
  bounced: 'bad',
  fault: 'bad',
  rejected: 'bad',
  gap: 'bad',
};

function rowOf(event: StoredEvent, visit: Visit): Html {
  const kind = event.type.replace(/^(?:message|connector|config)\./, '');
  const connector = 'connector' in event ? event.connector : null;
  return html`<tr role="row">
    <td role="cell" class="mid second bare" data-label="Time">
      ${time(event.at, clock(event.at, visit.now, visit.zone, 'seconds'), visit)}
    </td>
    <th role="rowheader" scope="row" class="first"><span class="st ${families[kind] ?? 'idle'}">${kind}</span></th>
    <td role="cell" class="full inl${connector === null ? ' gone' : ''}" data-label="Connector">
      ${connector === null ? '–' : connectorLink(connector)}
    </td>
    <td role="cell" class="full bare any" data-label="What">${whatOf(event, visit)}</td>
    <td role="cell" class="full any${'sequence' in event ? '' : ' gone'}" data-label="Message">
      ${'sequence' in event ? html`<a class="mono" href="${hrefOfMessage(event.id)}">${outside(shortId(event.id))}</a>` : '–'}
    </td>
  </tr>`;
}

function whatOf(event: StoredEvent, visit: Visit): Content {
  if (event.type === 'gap') return `${number(event.dropped)} events at most are missing here`;
  if ('sequence' in event) return reply(event.detail ?? event.reason ?? event.state, visit, 400);
  const { detail, reason, reply: said } = event.data;
  return reply(detail ?? reason ?? said ?? '', visit, 400);
}
