/** Connectors as rows of a table: lane, status and what each waits for. */
import { html } from 'hono/html';
import type { ConnectorRow } from '../../admin/connector-row.ts';
import type { WaitReason } from '../../queue/lanes/wait-reasons.ts';
import { lane } from './drawings.ts';
import { atClock, number, relative, span } from './format.ts';
import { hrefOfConnector } from './hrefs.ts';
import { gateOf, markOf } from './marks.ts';
import {
  bar,
  clockTime,
  mark,
  nothing,
  outside,
  reply,
  sub,
  time,
  type Column,
  type Content,
  type Html,
  type Viewpoint,
} from './parts.ts';

export function connectorLink(id: string): Html {
  return html`<a href="${hrefOfConnector(id)}">${id}</a>`;
}

export function nameColumn(): Column<ConnectorRow> {
  return {
    head: 'Connector',
    classes: 'w-name',
    names: true,
    cell: ({ id, transport, server, isDefault }) =>
      html`${connectorLink(id)}${sub(
        html`${transport === 'graph' ? 'Graph' : transport === 'smtp' ? 'SMTP' : 'not configured'}${server === null ? nothing : html`, ${outside(server)}`}${isDefault ? ', default' : nothing}`,
      )}`,
  };
}

export const laneColumn: Column<ConnectorRow> = {
  head: 'Lane',
  classes: 'w-lane',
  bare: true,
  cell: (row) =>
    row.state === 'incoming'
      ? '–'
      : html`<span class="lanecell"
          >${laneOf(row)}<span class="sub"
            >${row.waiting === 0 && row.delayed === 0 ? 'nothing waiting' : html`<b>${number(row.waiting)}</b> waiting`}${row.delayed > 0 ? `, ${number(row.delayed)} delayed` : ''},
            ${number(row.active)} of ${number(concurrencyOf(row))} sending</span
          ></span
        >`,
};

export function laneOf(row: ConnectorRow): Html {
  const { state, waiting, delayed, active, limits } = row;
  const concurrency = concurrencyOf(row);
  return lane({
    family: markOf(row).family,
    gate: gateOf(state),
    waiting,
    delayed,
    sending: active,
    concurrency,
    configured: limits?.concurrency ?? concurrency,
  });
}

export function concurrencyOf({ concurrency, limits }: ConnectorRow): number {
  return concurrency ?? limits?.concurrency ?? 1;
}

export function statusColumn(view: Viewpoint): Column<ConnectorRow> {
  return {
    head: 'Status',
    bare: true,
    cell: (row) => {
      const why = whyOf(row, view);
      return html`${mark(markOf(row))}${why === null ? nothing : sub(why)}`;
    },
  };
}

export function oldestColumn(view: Viewpoint): Column<ConnectorRow> {
  return {
    head: 'Oldest',
    classes: 'n lo3',
    cell: ({ oldestWaitingAt: at }) => (at === null ? '–' : time(at, span(view.now - at), view)),
  };
}

export function deadlineColumn(view: Viewpoint): Column<ConnectorRow> {
  return {
    head: 'First expiry',
    classes: 'n',
    cell: ({ nextDeadlineAt: at }) =>
      at === null ? '–' : time(at, at <= view.now ? 'due' : span(at - view.now), view),
  };
}

/** The use of the tightest limit. */
export const limitsColumn: Column<ConnectorRow> = {
  head: 'Limits',
  classes: 'lo2',
  bare: true,
  cell: ({ limits, used, concurrency }) => {
    if (limits === null) return '–';
    const { recipientsPerDay: day } = limits;
    if (concurrency !== null && concurrency < limits.concurrency) {
      return use(
        `Concurrency: ${number(concurrency)} of ${number(limits.concurrency)}`,
        concurrency / limits.concurrency,
        true,
      );
    }
    if (day !== undefined && day !== null && used.recipientsPerDay !== null) {
      return use(
        `Day: ${number(used.recipientsPerDay)} of ${number(day)}`,
        used.recipientsPerDay / day,
        used.recipientsPerDay >= day,
      );
    }
    const { group = null } = limits;
    if (group !== null && group.recipientsPerDay !== null) {
      const count = used.group?.recipientsPerDay ?? 0;
      const text = `Group ${group.id}: ${number(count)} of ${number(group.recipientsPerDay)}`;
      return use(text, count / group.recipientsPerDay, count >= group.recipientsPerDay);
    }
    return html`<span class="soft">no quota</span>`;
  },
};

function use(text: string, share: number, isTight: boolean): Html {
  return html`<span class="use">${text}${bar(share, isTight ? 'wait' : '')}</span>`;
}

const waits: Readonly<Record<WaitReason, string | null>> = {
  nothing: null,
  work: null,
  retry: 'all of its messages were deferred',
  key: 'messages wait for the key that they are sealed with',
  pause: null,
  fault: null,
  'slow-down': 'the server asked for fewer messages',
  rate: 'at its rate',
  concurrency: 'at its concurrency',
  'recipients-per-day': 'the recipients of the day are used',
  bytes: 'the bytes of the window are used',
  group: 'a limit of its group is used up',
};

/** Why it is as it is, and until when. null where there is nothing to say. */
export function whyOf(row: ConnectorRow, view: Viewpoint): Content {
  const { state, pause, faults, suspect, waitingFor, waitingUntil } = row;
  const until =
    waitingUntil === null || waitingUntil <= view.now ? nothing : html`, until ${clockTime(waitingUntil, view)}`;
  if (state === 'incoming') return null;
  if (pause !== null || state === 'paused') {
    const by = pause?.by ?? 'another program';
    const why = pause?.reason === null || pause === null ? nothing : html`: ${outside(pause.reason)}`;
    return html`${outside(by)}${why}${pause?.until ? html`, until ${clockTime(pause.until, view)}` : ', until it is resumed'}`;
  }
  const [fault] = faults;
  const away = row.fallback?.since ?? null;
  const by =
    away === null
      ? nothing
      : html`its mail goes by ${outside(row.fallback!.to.join(', '))} since ${clockTime(away, view)}; `;
  if (fault !== undefined) {
    const next = fault.until > view.now ? html`, tried again at ${clockTime(fault.until, view)}` : ', tried again now';
    return html`${by}${reply(fault.reply, view, 200)}${next}`;
  }
  if (suspect !== null) {
    return html`${number(suspect.setAside)} wait until other messages show whose fault it is:
    ${reply(suspect.reply, view, 200)}`;
  }
  const words = waits[waitingFor];
  return words === null ? null : html`${words}${until}`;
}

export function deadlineText(at: number, { now, zone }: Viewpoint): string {
  return `${relative(at, now)}, ${atClock(at, now, zone)}`;
}
