/** The lane and the time left, drawn. Numbers only come in, so that nothing from outside reaches an attribute. */
import { html, raw } from 'hono/html';
import { clock } from './format.ts';
import type { Family, Html, Viewpoint } from './parts.ts';

/** How a lane's gate stands. */
export type Gate = 'open' | 'fault' | 'paused' | 'held';

export interface LaneDrawing {
  readonly family: Family;
  readonly gate: Gate;
  readonly waiting: number;
  readonly delayed: number;
  readonly sending: number;
  /** Concurrency in force, and configured. */
  readonly concurrency: number;
  readonly configured: number;
}

/** Bars are exact up to 12, then logarithmic, at most 34. */
const exactBars = 12;
const mostBars = 34;

function barsFor(count: number): number {
  if (count <= exactBars) return Math.max(0, Math.floor(count));
  return Math.min(mostBars, exactBars + Math.round(Math.log10(count / exactBars) * 9));
}

const gateX = 170;
const step = 4.9;
/** Circles of concurrency that are drawn. More are said in words. */
const mostCircles = 24;

/** Bars wait before a gate; behind it is a circle for each concurrent send: filled in use, a dot where it is withheld. */
export function lane(drawing: LaneDrawing): Html {
  const { family, gate, waiting, delayed } = drawing;
  const letters = barsFor(waiting);
  const later = Math.min(barsFor(delayed), mostBars - letters);
  const bars = (from: number, count: number, shape: (x: string) => string): string =>
    Array.from({ length: count }, (_, i) => shape((from - i * step).toFixed(1).replace(/\.0$/, ''))).join('');
  const laterFrom = gateX - 12 - letters * step - (letters > 0 ? 4.5 : 0);
  return html`<svg class="lane is-${family}" viewBox="0 0 248 26" aria-hidden="true">
    <path class="edge" d="M0 2H170M0 24H170" />
    ${letters === 0 ? '' : raw(`<path class="letter" d="${bars(gateX - 12, letters, (x) => `M${x} 6.5h3v13h-3z`)}"/>`)}
    ${later === 0 ? '' : raw(`<path class="later" d="${bars(laterFrom, later, (x) => `M${x} 7h2v12h-2z`)}"/>`)}
    ${raw(gates[gate])}${raw(circles(drawing))}
  </svg>`;
}

const gates: Readonly<Record<Gate, string>> = {
  open: '<path class="gate" d="M170 2V6M170 20V24"/>',
  fault: '<path class="gate" d="M170 2V6.8M170 19.2V24M166.8 9.8l6.4 6.4M173.2 9.8l-6.4 6.4"/>',
  paused: '<path class="gate" d="M167.4 2V24M172.6 2V24"/>',
  held: '<path class="gate" d="M170 2V8.4M170 17.6V24"/><circle class="gate" cx="170" cy="13" r="3"/>',
};

function circles({ sending, concurrency, configured }: LaneDrawing): string {
  const all = Math.min(mostCircles, Math.max(configured, concurrency, sending));
  const rows = all > 6 ? 2 : 1;
  const columns = Math.ceil(all / rows);
  const gap = rows === 1 ? 6.8 : Math.min(6.3, 64 / columns);
  return Array.from({ length: all }, (_, i) => {
    const cx = (182 + (i % columns) * gap).toFixed(1);
    const cy = rows === 1 ? 13 : i < columns ? 9.4 : 16.6;
    const [kind, radius] =
      i < sending ? ['busy', 2.2] : i < concurrency ? ['free', rows === 1 ? 2 : 1.7] : ['lost', 0.9];
    return `<circle class="${kind}" cx="${cx}" cy="${cy}" r="${radius}"/>`;
  }).join('');
}

export interface TimeLeft {
  /** When the lane goes on, ms since the epoch; null if it is sending. */
  readonly resumesAt: number | null;
  /** When its first message expires. */
  readonly expiresAt: number;
  readonly paused: boolean;
}

const trackMs = 24 * 3_600_000;

/** One track of 24 hours: dotted until it resumes, then a line, then a diamond where the first message expires. */
export function timeLeft({ resumesAt, expiresAt, paused }: TimeLeft, { now, zone }: Viewpoint): Html {
  const at = (time: number): number => Math.min(100, Math.max(0, ((time - now) / trackMs) * 100));
  const percent = (value: number): string => `${value.toFixed(2)}%`;
  const [goes, ends] = [resumesAt === null ? 0 : at(resumesAt), at(expiresAt)];
  const idle = paused ? ' idle' : '';
  const label = clock(expiresAt, now, zone);
  const before = ends > 50;
  return html`<svg height="30" aria-hidden="true">
    <line class="track" x1="0" x2="100%" y1="15" y2="15" />
    ${resumesAt === null ? '' : html`<line class="shut${idle}" x1="0" x2="${percent(Math.min(goes, ends))}" y1="15" y2="15" />`}
    ${goes < ends ? html`<line class="run" x1="${percent(goes)}" x2="${percent(ends)}" y1="15" y2="15" />` : ''}
    ${resumesAt === null ? '' : html`<circle class="goes${idle}" cx="${percent(goes)}" cy="15" r="3.5" />`}
    <svg x="${percent(ends)}" y="15" width="1" height="1" overflow="visible">
      <path class="end" d="M0-5 5 0 0 5-5 0z" />
    </svg>
    <text x="${percent(ends)}" y="19" dx="${before ? -11 : 11}" text-anchor="${before ? 'end' : 'start'}" class="lbl">
      ${label}
    </text>
  </svg>`;
}

/** The scale below the tracks. */
export const timeLeftAxis: Html = html`<svg class="axis" height="30">
  ${raw(['0', '25%', '50%', '75%', '100%'].map((x) => `<line x1="${x}" x2="${x}" y1="0" y2="6"/>`).join(''))}
  <text x="0" y="18">now</text>
  <text x="50%" y="18" text-anchor="middle">+12&nbsp;h</text>
  <text x="100%" y="18" text-anchor="end">+24&nbsp;h</text>
</svg>`;
