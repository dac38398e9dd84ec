/** What an operator may do with a message now, and why not: buttons, and the question that each of them asks. */
import { html } from 'hono/html';
import type { ActionAnswer, MessageAction } from '../../../admin/message-actions.ts';
import type { Scope } from '../../../config/scopes.ts';
import { unreachable } from '../../../errors.ts';
import type { MessageStatus } from '../../../producer/producer.ts';
import { sends } from '../../../routing/connector.ts';
import { counted } from '../format.ts';
import {
  dialog,
  dialogLink,
  icon,
  nothing,
  reasonField,
  section,
  withCode,
  type Content,
  type Html,
} from '../parts.ts';
import type { Visit } from '../visit.ts';

export interface MessageView {
  readonly status: MessageStatus;
  readonly actions: readonly ActionAnswer[];
}

interface Way {
  readonly scope: Scope;
  readonly name: string;
  readonly title: string;
  readonly verb: string;
  readonly stay: string;
  readonly danger?: boolean;
}

const ways: Readonly<Record<MessageAction, Way>> = {
  cancel: {
    scope: 'messages:cancel',
    name: 'Cancel',
    title: 'Cancel this message?',
    verb: 'Cancel the message',
    stay: 'Keep it',
    danger: true,
  },
  'send-now': {
    scope: 'messages:cancel',
    name: 'Send now',
    title: 'Send this message now?',
    verb: 'Send now',
    stay: 'Wait',
  },
  resend: {
    scope: 'messages:send',
    name: 'Resend',
    title: 'Send it again as a new message?',
    verb: 'Send it again',
    stay: 'Do not',
  },
  resolve: {
    scope: 'dead:write',
    name: 'Resolve',
    title: 'What became of this message?',
    verb: 'Resolve',
    stay: 'Leave it held',
  },
  replay: { scope: 'dead:write', name: 'Replay', title: 'Replay this dead letter?', verb: 'Replay', stay: 'Leave it' },
  drop: {
    scope: 'dead:write',
    name: 'Drop',
    title: 'Drop this dead letter?',
    verb: 'Drop',
    stay: 'Keep it',
    danger: true,
  },
};

const order: readonly MessageAction[] = ['resolve', 'replay', 'send-now', 'cancel', 'resend', 'drop'];

function isOpen({ action, allowed }: ActionAnswer, { can, token }: Visit): boolean {
  // An operation over dead letters is not for tokens that see some of them alone.
  const isBulk = action === 'replay' || action === 'drop';
  return allowed && can(ways[action].scope) && !(isBulk && token.from !== null);
}

function sorted(actions: readonly ActionAnswer[]): ActionAnswer[] {
  return order.flatMap((name) => actions.find(({ action }) => action === name) ?? []);
}

export function headActions({ actions }: MessageView, visit: Visit): Content {
  const open = sorted(actions).filter((each) => isOpen(each, visit));
  if (open.length === 0) return nothing;
  return html`<div class="acts">
    ${open.slice(0, 3).map(({ action }, i) => dialogLink(`d-${action}`, `${ways[action].name}…`, ways[action].danger ? 'danger' : i === 0 ? 'primary' : ''))}
  </div>`;
}

export function actionsSection({ actions }: MessageView, visit: Visit): Html {
  const all = sorted(actions);
  const [open, shut] = [all.filter((each) => isOpen(each, visit)), all.filter((each) => !isOpen(each, visit))];
  return section(
    { id: 'can', title: 'What you can do now' },
    html`${
      open.length === 0
        ? html`<p class="prose">Nothing. The reasons are below.</p>`
        : html`<ul class="can">
            ${open.map(
              ({ action, why }) =>
                html`<li>
                  ${icon('tick')}<b>${ways[action].name}</b>${dialogLink(`d-${action}`, `${ways[action].name}…`, 'small')}
                  <p>${withCode(why)}</p>
                </li>`,
            )}
          </ul>`
    }
    ${
      shut.length === 0
        ? nothing
        : html`<h3 class="can-head">Not possible now</h3>
            <ul class="can">
              ${shut.map(
                (each) =>
                  html`<li class="no">
                    ${icon(each.allowed ? 'lock' : 'cross')}<b>${ways[each.action].name}</b>
                    <p>${each.allowed ? missing(each.action, visit) : withCode(each.why)}</p>
                  </li>`,
              )}
            </ul>`
    }`,
  );
}

function missing(action: MessageAction, { can, token }: Visit): Html {
  const { scope } = ways[action];
  if (can(scope))
    return html`The token ${token.id} is limited to some From addresses, and may not act on dead letters.`;
  return html`Needs the scope <code>${scope}</code>, which the token ${token.id} does not have.`;
}

export function actionDialogs({ status, actions }: MessageView, visit: Visit): Content {
  const { csrf } = visit;
  return sorted(actions)
    .filter((each) => isOpen(each, visit))
    .map(({ action, why }) => {
      const { title, verb, stay, danger = false } = ways[action];
      return dialog({
        id: `d-${action}`,
        title,
        action: `/ui/messages/${encodeURIComponent(status.id)}/${action}`,
        csrf,
        verb:
          action === 'replay' || action === 'drop'
            ? `${verb} for ${counted(status.recipients.filter(({ outcome }) => outcome !== 'accepted').length, 'recipient')}`
            : verb,
        stay,
        danger,
        body: html`<p class="prose">${withCode(why)}</p>
          ${fieldsOf(action, visit)}`,
      });
    });
}

function fieldsOf(action: MessageAction, { tools }: Visit): Content {
  switch (action) {
    case 'resolve': {
      const choice = (value: string, words: string, note: string, isFirst = false): Html =>
        html`<label class="opt"
          ><input type="radio" name="as" value="${value}" required ${isFirst ? html`checked` : nothing} />
          ${words}<small>${note}</small></label
        >`;
      return html`<fieldset class="f">
          <legend>It</legend>
          ${choice('sent', 'arrived', 'It is settled as sent.')}
          ${choice('retry', 'did not arrive: send it again', 'With the same Message-ID; a recipient who has it may get it twice.')}
          ${choice('drop', 'is given up', 'Its dead letter is deleted.')}
        </fieldset>
        ${reasonField('resolve-why', false)}`;
    }
    case 'replay': {
      const senders = tools.config().connectors.filter(({ direction }) => sends(direction));
      return html`<div class="f">
          <label for="via">Through</label
          ><select class="w16" id="via" name="via">
            <option value="">the connector of its From</option>
            ${senders.slice(0, 500).map(({ id }) => html`<option value="${id}">${id}</option>`)}
          </select>
        </div>
        ${reasonField('replay-why', false)}`;
    }
    case 'drop':
      return reasonField('drop-why');
    case 'cancel':
    case 'send-now':
    case 'resend':
      return nothing;
    default:
      return unreachable(action);
  }
}
