/** Events, as they happen: the script fills the table from the stream of the server. */
import { html } from 'hono/html';
import { empty, icon, nothing } from '../parts.ts';
import { picked, select } from '../query.ts';
import type { Page } from '../visit.ts';

export const eventsPage: Page = ({ url }) => {
  const asked = url.searchParams;
  const type = picked(['message.', 'connector.', 'config.'] as const, asked.get('type'));
  const connector = (asked.get('connector') ?? '').trim().slice(0, 64);
  const isQuiet = asked.get('level') === 'quiet';
  return Promise.resolve({
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
            ${icon('pause')}Pause the feed
          </button>
        </div>
      </form>
      <p class="vh" role="status">Live feed. Events are not announced.</p>
      <div class="tbl-wrap" id="stream">
        <table class="tbl stack" role="table" hidden>
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
            ${isQuiet ? html`data-quiet="1"` : nothing}
          ></tbody>
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
      <div id="stream-none">
        ${empty({ what: 'Nothing has happened since you opened this page.', next: 'Events appear here without a reload. Without JavaScript, follow them with the API.' })}
      </div>`,
  });
};
