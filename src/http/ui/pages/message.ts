/** One message: who has it, what happened, why this connector, and what an operator may do now. */
import { html } from 'hono/html';
import { serverOf } from '../../../transport/proxy.ts';
import type { ActionAnswer } from '../../../admin/message-actions.ts';
import { unreachable } from '../../../errors.ts';
import type { MessageStatus } from '../../../producer/producer.ts';
import { mayUse, senderOf } from '../../api/access.ts';
import { atClock, number, relative, size, span } from '../format.ts';
import { recipientLedger } from '../ledger.ts';
import { messageMarks } from '../marks.ts';
import {
  agoTime,
  chip,
  clockTime,
  copyable,
  empty,
  facts,
  icon,
  nothing,
  outside,
  recipient,
  section,
  type Content,
  type Html,
} from '../parts.ts';
import { connectorLink } from '../rows.ts';
import { timeline } from '../timeline.ts';
import type { Page, Visit } from '../visit.ts';
import { actionDialogs, actionsSection, headActions } from './message-actions.ts';
import { notFound } from './not-found.ts';

export const messagePage: Page = async (visit, [id = '']) => {
  const { tools, token, operator } = visit;
  const status = await tools.producer.status(id);
  // What another may not see is not there.
  if (status === null || !mayUse(token, senderOf(status, tools.config()))) {
    return notFound('No message has this id. Settled ones are removed after their time (`retention.ledger`).');
  }
  const actions = (await operator.actions(id)) ?? [];
  const { connectors } = tools.config();
  const server = (connector: string | null): string | null =>
    serverOf(connectors.find(({ id: each }) => each === connector) ?? null);
  const { state, recipients, attemptLog } = status;
  const [first] = recipients;
  const more = recipients.length - 1;
  return {
    title: 'Message',
    place: 'messages',
    main: html`<header class="head split">
        <p class="crumb"><a href="/ui/messages">Messages</a></p>
        <div class="head-row">
          <h1>
            ${first === undefined ? 'A message without recipients' : recipient(first.address, visit)}${more > 0 ? ` and ${number(more)} more` : ''}
          </h1>
          ${chip(messageMarks[state])}
        </div>
        <p class="verdict">${verdict(status, visit)}</p>
        <p class="metaline">
          ${status.from === null ? nothing : html`<span><span class="soft">From</span> ${outside(status.from)}</span>`}
          ${status.connector === null ? nothing : html`<span><span class="soft">through</span> ${connectorLink(status.connector)}</span>`}
          <span><span class="soft">accepted</span> ${agoTime(status.acceptedAt, visit)}</span>
          <span class="soft">id</span> ${copyable(id, 'Copy the id')}
        </p>
        ${headActions({ status, actions }, visit)}
      </header>
      <div class="cols rows">
        ${section(
          { id: 'rec', title: 'Who has it', note: 'a recipient who has it is never sent to again' },
          recipients.length === 0
            ? empty({ what: 'No recipient is known.', next: 'It could not be read, or its addresses were erased.' })
            : recipientLedger(recipients, attemptLog, visit),
        )}
        ${actionsSection({ status, actions }, visit)}
        ${section({ id: 'time', title: 'What happened' }, timeline(status, server, visit))}
        <div>
          ${section({ id: 'route', title: status.connector === null ? 'Its route' : `Why ${status.connector}` }, routeOf(status))}
          ${section({ id: 'facts', title: 'Facts' }, factsOf(status, visit))} ${contentSection(status, actions, visit)}
        </div>
      </div>
      ${actionDialogs({ status, actions }, visit)}`,
  };
};

