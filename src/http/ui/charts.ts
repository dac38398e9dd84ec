/** Sparklines, and the chart of the last 24 hours. */
import { html, raw } from 'hono/html';
import { clock, number } from './format.ts';
import type { Html, Viewpoint } from './parts.ts';

/** A line of at most 96 points; the last is now. Empty where there is nothing to show. */
export function spark(values: readonly number[], family = ''): Html {
  if (values.length < 2) return html``;
  const most = Math.max(...values, 1);
  const points = values.map((value, i) => {
    const x = ((i / (values.length - 1)) * 96).toFixed(1);
    return `${x} ${(22.5 - (value / most) * 20.5).toFixed(1)}`;
  });
  const line = points.join('L');
  return html`<svg class="spark ${family}" viewBox="0 0 96 24" preserveAspectRatio="none" aria-hidden="true">
    ${raw(`<path class="a" d="M0 24L${line}L96 24Z"/><path class="l" d="M${line}"/>`)}
  </svg>`;
}

/** What ended, or went wrong, in one half hour. */
export interface FlowSlot {
  /** When it begins, ms since the epoch. */
  readonly at: number;
  readonly sent: number;
  readonly deferred: number;
  readonly uncertain: number;
  readonly dead: number;
}

const height = 200;
const zero = 128.5;
const above = 107;
const below = 40;

/** Sent mail above the line; problems below it, on their own scale. */
export function flow(slots: readonly FlowSlot[], { zone }: Viewpoint): Html {
  const top = scaleOf(Math.max(...slots.map(({ sent }) => sent), 1));
  const bottom = scaleOf(Math.max(...slots.map(({ deferred, uncertain, dead }) => deferred + uncertain + dead), 1));
  const width = 100 / Math.max(slots.length, 1);
  const grid = top.ticks.map((tick) => ({ y: zero - (tick / top.most) * above, text: number(tick) }));
  const bars = slots.map((slot, i) => bar(slot, i * width, width, top.most, bottom.most)).join('');
  const labels = slots
    .map((slot, i) => ({ at: slot.at, x: (i + 0.5) * width }))
    // Where a zone is a quarter of an hour off, none begins at the hour.
    .filter(({ at }) => minuteOfDay(at, zone) % 180 < 30);
  const sum = (of: (slot: FlowSlot) => number): string => number(slots.reduce((all, slot) => all + of(slot), 0));
  const words = `Messages in each half hour of the last 24 hours. Sent: ${sum(({ sent }) => sent)}. Deferred ${sum(({ deferred }) => deferred)}, uncertain ${sum(({ uncertain }) => uncertain)}, dead or partial ${sum(({ dead }) => dead)}.`;
  const axis = [...grid, { y: zero, text: '0' }, { y: zero + 0.5 + below, text: number(bottom.most) }];
  return html`<div class="flowbox">
      <svg class="flow" height="${height}" aria-hidden="true">
        ${axis.map(({ y, text }) => html`<text x="30" text-anchor="end" y="${(y + 4).toFixed(1)}">${text}</text>`)}
      </svg>
      <svg class="flow" height="${height}" role="img" aria-label="${words}">
        ${grid.map(({ y }) => html`<line x1="0" x2="100%" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}" />`)}
        <line x1="0" x2="100%" y1="${zero + 0.5 + below}" y2="${zero + 0.5 + below}" />
        ${raw(bars)}
        <line class="zero" x1="0" x2="100%" y1="${zero}" y2="${zero}" />
        ${labels.map(({ at, x }) => html`<text x="${x.toFixed(2)}%" y="194" text-anchor="middle">${clock(at, at, zone)}</text>`)}
      </svg>
    </div>
    <p class="legend">
      <span class="sent"><i></i><b>${sum(({ sent }) => sent)}</b> sent</span
      ><span class="def"><i></i><b>${sum(({ deferred }) => deferred)}</b> deferred</span
      ><span class="unc"><i></i><b>${sum(({ uncertain }) => uncertain)}</b> uncertain</span
      ><span class="dead"><i></i><b>${sum(({ dead }) => dead)}</b> dead or partial</span>
    </p>`;
}

function minuteOfDay(at: number, { offsetMinutes }: Viewpoint['zone']): number {
  const local = new Date(at + offsetMinutes * 60_000);
  return local.getUTCHours() * 60 + local.getUTCMinutes();
}

function bar(slot: FlowSlot, x: number, width: number, most: number, worst: number): string {
  const rect = (kind: string, y: number, tall: number): string =>
    tall <= 0
      ? ''
      : `<rect class="${kind}" x="${(x + width * 0.14).toFixed(2)}%" y="${y.toFixed(1)}" width="${(width * 0.72).toFixed(2)}%" height="${tall.toFixed(1)}"/>`;
  const tall = (slot.sent / most) * above;
  let y = zero + 0.5;
  const problems = (['deferred', 'uncertain', 'dead'] as const).map((kind) => {
    const drawn = (slot[kind] / worst) * below;
    y += drawn;
    return rect({ deferred: 'def', uncertain: 'unc', dead: 'dead' }[kind], y - drawn, drawn);
  });
  return rect('sent', zero - 0.5 - tall, tall) + problems.join('');
}

/** A round number at or above the largest value, and the lines below it. */
function scaleOf(largest: number): { readonly most: number; readonly ticks: readonly number[] } {
  const power = 10 ** Math.floor(Math.log10(largest));
  const most =
    [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((value) => value >= largest) ?? largest;
  const ticks = [1, 2, 3].map((third) => Math.round((most * third) / 3));
  return { most, ticks: [...new Set(ticks)] };
}
