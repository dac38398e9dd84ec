/** The overview: the situation in one sentence, six figures, who is held up, the last day, the time left, the fleet. */
import { html } from 'hono/html';
import type { ConnectorRow } from '../../../admin/connector-row.ts';
import type { Stats } from '../../../admin/stats.ts';
import { flow, spark, type FlowSlot } from '../charts.ts';
import { timeLeft, timeLeftAxis } from '../drawings.ts';
import { atClock, clock, counted, memory, number, percent, relative, span } from '../format.ts';
import { agoTime, bar, empty, facts, nothing, section, table, time, type Content, type Html } from '../parts.ts';
import {
  connectorLink,
  deadlineColumn,
  deadlineText,
  laneColumn,
  nameColumn,
  oldestColumn,
  statusColumn,
} from '../rows.ts';
import { heldUpIn, isHeldUp, type Page, type Visit } from '../visit.ts';

/** Connectors that are shown; the rest is a click away. */
const mostHeldUp = 8;
const mostDeadlines = 6;
/** More are not read for a page that is opened all the time. */
const mostGrouped = 2_000;

export const overviewPage: Page = async (visit) => {
  const { operator, tools, can } = visit;
  const stats = await visit.glance();
  const [worst, groups] = await Promise.all([
    visit.worst(),
    can('dead:read') && visit.token.from === null && stats.deadLetters > 0
      ? operator.deadGroups(tools.config(), {}, ['reason'], mostGrouped)
      : null,
  ]);
  const heldUp = worst.items.filter(({ state }) => isHeldUp(state));
  return {
    title: 'Overview',
    place: 'overview',
    main: html`<header class="head">
        <h1 class="head-of">Overview</h1>
        <p class="verdict" role="status">${verdict(stats, visit)}</p>
      </header>
      ${tiles(stats, visit)}
      <div class="cols">
        <div>
          ${section(
            {
              id: 'wait',
              title: 'Connectors held up',
              note: heldUp.length > 0 ? 'worst first' : '',
              end: html`<a href="/ui/connectors">All ${counted(worst.count, 'connector')}</a>`,
            },
            heldUpTable(heldUp, visit),
          )}
          ${section(
            {
              id: 'flow',
              title: 'Last 24 hours',
              note: 'messages per half hour; problems below the line, on their own scale',
            },
            flow(slotsOf(stats.series), visit),
          )}
        </div>
        <div>
          ${section({ id: 'left', title: 'Time left', note: 'before waiting messages expire' }, deadlines(worst.items, visit))}
          ${can('dead:read') ? deadSection(stats, groups, visit) : nothing} ${fleetSection(stats, visit)}
        </div>
      </div>`,
  };
};

function verdict(stats: Stats, visit: Visit): Html {
  const held = heldUpIn(stats.connectors);
  const waiting = stats.waiting + stats.delayed;
  const first =
    stats.firstDeadline === null
      ? nothing
      : html` The first message expires ${deadlineText(stats.firstDeadline.at, visit)}.`;
  if (stats.workers.length === 0) {
    return html`<b>No mail is sent: no worker is running.</b> ${counted(waiting, 'message')}
      ${waiting === 1 ? 'waits' : 'wait'}.${first}`;
  }
  if (held > 0) {
    const flowing = (stats.connectors.sending ?? 0) + (stats.connectors.limited ?? 0) > 0;
    return html`<b
        >${flowing ? 'Mail is flowing.' : `${counted(waiting, 'message')} ${waiting === 1 ? 'waits' : 'wait'}.`}</b
      >
      ${counted(held, 'connector')} ${held === 1 ? 'is' : 'are'} held up.${first}`;
  }
  if (waiting + stats.active > 0) return html`<b>Mail is flowing.</b> No connector is held up.${first}`;
  return html`<b>Everything is sent.</b> No message is waiting, and no connector is held up.`;
}

