/** What may be done with a connector: the buttons, and the question that each of them asks. */
import { html } from 'hono/html';
import type { ConnectorRow } from '../../../admin/connector-row.ts';
import { atClock, counted } from '../format.ts';
import { hrefOfConnector } from '../hrefs.ts';
import { dialog, dialogLink, field, nothing, outside, reasonField, type Content, type Html } from '../parts.ts';
import type { Visit } from '../visit.ts';

export function buttons({ pause, faults, suspect }: ConnectorRow, { can }: Visit): Content {
  const held = faults.length > 0 || suspect !== null;
  return [
    pause === null ? dialogLink('d-pause', 'Pause…', '') : dialogLink('d-resume', 'Resume…', 'primary'),
    pause === null && held ? dialogLink('d-resume', 'Send again now…', '') : nothing,
    dialogLink('d-try', 'Test login…', ''),
    can('messages:send') ? dialogLink('d-test', 'Test message…', '') : nothing,
  ];
}

export function dialogs(row: ConnectorRow, visit: Visit): Content {
  const { id, waiting, nextDeadlineAt: first, pause, server } = row;
  const { csrf, now, zone, can } = visit;
  const to = hrefOfConnector(id);
  const expiry = first === null ? '' : ` They expire as usual; the first one ${atClock(first, now, zone)}.`;
  const choice = (value: string, words: string, isChosen = false): Html =>
    html`<label class="opt"
      ><input type="radio" name="for" value="${value}" ${isChosen ? html`checked` : nothing} /> ${words}</label
    >`;
  return [
    dialog({
      id: 'd-pause',
      title: `Pause ${id}`,
      action: `${to}/pause`,
      csrf,
      verb: `Pause ${id}`,
      stay: 'Keep sending',
      body: html`<p class="prose">
          Sends in progress finish. New messages are still accepted and wait in order.${expiry}
        </p>
        ${reasonField('p-why')}
        <fieldset class="f">
          <legend>Resume by itself</legend>
          ${choice('30m', 'after 30 minutes')}
          ${choice('2h', `after 2 hours, ${atClock(now + 7_200_000, now, zone)}`, true)} ${choice('1d', 'after a day')}
          ${choice('', 'never; an operator resumes it')}
        </fieldset>`,
    }),
    dialog({
      id: 'd-resume',
      title: pause === null ? `Let ${id} send again now?` : `Resume ${id}?`,
      action: `${to}/resume`,
      csrf,
      verb: pause === null ? 'Send again now' : `Resume ${id}`,
      stay: pause === null ? 'Wait' : 'Keep paused',
      body: html`<p class="prose">
          ${counted(waiting, 'waiting message')} ${waiting === 1 ? 'is' : 'are'} sent, oldest first.
          ${pause === null ? 'If the server still refuses, the connector waits again, for longer.' : ''}
        </p>
        ${reasonField('r-why', false)}`,
    }),
    dialog({
      id: 'd-try',
      title: `Test the login of ${id}?`,
      action: `${to}/try`,
      csrf,
      verb: 'Test login',
      stay: 'Do not',
      body: html`<p class="prose">
        Postlane connects to ${server === null ? 'the server' : outside(server)}, logs in, and sends nothing.
      </p>`,
    }),
    can('messages:send')
      ? dialog({
          id: 'd-test',
          title: `Send a test message through ${id}`,
          action: `${to}/test`,
          csrf,
          verb: 'Send the test message',
          stay: 'Do not',
          body: html`<p class="prose">
              A short text goes through this connector, whatever its From is. It waits like every other message.
            </p>
            ${field({
              id: 't-to',
              label: 'To',
              control: html`<input id="t-to" name="to" type="email" required maxlength="320" autocomplete="off" />`,
            })}
            ${field({
              id: 't-from',
              label: 'From',
              control: html`<input
                id="t-from"
                name="from"
                type="email"
                required
                maxlength="320"
                autocomplete="off"
                value="${senderFor(row, visit)}"
              />`,
            })}`,
        })
      : nothing,
  ];
}

function senderFor({ addresses }: ConnectorRow, { tools }: Visit): string {
  const exact = addresses.find((each) => !each.startsWith('*@'));
  return exact ?? tools.config().unmonitoredAddress?.address ?? '';
}
