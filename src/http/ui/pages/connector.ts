/** One connector: its lane, what its server said, its limits and settings, and what may be done with it. */
import { html } from 'hono/html';
import type { ConnectorRow } from '../../../admin/connector-row.ts';
import { sends } from '../../../routing/connector.ts';
import { mailboxKey, type MailboxView } from '../../../queue/mailboxes.ts';
import { clock, counted, number, relative, span } from '../format.ts';
import { markOf } from '../marks.ts';
import {
  agoTime,
  chip,
  clockTime,
  empty,
  facts,
  icon,
  mark,
  nothing,
  outside,
  reply,
  section,
  type Content,
  type Html,
} from '../parts.ts';
import { concurrencyOf, deadlineText, laneOf, whyOf } from '../rows.ts';
import type { Page, Visit } from '../visit.ts';
import { buttons, dialogs } from './connector-dialogs.ts';
import { limits, settings } from './connector-facts.ts';
import { notFound } from './not-found.ts';

export const connectorPage: Page = async (visit, [id = '']) => {
  const { operator, tools, can } = visit;
  const row = await operator.connector(tools.config(), id);
  if (row === null) return notFound(`No connector has the id ${id}.`);
  const activity = can('audit:read') ? await operator.audit.list({ target: id }, null, 6) : null;
  const reports = await readReports(id, visit);
  const acts = row.direction !== null && sends(row.direction) && can('connectors:write');
  return {
    title: id,
    place: 'connectors',
    main: html`<header class="head split">
        <p class="crumb"><a href="/ui/connectors">Connectors</a></p>
        <div class="head-row">
          <h1>${id}</h1>
          ${chip(markOf(row))}
        </div>
        <p class="verdict">${verdict(row, visit)}</p>
        ${acts ? html`<div class="acts">${buttons(row, visit)}</div>` : nothing}
      </header>
      ${row.state === 'incoming' ? nothing : laneFigure(row, visit)}
      <div class="cols">
        <div>
          ${section({ id: 'said', title: 'What holds it up', note: 'as its server said' }, said(row, visit))}
          ${
            can('messages:read')
              ? section(
                  {
                    id: 'wait',
                    title: 'Its messages',
                    end: html`<a href="/ui/messages?connector=${id}">Messages of ${id}</a>`,
                  },
                  html`<p class="prose">
                    ${counted(row.waiting, 'message')} ${row.waiting === 1 ? 'waits' : 'wait'}, ${number(row.delayed)}
                    for a later time; ${number(row.sent)} sent since its lane was created.
                  </p>`,
                )
              : nothing
          }
        </div>
        <div>
          ${section({ id: 'lim', title: 'Limits', note: 'over all workers' }, limits(row))}
          ${section({ id: 'set', title: 'Settings', note: 'from the configuration' }, settings(row, visit))}
          ${reports.length === 0 ? nothing : section({ id: 'mbox', title: 'Delivery reports' }, html`${reports.map((each) => mailboxOf(each, visit))}`)}
          ${activity === null ? nothing : section({ id: 'act', title: 'Activity', end: html`<a href="/ui/audit?target=${id}">Audit</a>` }, activityOf(activity.items, visit))}
        </div>
      </div>
      ${acts ? dialogs(row, visit) : nothing}`,
  };
};

function verdict(row: ConnectorRow, visit: Visit): Html {
  const { state, waiting, delayed, nextDeadlineAt: first } = row;
  const ends = first === null ? nothing : html` The first one expires ${deadlineText(first, visit)}.`;
  const count = waiting + delayed;
  const wait = count === 0 ? 'Nothing is waiting.' : `${counted(count, 'message')} ${count === 1 ? 'waits' : 'wait'}.`;
  if (state === 'incoming') return html`<b>It never sends:</b> its direction is incoming.`;
  if (state === 'idle') return html`<b>It is idle.</b> ${wait}`;
  if (state === 'sending' || state === 'limited') return html`<b>It is sending.</b> ${wait}${ends}`;
  if (state === 'paused') {
    const until = row.pause?.until ? ` until ${clock(row.pause.until, visit.now, visit.zone)}` : '';
    return html`<b>It is paused${until}.</b> ${wait}${ends}`;
  }
  const { fallback } = row;
  const away =
    fallback === null || fallback.since === null
      ? nothing
      : html` Its mail goes by ${outside(fallback.to.join(', '))} since ${clock(fallback.since, visit.now, visit.zone)}:
        ${counted(fallback.messages, 'message')}.`;
  return html`<b>It is held up: ${markOf(row).word}.</b>${away} ${wait}${ends}`;
}