function tiles(stats: Stats, visit: Visit): Html {
  const { now, zone } = visit;
  const { series, oldest, firstDeadline, sentSoon } = stats;
  const of = (name: 'accepted' | 'sent' | 'dead'): number[] => halfHours(series.map(({ counts }) => counts[name]));
  const tile = (name: string, value: Content, note: Content, drawing: Content = nothing): Html =>
    html`<div class="stat">
      <dt>${name}</dt>
      <dd class="num">${value}</dd>
      <dd class="note">${note}</dd>
      <dd>${drawing}</dd>
    </div>`;
  const dead = series.reduce((sum, { counts }) => sum + counts.dead + counts.partial, 0);
  return html`<dl class="stats">
    ${tile('Waiting', number(stats.waiting), stats.delayed > 0 ? `and ${number(stats.delayed)} for a later time` : 'accepted, not sent yet', spark(of('accepted')))}
    ${tile('Sending now', number(stats.active), `of ${number(stats.slots)} slots in ${counted(stats.workers.length, 'worker')}`)}
    ${tile(
      'Oldest waiting',
      oldest === null ? '–' : span(now - oldest.at),
      oldest === null
        ? 'no connector that sends has one'
        : html`${connectorLink(oldest.connector)}, since ${clock(oldest.at, now, zone)}`,
    )}
    ${tile(
      'First expiry',
      firstDeadline === null ? '–' : firstDeadline.at <= now ? 'due' : span(firstDeadline.at - now),
      firstDeadline === null
        ? 'nothing can expire'
        : html`${firstDeadline.connector === null ? 'not routed yet' : connectorLink(firstDeadline.connector)}, at
          ${clock(firstDeadline.at, now, zone)}`,
    )}
    ${tile(
      'Sent, last 24 hours',
      number(stats.sent),
      sentSoon === null ? 'none yet' : `${percent(sentSoon)} within 5 minutes`,
      spark(of('sent')),
    )}
    ${tile(
      'Dead letters',
      number(stats.deadLetters),
      `${number(dead)} in the last 24 hours${stats.held ? `; ${number(stats.held)} held` : ''}`,
      spark(of('dead'), dead > 0 ? 'bad' : ''),
    )}
  </dl>`;
}

function heldUpTable(rows: readonly ConnectorRow[], visit: Visit): Html {
  if (rows.length === 0) {
    return empty({
      what: 'No connector is held up.',
      next: 'A connector is listed here while it has a fault, a pause, or no quota left.',
    });
  }
  const columns = [nameColumn(), laneColumn, statusColumn(visit), oldestColumn(visit), deadlineColumn(visit)];
  return table('Connectors held up, worst first', columns, rows.slice(0, mostHeldUp));
}

function deadlines(rows: readonly ConnectorRow[], visit: Visit): Html {
  const ends = rows
    .flatMap((row) => (row.nextDeadlineAt === null ? [] : [{ row, at: row.nextDeadlineAt }]))
    .sort((a, b) => a.at - b.at)
    .slice(0, mostDeadlines);
  if (ends.length === 0)
    return empty({ what: 'No message can expire.', next: 'Waiting messages are listed here by connector.' });
  const { now, zone } = visit;
  return html`<ul class="hz">
      ${ends.map(({ row, at }) => {
        const resumesAt = row.waitingUntil !== null && row.waitingUntil > now ? row.waitingUntil : null;
        const words = `${resumesAt === null ? 'is sending' : `resumes ${atClock(resumesAt, now, zone)}`}, its first message expires ${atClock(at, now, zone)}`;
        return html`<li>
          <span class="name">${connectorLink(row.id)}</span
          ><span class="vh">${words}</span>${timeLeft({ resumesAt, expiresAt: at, paused: row.paused }, visit)}
        </li>`;
      })}
      <li aria-hidden="true"><span class="soft"></span>${timeLeftAxis}</li>
    </ul>
    <p class="hz-key" aria-hidden="true">
      <span
        ><svg viewBox="0 0 20 12"><line class="shut" x1="0" x2="20" y1="6" y2="6" /></svg>blocked</span
      ><span
        ><svg viewBox="0 0 20 12"><circle class="goes" cx="10" cy="6" r="3.5" /></svg>resumes</span
      ><span
        ><svg viewBox="0 0 20 12"><path class="end" d="M10 1l5 5-5 5-5-5z" /></svg>first message expires</span
      >
    </p>`;
}

type Groups = Awaited<ReturnType<Visit['operator']['deadGroups']>>;

