/** One webhook: how it stands with it, what could not be delivered, and what may be done. */
import { html } from 'hono/html';
import type { DeadDelivery } from '../../../queue/deliveries/deliveries.ts';
import { counted, number, relative, span } from '../format.ts';
import { hrefOfMessage, hrefOfWebhook, shortId } from '../hrefs.ts';
import {
  agoTime,
  chip,
  clockTime,
  dialog,
  dialogLink,
  empty,
  facts,
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
import type { Page, Visit } from '../visit.ts';
import { notFound } from './not-found.ts';
import { markOfWebhook, originOf, readWebhooks, whyOfWebhook, type WebhookRow } from './webhooks.ts';

/** Dead letters that are shown. */
const mostShown = 50;

export const webhookPage: Page = async (visit, [id = '']) => {
  const row = (await readWebhooks(visit)).find((each) => each.id === id);
  if (row === undefined) return notFound(`No webhook has the id ${id}.`);
  // Events do not say whose message they are about.
  const sees = visit.can('messages:read') && visit.token.from === null;
  const letters = sees ? await visit.operator.webhooks.deadLetters(id, mostShown) : [];
  const acts = visit.can('connectors:write') && visit.token.from === null;
  return {
    title: id,
    place: 'webhooks',
    main: html`<header class="head split">
        <p class="crumb"><a href="/ui/webhooks">Webhooks</a></p>
        <div class="head-row">
          <h1>${outside(id)}</h1>
          ${chip(markOfWebhook(row))}
        </div>
        <p class="verdict">${verdict(row, visit)}</p>
        ${acts ? html`<div class="acts">${buttons(row)}</div>` : nothing}
      </header>
      <div class="cols">
        <div>
          ${section(
            {
              id: 'dead',
              title: 'Dead letters',
              note: letters.length === 0 ? '' : `the newest ${number(letters.length)} of ${number(row.deadLetters)}`,
            },
            deadLetters(row, letters, { sees, acts }, visit),
          )}
        </div>
        <div>${section({ id: 'how', title: 'How it stands' }, standing(row, visit))}</div>
      </div>
      ${acts ? dialogs(row, letters, visit) : nothing}`,
  };
};

function verdict(row: WebhookRow, { now }: Visit): Html {
  const { endpoint, off, offAt, open, oldestAt, failures, failingSince } = row;
  const waits = open === 0 ? 'No event waits.' : `${counted(open, 'event')} ${open === 1 ? 'waits' : 'wait'}.`;
  const oldest = oldestAt === null ? '' : ` The oldest is from ${relative(oldestAt, now)}.`;
  if (endpoint === null) return html`<b>It is not in the configuration.</b> What is kept of it can be forgotten.`;
  if (off !== null) {
    const since = offAt === null ? '' : ` ${relative(offAt, now)}`;
    return html`<b>It was switched off${since}: ${whyOfWebhook(row)}.</b> New events are not kept for it. ${waits}`;
  }
  if (failures > 0) {
    const since = failingSince === null ? '' : ` since ${span(now - failingSince)}`;
    return html`<b>It takes nothing${since}.</b> ${waits}${oldest}`;
  }
  return html`<b>It takes what it is sent.</b> ${waits}${oldest}`;
}

function standing(row: WebhookRow, visit: Visit): Html {
  const { endpoint, open, oldestAt, delivered, failed, dead, deliveredAt, failedAt, lastReason } = row;
  return facts([
    [
      'Endpoint',
      endpoint === null
        ? 'not in the configuration'
        : html`<span class="mono">${outside(originOf(row))}</span><small>its path is not shown</small>`,
    ],
    ...(endpoint === null
      ? []
      : ([
          ['Events', html`${endpoint.types.map((type) => html`<code>${type}</code> `)}`],
          ['Recipients', endpoint.recipients],
          ['In order', endpoint.ordered ? 'yes, for each message' : 'no'],
        ] as const)),
    ['Waiting', oldestAt === null ? number(open) : html`${number(open)}, the oldest from ${agoTime(oldestAt, visit)}`],
    ['Delivered', number(delivered), deliveredAt === null ? '' : html`last ${agoTime(deliveredAt, visit)}`],
    ['Failed tries', number(failed + dead)],
    [
      'Last failure',
      lastReason === null ? 'none' : reply(lastReason, visit, 400),
      failedAt === null ? '' : agoTime(failedAt, visit),
    ],
  ]);
}

function buttons({ endpoint, off, deadLetters }: WebhookRow): Content {
  return [
    off === null || endpoint === null ? nothing : dialogLink('d-enable', 'Switch on…', 'primary'),
    endpoint === null ? nothing : dialogLink('d-test', 'Test…', ''),
    deadLetters === 0 || endpoint === null ? nothing : dialogLink('d-retry', 'Deliver all again…', ''),
    deadLetters === 0 ? nothing : dialogLink('d-drop', 'Drop all…', 'danger'),
    endpoint === null ? dialogLink('d-forget', 'Forget…', 'danger') : nothing,
  ];
}

interface Rights {
  readonly sees: boolean;
  readonly acts: boolean;
}

function deadLetters(
  { deadLetters: count, endpoint, id }: WebhookRow,
  letters: readonly DeadDelivery[],
  { sees, acts }: Rights,
  visit: Visit,
): Html {
  if (count === 0) {
    return empty({
      what: 'There are no dead letters.',
      next: 'An event is listed here once ten tries within four days have failed.',
    });
  }
  if (!sees) {
    return html`<p class="prose">
      ${counted(count, 'dead letter')}, which are listed for tokens with <code>messages:read</code> and without
      <code>from</code>.
    </p>`;
  }
  const columns: Column<DeadDelivery>[] = [
    {
      head: 'Died',
      classes: 'second',
      bare: true,
      cell: ({ diedAt }) => (diedAt === null ? '–' : clockTime(diedAt, visit)),
    },
    { head: 'Event', classes: 'first', names: true, cell: ({ type }) => html`<code>${type}</code>` },
    {
      head: 'Message',
      classes: 'any inl',
      cell: ({ message }) =>
        message === null
          ? '–'
          : html`<a class="mono" href="${hrefOfMessage(message)}">${outside(shortId(message))}</a>`,
    },
    { head: 'Of', classes: 'lo2', cell: ({ at }) => clockTime(at, visit) },
    {
      head: 'Why',
      classes: 'any',
      bare: true,
      cell: ({ reason }) => html`<span class="mid">${reply(reason, visit, 200)}</span>`,
    },
  ];
  if (acts) {
    columns.push({
      head: 'Actions',
      classes: 'act',
      bare: true,
      hideHead: true,
      cell: ({ eventId, type }) =>
        html`<div class="acts">
          ${
            endpoint === null
              ? nothing
              : html`<form method="post" action="${hrefOfWebhook(id)}/retry">
                  <input type="hidden" name="csrf" value="${visit.csrf}" /><input
                    type="hidden"
                    name="event"
                    value="${eventId}"
                  /><button class="btn small" aria-label="Deliver again ${type} ${eventId}">Deliver again</button>
                </form>`
          }
          ${dialogLink(`d-drop-${eventId}`, 'Drop…', 'small danger', `Drop… ${type} ${eventId}`)}
        </div>`,
    });
  }
  return table('Dead letters of this webhook, newest first', columns, letters);
}

function dialogs(row: WebhookRow, letters: readonly DeadDelivery[], { csrf }: Visit): Content {
  const { id, deadLetters: count, open } = row;
  const to = hrefOfWebhook(id);
  const all = counted(count, 'event');
  return [
    dialog({
      id: 'd-enable',
      title: `Switch ${id} on?`,
      action: `${to}/enable`,
      csrf,
      verb: 'Switch it on',
      stay: 'Leave it off',
      body: html`<p class="prose">
        It is told of what happens from now on, and of the ${counted(open, 'event')} that were open. What happened
        meanwhile is not kept for it.
      </p>`,
    }),
    dialog({
      id: 'd-test',
      title: `Send a test event to ${id}?`,
      action: `${to}/test`,
      csrf,
      verb: 'Send it',
      stay: 'Do not',
      body: html`<p class="prose">
        One event <code>webhook.test</code>, signed as every other, is sent from this process now.
      </p>`,
    }),
    dialog({
      id: 'd-retry',
      title: `Deliver ${all} again?`,
      action: `${to}/retry`,
      csrf,
      verb: `Deliver ${all} again`,
      stay: 'Leave them',
      body: html`<p class="prose">Each begins its ten tries anew, under the same id.</p>`,
    }),
    dropDialog('d-drop', `Drop ${all}?`, `Drop ${all}`, to, null, csrf),
    ...letters.map(({ eventId, type }) =>
      dropDialog(`d-drop-${eventId}`, `Drop this ${type}?`, 'Drop the event', to, eventId, csrf),
    ),
    dialog({
      id: 'd-forget',
      title: `Forget ${id}?`,
      action: `${to}/forget`,
      csrf,
      verb: 'Forget it',
      stay: 'Keep it',
      danger: true,
      body: html`<p class="prose">
        Its ${counted(open, 'open event')}, its ${counted(count, 'dead letter')} and its counts are deleted.
      </p>`,
    }),
  ];
}

function dropDialog(id: string, title: string, verb: string, to: string, event: string | null, csrf: string): Html {
  return dialog({
    id,
    title,
    action: `${to}/drop`,
    csrf,
    verb,
    stay: 'Keep',
    danger: true,
    body: html`<p class="prose">It is never delivered; the state of its message stays as it is.</p>
      ${event === null ? nothing : html`<input type="hidden" name="event" value="${event}" />`}
      ${reasonField(`why-${id}`)}`,
  });
}
