/** What happened to a message, in its order: each attempt with every reply. */
import { html } from 'hono/html';
import type { AttemptEntry, HistoryEntry, MessageStatus, TriedRecipient } from '../../producer/producer.ts';
import { counted, took } from './format.ts';
import { outcomeMarks } from './marks.ts';
import {
  clockTime,
  icon,
  mark,
  nothing,
  outside,
  recipient,
  reply,
  type Content,
  type Html,
  type Viewpoint,
} from './parts.ts';

/** Replies of one attempt, and recipients beside one of them, that are shown. */
const mostReplies = 20;
const mostNamed = 10;

interface Entry {
  readonly at: number;
  readonly html: Html;
}

export function timeline(
  status: MessageStatus,
  server: (connector: string | null) => string | null,
  view: Viewpoint,
): Html {
  const { acceptedAt, history, attemptLog, submittedBy, recipients } = status;
  const by = submittedBy === null ? '' : `from ${submittedBy}, `;
  const first = entry(
    acceptedAt,
    'idle',
    'messages',
    html`Accepted <span class="soft">${by}${counted(recipients.length, 'recipient')}</span>`,
    view,
  );
  const attempts = attemptLog.map((attempt, i) => attemptEntry(attempt, i + 1, server, view));
  const logged = new Set(attemptLog.map(({ at }) => at));
  const others = history
    .filter(({ event }) => event !== 'accepted')
    // What an attempt came to is told by the attempt.
    .filter(
      ({ event, attempt }) =>
        attempt === undefined || logged.size === 0 || !/^(?:sent|partial|deferred|uncertain)$/.test(event),
    )
    .map((each) => historyEntry(each, view));
  const all = [first, ...[...attempts, ...others].sort((a, b) => a.at - b.at)];
  return html`<ol class="tl">
    ${all.map((each) => each.html)}
  </ol>`;
}

function entry(
  at: number,
  family: string,
  name: string,
  title: Content,
  view: Viewpoint,
  more: Content = nothing,
): Entry {
  return {
    at,
    html: html`<li>
      <span class="when">${clockTime(at, view, 'ms')}</span><span class="dot ${family}">${icon(name)}</span>
      <div class="what">
        <h3>${title}</h3>
        ${more}
      </div>
    </li>`,
  };
}

const looks: Readonly<Record<string, readonly [string, string, string]>> = {
  routed: ['idle', 'routes', 'Routed'],
  fallback: ['wait', 'routes', 'Goes by the fallback'],
  returned: ['wait', 'routes', 'Back from the fallback'],
  'no-route': ['bad', 'routes', 'No connector sends for its From'],
  sent: ['ok', 'accepted', 'Sent'],
  partial: ['bad', 'partial', 'Partly sent'],
  deferred: ['wait', 'deferred', 'Deferred'],
  'set-aside': ['wait', 'deferred', 'Set aside until others show whose fault it is'],
  uncertain: ['doubt', 'uncertain', 'No known result'],
  held: ['doubt', 'held', 'Held for an operator'],
  dead: ['bad', 'dead', 'Dead letter'],
  cancelled: ['idle', 'cancelled', 'Cancelled'],
  replayed: ['idle', 'replay', 'Replayed'],
  resolved: ['idle', 'tick', 'Resolved'],
  verified: ['ok', 'accepted', 'Found in the mailbox'],
  bounced: ['bad', 'rejected', 'Came back'],
  delayed: ['wait', 'deferred', 'Delayed on its way'],
  dropped: ['idle', 'cross', 'Dropped'],
  'send-now': ['idle', 'go', 'Sent before its time, by an operator'],
};

function historyEntry({ at, event, connector, detail }: HistoryEntry, view: Viewpoint): Entry {
  const [family, name, words] = looks[event] ?? ['idle', 'note', event];
  if (event === 'bounced' || event === 'delayed') {
    const where = html` <span class="soft">a report in the mailbox of ${outside(connector ?? 'a connector')}</span>`;
    const said = html`<div class="reply ${family}"><samp>${reply(detail ?? 'without a reason', view)}</samp></div>`;
    return entry(at, family, name, html`${words}${where}`, view, said);
  }
  const to =
    connector === undefined
      ? nothing
      : html` <span class="soft">${event === 'routed' ? 'to ' : ''}${outside(connector)}</span>`;
  const more =
    detail === undefined || detail === '' ? nothing : html` <span class="soft">${reply(detail, view, 400)}</span>`;
  return entry(at, family, name, html`${words}${to}${more}`, view);
}

function attemptEntry(
  { at, connector, worker, durationMs, recipients }: AttemptEntry,
  number: number,
  server: (connector: string | null) => string | null,
  view: Viewpoint,
): Entry {
  const groups = [
    ...Map.groupBy(recipients, ({ outcome, reply: text, code }) => `${outcome}\n${code}\n${text}`).values(),
  ];
  const counts = (['accepted', 'rejected', 'deferred', 'uncertain'] as const)
    .map((outcome) => [outcome, recipients.filter((each) => each.outcome === outcome).length] as const)
    .filter(([, count]) => count > 0)
    .map(([outcome, count]) => `${count} ${outcome}`);
  const worst = (['uncertain', 'rejected', 'deferred', 'accepted'] as const).find((outcome) =>
    recipients.some((each) => each.outcome === outcome),
  );
  const { family, icon: name } = outcomeMarks[worst ?? 'pending'];
  const at0 = server(connector);
  const where = [at0, took(durationMs), `by ${worker}`].filter((part) => part !== null).join(', ');
  const hidden = groups.length - mostReplies;
  return entry(
    at,
    family,
    name,
    html`Attempt ${number}: ${counts.join(', ') || 'no recipient was tried'}
      <span class="soft">${outside(where)}</span>`,
    view,
    html`${groups.slice(0, mostReplies).map((group) => replyBox(group, view))}${hidden > 0 ? html`<p class="gap">${counted(hidden, 'other reply', 'other replies')}, which the API lists.</p>` : nothing}${worst === 'uncertain' ? doubt : nothing}`,
  );
}

function replyBox(group: readonly TriedRecipient[], view: Viewpoint): Html {
  const [{ outcome, reply: text, code, enhancedCode }] = group as [TriedRecipient];
  // A text may begin with its codes, or come without them.
  const codes = [code, enhancedCode].filter((each) => each !== null && !(text ?? '').includes(each)).join(' ');
  const look = outcomeMarks[outcome];
  const named = group
    .slice(0, mostNamed)
    .map(({ address }, i) => html`${i === 0 ? '' : ', '}${recipient(address, view)}`);
  const more = group.length > mostNamed ? ` and ${group.length - mostNamed} more` : '';
  return html`<div class="reply ${look.family}">
    <p class="to">${named}${more}</p>
    ${mark(look)}<samp
      >${text === null ? codes || 'no reply' : html`${codes === '' ? '' : `${codes} `}${reply(text, view)}`}</samp
    >
  </div>`;
}

/** It is neither success nor failure, and says so. */
const doubt: Html = html`<div class="explainbox">
  <h4>${icon('uncertain')}What uncertain means here</h4>
  <dl>
    <dt>Known</dt>
    <dd>The whole message was sent, and its recipients had been accepted before that.</dd>
    <dt>Unknown</dt>
    <dd>Whether the server took it: its answer never came.</dd>
    <dt>To find out</dt>
    <dd>Search the log of the server for its Message-ID, which is below Facts.</dd>
  </dl>
</div>`;