function deadSection({ deadLetters }: Stats, groups: Groups | null, visit: Visit): Html {
  const end = html`<a href="/ui/dead-letters">All ${number(deadLetters)}</a>`;
  if (deadLetters === 0) {
    const body = empty({
      what: 'There are no dead letters.',
      next: 'A message that is not tried again by itself is kept here, whole.',
    });
    return section({ id: 'dead', title: 'Dead letters' }, body);
  }
  if (groups === null) {
    return section(
      { id: 'dead', title: 'Dead letters', end },
      html`<p class="prose">The list groups them by reason and reply.</p>`,
    );
  }
  return section(
    { id: 'dead', title: 'Dead letters', note: groups.complete ? '' : `the newest ${number(groups.count)}`, end },
    html`<div class="tbl-wrap">
      <table class="tbl">
        <caption class="vh">
          Dead letters by reason
        </caption>
        <thead>
          <tr>
            <th scope="col">Reason</th>
            <th scope="col" class="n">Messages</th>
            <th scope="col" class="n">Last</th>
          </tr>
        </thead>
        <tbody>
          ${groups.groups.map(
            ({ reason, count, lastAt }) =>
              html`<tr>
                <th scope="row"><a href="/ui/dead-letters?reason=${encodeURIComponent(reason ?? '')}">${reason}</a></th>
                <td class="n">${number(count)}</td>
                <td class="n">${agoTime(lastAt, visit)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`,
  );
}

function fleetSection({ redis, workers }: Stats, visit: Visit): Html {
  const { now } = visit;
  const used = (): Content => {
    if (redis === null) return 'this user of Redis may not ask';
    const { usedBytes, maxBytes, fullAt } = redis;
    if (maxBytes === 0) return html`${memory(usedBytes)}<small>no limit is set</small>`;
    const full = fullAt === null ? '' : `full ${relative(fullAt, now)} at this rate`;
    return html`${memory(usedBytes)} of ${memory(maxBytes)},
    ${percent(usedBytes / maxBytes)}${bar(usedBytes / maxBytes, usedBytes > 0.8 * maxBytes ? 'bad' : '')}${full === '' ? nothing : html`<small>${full}</small>`}`;
  };
  const list =
    workers.length === 0
      ? empty({ what: 'No worker is running.', next: html`Start one with <code>postlane worker</code>.` })
      : html`<div class="tbl-wrap">
          <table class="tbl">
            <caption class="vh">
              Workers
            </caption>
            <thead>
              <tr>
                <th scope="col">Worker</th>
                <th scope="col" class="n">Sending</th>
                <th scope="col" class="n">Up</th>
              </tr>
            </thead>
            <tbody>
              ${workers.slice(0, 50).map(
                ({ worker, load }) =>
                  html`<tr>
                    <th scope="row"><bdi class="any">${worker}</bdi></th>
                    <td class="n">${load === null ? '–' : `${number(load.busy)} of ${number(load.slots)}`}</td>
                    <td class="n">${load === null ? '–' : time(load.startedAt, span(now - load.startedAt), visit)}</td>
                  </tr>`,
              )}
            </tbody>
          </table>
        </div>`;
  const persistence =
    redis === null ? 'not known' : redis.aofOk ? 'append-only file' : 'no append-only file, or its last write failed';
  return section(
    { id: 'fleet', title: 'Redis and workers' },
    html`${facts([
      ['Memory', used()],
      ['Persistence', persistence],
      ['Replicas', redis === null ? 'not known' : number(redis.replicas)],
    ])}${list}`,
  );
}

const halfHourMs = 30 * 60_000;

/** Half hours of the clock, so that the times below the chart are round. The first and the last one may be shorter. */
function slotsOf(series: Stats['series']): FlowSlot[] {
  const halves = Map.groupBy(series, ({ at }) => Math.floor(at / halfHourMs) * halfHourMs);
  return [...halves].map(([at, some]) => {
    const sum = (of: (counts: Stats['series'][number]['counts']) => number): number =>
      some.reduce((total, { counts }) => total + of(counts), 0);
    return {
      at,
      sent: sum(({ sent }) => sent),
      deferred: sum(({ deferred }) => deferred),
      uncertain: sum(({ uncertain, held }) => uncertain + held),
      dead: sum(({ dead, partial }) => dead + partial),
    };
  });
}

function halfHours(values: readonly number[]): number[] {
  return Array.from({ length: Math.ceil(values.length / 6) }, (_, i) =>
    values.slice(i * 6, i * 6 + 6).reduce((sum, value) => sum + value, 0),
  );
}
