/** What a replay or a drop of many dead letters would do, before it does: counts, samples, rate, connector and reason; the button says the count. */
import { html } from 'hono/html';
import { maxRatePerSecond, minRatePerSecond } from '../../../admin/bulk.ts';
import { sends } from '../../../routing/connector.ts';
import type { BulkKind } from '../../../admin/dead-preview.ts';
import { clock, counted, number } from '../format.ts';
import { hrefOfMessage, shortId } from '../hrefs.ts';
import {
  clockTime,
  empty,
  icon,
  nothing,
  outside,
  reasonField,
  reply,
  section,
  table,
  type Column,
  type Content,
  type Html,
} from '../parts.ts';
import { connectorLink } from '../rows.ts';
import type { Shown, Visit } from '../visit.ts';
import type { Asked } from './dead-letters.ts';

type Preview = Awaited<ReturnType<Visit['operator']['preview']>>;
type Sample = Preview['samples'][number];

/** With more messages, the count is typed before it begins. */
export const confirmedFrom = 100;
const usualRatePerSecond = 20;

const exclusionWords: Readonly<Record<string, string>> = {
  held: 'They may have arrived: resolve each of them.',
  unreadable: 'Their content cannot be enqueued.',
  'invalid-message': 'They would be refused again. Filter by this reason to replay them all the same.',
  'no-route': 'No connector would send them: choose one.',
};

export function previewPage(kind: BulkKind, asked: Asked, via: string | null, preview: Preview, visit: Visit): Shown {
  const { count, excluded, samples } = preview;
  const verb = kind === 'replay' ? 'Replay' : 'Drop';
  const what = counted(count, 'message');
  return {
    title: `${verb} ${what}`,
    place: 'dead-letters',
    main: html`<header class="head">
        <p class="crumb"><a href="/ui/dead-letters">Dead letters</a></p>
        <h1>${verb} ${what}</h1>
        <ol class="steps" aria-label="Steps">
          <li class="done"><a href="/ui/dead-letters">Select</a></li>
          <li aria-current="step">Review</li>
          <li>Run</li>
        </ol>
      </header>
      <div class="cols">
        <div>
          ${section({ id: 'sel', title: 'Selection' }, html`<p class="prose">${selectionWords(asked)} Later dead letters are not included. The selection is valid until ${clock(preview.expiresAt, visit.now, visit.zone)}.</p>`)}
          ${
            count === 0
              ? empty({ what: `There is nothing to ${kind}.`, next: 'The reasons are beside it.' })
              : section({ id: 'how', title: 'Options' }, optionsOf(kind, via, preview, visit))
          }
          ${samples.length === 0 ? nothing : section({ id: 'sam', title: 'Samples', note: `${number(samples.length)} of ${number(count)}` }, samplesOf(samples, visit))}
        </div>
        <div>
          ${receipt(kind, preview)}
          ${
            excluded.length === 0
              ? nothing
              : section(
                  {
                    id: 'out',
                    title: 'Skipped',
                    note: counted(
                      excluded.reduce((sum, each) => sum + each.count, 0),
                      'message',
                    ),
                  },
                  html`<ul class="can">
                    ${excluded.map(
                      ({ reason, count: skipped }) =>
                        html`<li class="no">
                          ${icon('cross')}<b>${number(skipped)}: ${reason}</b>
                          <p>${exclusionWords[reason] ?? ''}</p>
                        </li>`,
                    )}
                  </ul>`,
                )
          }
          ${kind === 'replay' && count > 0 ? viaSection(asked, via, preview, visit) : nothing}
        </div>
      </div>`,
  };
}

function selectionWords({ reason, connector, reply: shape, recipient }: Asked): Html {
  const parts = [
    reason === null ? null : html`reason <b>${reason}</b>`,
    connector === null ? null : connector === 'none' ? 'without a connector' : html`of <b>${outside(connector)}</b>`,
    shape === null
      ? null
      : shape === 'none'
        ? 'without a reply'
        : html`with <span class="mono">${outside(shape)}</span>`,
    recipient === null ? null : html`to <b>${outside(recipient)}</b>`,
  ].filter((part) => part !== null);
  if (parts.length === 0) return html`<b>All</b> dead letters of now.`;
  return html`Dead letters ${parts.map((part, i) => html`${i === 0 ? '' : ', '}${part}`)}.`;
}