function verdict({ state, recipients, retryAt, deadline, reason, connector }: MessageStatus, visit: Visit): Html {
  const { now, zone } = visit;
  const count = (outcome: string): number => recipients.filter((each) => each.outcome === outcome).length;
  const all = recipients.length;
  const back = recipients.filter(({ bounce }) => bounce?.action === 'failed').length;
  const who = all === 1 ? 'The recipient has it.' : `All ${number(all)} have it.`;
  const ends = deadline === null ? '' : ` It expires ${relative(deadline, now)}.`;
  switch (state) {
    case 'sent':
      return back > 0
        ? html`<b>${all === 1 ? 'It came back.' : `It came back from ${number(back)} of ${number(all)}.`}</b> A server
            took it, and a report said later that it could not be delivered.`
        : html`<b>${who}</b> A server took it; what happens to it after that, the server knows.`;
    case 'partial':
      return html`<b
          >${number(count('accepted'))} of ${number(all)} have it; ${number(all - count('accepted'))} do not.</b
        >
        Postlane will not try again unless you replay it.`;
    case 'dead':
      return html`<b>No one has it${reason === null ? '' : `: ${reason}`}.</b> Postlane will not try again unless you
        replay it.`;
    case 'held':
      return html`<b>It may have arrived.</b> Its last attempt has no known result, and an operator says what became of
        it.`;
    case 'deferred':
      return html`<b
          >It is tried
          again${retryAt === null ? '' : retryAt <= now ? ' now' : ` in ${span(retryAt - now)}, ${atClock(retryAt, now, zone)}`}.</b
        >${ends}`;
    case 'scheduled':
      return html`<b
        >It is sent${retryAt === null ? ' later' : ` ${relative(retryAt, now)}, ${atClock(retryAt, now, zone)}`}.</b
      >`;
    case 'sending':
      return html`<b>It is being sent now</b>${connector === null ? '' : ` through ${connector}`}.`;
    case 'cancelled':
      return html`<b>It was cancelled,</b> and is not sent.`;
    case 'queued':
      return html`<b>It waits for its turn</b
        >${connector === null ? ' to be routed' : ` in the lane of ${connector}`}.${ends}`;
    default:
      return unreachable(state);
  }
}

const rules: Readonly<Record<string, string>> = {
  exact: 'It has exactly this From address.',
  domain: 'It sends for the whole domain of the From address; no connector has the address itself.',
  default: 'It is the system default gateway: no connector has the From address or its domain.',
  via: 'A test or a replay has chosen it, whatever the From address is.',
};

function routeOf({ connector, rule, from }: MessageStatus): Html {
  if (connector === null) {
    return html`<p class="prose">
      ${rule === null ? 'It is not routed yet: a worker does that.' : 'No connector sends for its From address.'}
    </p>`;
  }
  return html`<p class="prose">
    ${rules[rule ?? ''] ?? 'The row does not say by which rule.'}
    ${from === null ? nothing : html`<a href="/ui/routes?from=${encodeURIComponent(from)}">Explain ${outside(from)}</a>`}
  </p>`;
}

function factsOf(status: MessageStatus, visit: Visit): Html {
  const { messageId, acceptedAt, deadline, submittedBy, size: bytes, attempts, reason, recipients } = status;
  const rows: [string, Content, Content?][] = [
    ['Message-ID', messageId === null ? 'not known' : copyable(messageId, 'Copy the Message-ID')],
    ['Recipients', number(recipients.length)],
    ['Size', bytes === null ? 'not tried yet' : size(bytes)],
    ['Attempts', number(attempts)],
    ['Accepted', clockTime(acceptedAt, visit), submittedBy === null ? '' : html`by ${outside(submittedBy)}`],
    ['Deadline', deadline === null ? 'not routed yet' : clockTime(deadline, visit), 'after that no attempt begins'],
  ];
  if (reason !== null) rows.push(['Reason', reason]);
  return facts(rows);
}

function contentSection({ id }: MessageStatus, actions: readonly ActionAnswer[], { can, csrf }: Visit): Html {
  const isKept = actions.some(({ action, allowed }) => action === 'resend' && allowed);
  const words = (): Content => {
    if (!isKept)
      return html`<p class="prose">
        It is not kept any more. <code>retention.content</code> keeps that of sent messages.
      </p>`;
    if (!can('content:read'))
      return html`<p class="prose">
        ${icon('lock')} It is kept. Reading it needs the scope <code>content:read</code>.
      </p>`;
    return html`<p class="prose">Subject, text and attachments are kept. Each look is recorded in the audit.</p>
      <form method="post" action="/ui/messages/${encodeURIComponent(id)}/content">
        <input type="hidden" name="csrf" value="${csrf}" />
        <p class="acts"><button class="btn small">${icon('eye')}Show content</button></p>
      </form>`;
  };
  return section({ id: 'content', title: 'Content' }, html`${words()}`);
}