function laneFigure(row: ConnectorRow, visit: Visit): Html {
  const { waiting, delayed, active, oldestWaitingAt, limits: set } = row;
  const configured = set?.concurrency ?? concurrencyOf(row);
  return html`<section class="sec" aria-labelledby="h-lane">
    <h2 class="vh" id="h-lane">Lane</h2>
    <figure class="lanefig">
      ${laneOf(row)}
      <figcaption>
        <span
          ><b>${number(waiting)}</b>
          waiting${oldestWaitingAt === null ? '' : `, oldest ${span(visit.now - oldestWaitingAt)}`}</span
        ><span><b>${number(delayed)}</b> delayed</span
        ><span
          ><b>${number(active)}</b> sending, <b>${number(concurrencyOf(row))}</b> allowed at a time,
          ${number(configured)} configured</span
        >
      </figcaption>
    </figure>
  </section>`;
}

function said(row: ConnectorRow, visit: Visit): Html {
  const { faults, suspect, pause } = row;
  const why = whyOf(row, visit);
  if (why === null) {
    return empty({
      what: 'Nothing holds it up.',
      next: 'A fault is listed here with its reply until a message is accepted again.',
    });
  }
  const entry = (at: number | null, family: string, name: string, title: Content, text: string | null): Html =>
    html`<li>
      <span class="when">${at === null ? '' : clockTime(at, visit)}</span
      ><span class="dot ${family}">${icon(name)}</span>
      <div class="what">
        <h3>${title}</h3>
        ${text === null ? nothing : html`<div class="reply ${family}"><samp>${reply(text, visit)}</samp></div>`}
      </div>
    </li>`;
  const again = (until: number): Content =>
    until > visit.now ? html`tried again ${relative(until, visit.now)}` : 'it is tried again now';
  return html`<ol class="tl">
    ${pause === null ? nothing : entry(pause.at, 'idle', 'pause', html`Paused by ${outside(pause.by ?? 'another program')} <span class="soft">${pause.reason === null ? '' : outside(pause.reason)}</span>`, null)}
    ${faults.map((fault) =>
      entry(
        fault.since,
        'bad',
        'fault',
        html`${markOf({ state: 'fault', faults: [fault] }).word}
          <span class="soft">${counted(fault.count, 'time')} in a row; ${again(fault.until)}</span>`,
        fault.reply,
      ),
    )}
    ${
      suspect === null
        ? nothing
        : entry(
            suspect.since,
            'wait',
            'deferred',
            html`Refused, and not clear whose fault
              <span class="soft">${counted(suspect.setAside, 'message')} set aside until others show it</span>`,
            suspect.reply,
          )
    }
    ${pause === null && faults.length === 0 && suspect === null ? entry(null, 'wait', 'slow', why, null) : nothing}
  </ol>`;
}

interface ReportSource extends MailboxView {
  readonly name: string;
}

/** The mailboxes where reports to this connector are read. */
async function readReports(id: string, { operator, tools }: Visit): Promise<ReportSource[]> {
  const { bounces = [] } = tools.config().connectors.find((each) => each.id === id) ?? {};
  return Promise.all(
    bounces.map(async (mailbox) => {
      const address = mailbox.protocol === 'imap' ? null : mailbox.address;
      const name = mailbox.protocol === 'imap' ? `IMAP, ${mailbox.login.host}` : `Graph, ${mailbox.address}`;
      return { name, ...(await operator.mailboxes.view(mailboxKey(id, address))) };
    }),
  );
}

function mailboxOf({ name, readAt, dueAt, failures }: ReportSource, visit: Visit): Html {
  const state =
    failures > 0
      ? mark({ family: 'bad', icon: 'fault', word: `${counted(failures, 'failure')} in a row` })
      : readAt === null
        ? mark({ family: 'idle', icon: 'idle', word: 'not read yet' })
        : mark({ family: 'ok', icon: 'accepted', word: 'read' });
  return facts([
    ['Mailbox', outside(name)],
    ['State', state, failures > 0 ? 'the log of the worker says why' : ''],
    ['Last read', readAt === null ? 'never' : agoTime(readAt, visit)],
    ['Next', dueAt === null ? 'once a worker runs' : dueAt <= visit.now ? 'now' : clockTime(dueAt, visit)],
    ['Came back', html`<a href="/ui/messages?bounced=1">Messages that came back</a>`],
  ]);
}

type Entries = Awaited<ReturnType<Visit['operator']['audit']['list']>>['items'];

function activityOf(entries: Entries, visit: Visit): Html {
  if (entries.length === 0)
    return empty({ what: 'No operator has done anything with it.', next: 'Pauses and tries are listed here.' });
  return html`<ul class="can">
    ${entries.map(
      ({ by, action, reason, detail, at, result }) =>
        html`<li class="no">
          ${icon('person')}<b>${outside(by)}: ${action}${result === 'done' ? '' : `, ${result}`}</b>
          <p>
            ${reason === null ? nothing : html`“${outside(reason)}”, `}${detail === null ? nothing : html`${reply(detail, visit, 160)}, `}${clockTime(at, visit)}
          </p>
        </li>`,
    )}
  </ul>`;
}