function optionsOf(kind: BulkKind, via: string | null, { count, selection }: Preview, { csrf }: Visit): Html {
  const verb = kind === 'replay' ? 'Replay' : 'Drop';
  const confirm =
    count < confirmedFrom
      ? nothing
      : html`<div class="f">
          <label for="num">Type the number of messages to confirm</label
          ><input
            class="w6"
            id="num"
            name="confirm"
            inputmode="numeric"
            required
            pattern="${count}"
            autocomplete="off"
          />
        </div>`;
  return html`<form class="form" method="post" action="/ui/dead-letters/${kind}">
    <input type="hidden" name="csrf" value="${csrf}" /><input type="hidden" name="selection" value="${selection}" />
    <input
      type="hidden"
      name="count"
      value="${count}"
    />${via === null ? nothing : html`<input type="hidden" name="via" value="${via}" />`}
    <div class="f">
      <label for="rate">Rate</label
      ><span class="withunit"
        ><input
          class="w6"
          id="rate"
          name="rate"
          type="number"
          min="${minRatePerSecond}"
          max="${maxRatePerSecond}"
          step="any"
          value="${usualRatePerSecond}"
          aria-describedby="rate-h"
        />
        messages a second</span
      ><span class="hint" id="rate-h"
        >The limits of each connector apply as well. You can stop it, or change the rate, at any time.</span
      >
    </div>
    ${reasonField('why', kind === 'drop')} ${confirm}
    <div class="acts">
      <button class="btn ${kind === 'drop' ? 'danger' : 'primary'}">${verb} ${counted(count, 'message')}</button
      ><a class="btn" href="/ui/dead-letters">${kind === 'drop' ? 'Keep' : 'Back'}</a>
    </div>
  </form>`;
}

function receipt(
  kind: BulkKind,
  { selected, count, recipients, byConnector, excluded, possibleDuplicates }: Preview,
): Html {
  const line = (name: Content, value: Content, classes = ''): Html =>
    html`<div class="${classes}">
      <dt>${name}</dt>
      <dd>${value}</dd>
    </div>`;
  return html`<section class="sec" aria-labelledby="h-rec">
    <div class="receipt">
      <header>
        <h2 id="h-rec">${kind === 'replay' ? 'Replay' : 'Drop'}</h2>
        <span class="st idle">${icon('pending')}nothing done yet</span>
      </header>
      <dl>
        ${line('Selected', counted(selected, 'message'))}
        ${excluded.map(({ reason, count: skipped }) => line(`Skipped, ${reason}`, number(skipped)))}
        ${line(kind === 'replay' ? 'To send' : 'To delete', counted(count, 'message'), 'sum')}
        ${line(kind === 'replay' ? 'to recipients' : 'for recipients', number(recipients), 'in')}
        ${byConnector.slice(0, 12).map((each) => line(html`${kind === 'replay' ? 'through' : 'of'} ${each.connector === null ? 'no connector' : connectorLink(each.connector)}`, number(each.count), 'in'))}
        ${kind === 'replay' ? line('Possible duplicates', possibleDuplicates === 0 ? 'none' : number(possibleDuplicates)) : nothing}
        ${kind === 'replay' ? line('Ids and Message-IDs', 'unchanged') : nothing}
        ${kind === 'replay' ? line('Lifetime', 'begins again') : nothing}
      </dl>
    </div>
  </section>`;
}

function viaSection(asked: Asked, via: string | null, { viaCandidates }: Preview, { csrf, tools }: Visit): Html {
  const senders = tools.config().connectors.filter(({ direction }) => sends(direction));
  const hidden = Object.entries(asked).map(([name, value]) =>
    value === null ? nothing : html`<input type="hidden" name="${name}" value="${value}" />`,
  );
  return section(
    { id: 'via', title: 'Send through' },
    html`<form class="kit" method="post" action="/ui/dead-letters/preview">
      <input type="hidden" name="csrf" value="${csrf}" /><input type="hidden" name="action" value="replay" />${hidden}
      <div class="f">
        <label for="via">Connector, for all of them</label
        ><select id="via" name="via">
          <option value="">that of each From</option>
          ${senders.slice(0, 1_000).map(({ id }) => html`<option value="${id}" ${id === via ? html`selected` : nothing}>${id}${viaCandidates.includes(id) ? '' : ' (may not be allowed to)'}</option>`)}
        </select>
      </div>
      <div class="acts"><button class="btn">Preview with it</button></div>
    </form>`,
  );
}

function samplesOf(samples: readonly Sample[], visit: Visit): Html {
  const columns: Column<Sample>[] = [
    {
      head: 'Message',
      names: true,
      classes: 'any',
      cell: ({ id }) => html`<a class="mono" href="${hrefOfMessage(id)}">${shortId(id)}</a>`,
    },
    { head: 'From', classes: 'any inl', cell: ({ from }) => (from === null ? '–' : outside(from)) },
    { head: 'Recipients', classes: 'n inl', cell: ({ recipients }) => number(recipients) },
    { head: 'Dead since', classes: 'inl', cell: ({ at }) => clockTime(at, visit, 'minutes') },
    {
      head: 'Reply',
      classes: 'any',
      bare: true,
      cell: (letter) =>
        letter.reply === null ? '–' : html`<span class="mid">${reply(letter.reply, visit, 160)}</span>`,
    },
  ];
  return table('Samples of what is selected', columns, samples);
}
