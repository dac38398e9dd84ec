/** The frame of every page: skip link, top bar, navigation, one `main`; and only the icons that the page uses. */
import { html, raw } from 'hono/html';
import { eventTypes } from '../../queue/journal/events.ts';
import { clock, counted, memory, number, percent, zoneName } from './format.ts';
import { icon, nothing, time, type Content, type Html, type Viewpoint } from './parts.ts';

export type Theme = 'auto' | 'light' | 'dark';

const places = [
  'overview',
  'connectors',
  'messages',
  'dead-letters',
  'routes',
  'events',
  'webhooks',
  'submission',
  'suppressions',
  'operations',
  'audit',
] as const;
export type Place = (typeof places)[number];

/** What the frame shows of the fleet. */
export interface FleetLine {
  readonly reachable: boolean;
  /** null where this user of Redis may not ask. */
  readonly redis: { readonly usedBytes: number; readonly maxBytes: number | null } | null;
  readonly workers: number;
  readonly sending: number;
  readonly slots: number;
  readonly configuredAt: number | null;
  readonly configurationRejected: boolean;
}

/** Numbers beside the navigation. Null where they are not known. */
export interface Counts {
  readonly heldUp: number | null;
  readonly deadLetters: number | null;
  readonly operations: number | null;
}

export interface Frame extends Viewpoint {
  readonly theme: Theme;
  /** Of the installation, such as "production". */
  readonly environment: string | null;
  /** Who is signed in, and as what. */
  readonly who: string;
  /** false: a proxy signs users in and out. */
  readonly signsOut: boolean;
  readonly csrf: string;
  readonly icons: ReadonlyMap<string, string>;
  readonly place: Place | null;
  /** Those that the viewer may open. */
  readonly places: ReadonlySet<Place>;
  readonly title: string;
  readonly counts: Counts;
  readonly fleet: FleetLine | null;
  /** Above everything: staging, Redis away, a rejected configuration. */
  readonly banners: Content;
}

/** What the stream of events may tell: a browser hears of the types that it asks for alone. */
const liveKinds = [...eventTypes, 'gap'].join(' ');

const titles: Readonly<Record<Place, readonly [string, string]>> = {
  overview: ['Overview', 'overview'],
  connectors: ['Connectors', 'connectors'],
  messages: ['Messages', 'messages'],
  'dead-letters': ['Dead letters', 'deadnav'],
  routes: ['Routes', 'routes'],
  events: ['Events', 'events'],
  webhooks: ['Webhooks', 'webhooks'],
  submission: ['Submission', 'submission'],
  suppressions: ['Suppressions', 'cancelled'],
  operations: ['Operations', 'operations'],
  audit: ['Audit', 'audit'],
};

/** Where a page is: `/ui/` is the overview. */
export function hrefOf(place: Place): string {
  return place === 'overview' ? '/ui/' : `/ui/${place}`;
}

export async function page(frame: Frame, main: Content): Promise<string> {
  const body = String(await html`${shell(frame, main)}`);
  return documentOf(frame, body);
}

/** A page without the frame: the log-in. */
export async function barePage(frame: Pick<Frame, 'theme' | 'title' | 'icons'>, main: Content): Promise<string> {
  return documentOf(frame, String(await html`${main}`));
}

async function documentOf(
  { theme, title, icons }: Pick<Frame, 'theme' | 'title' | 'icons'>,
  body: string,
): Promise<string> {
  const used = [...new Set([...body.matchAll(/href="#i-([a-z0-9]+)"/g)].map(([, name]) => name ?? ''))];
  const symbols = used.map((name) => icons.get(name) ?? '').join('');
  const chosen = theme === 'auto' ? '' : ` data-theme="${theme}"`;
  const text = html`<!doctype html>
    <html lang="en" ${raw(chosen)}>
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover" />
        <meta name="color-scheme" content="light dark" />
        <meta name="referrer" content="same-origin" />
        <title>${title} · Postlane</title>
        <link rel="icon" href="/ui/assets/icon.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/ui/assets/style.css" />
        <script type="module" src="/ui/assets/live.js"></script>
      </head>
      <body>
        <svg class="sprite" width="0" height="0" aria-hidden="true">${raw(symbols)}</svg>
        ${raw(body)}
      </body>
    </html> `;
  return String(await text);
}

function shell(frame: Frame, main: Content): Html {
  return html`<a class="skip" href="#main">Skip to content</a>
    ${topBar(frame)}
    <div class="shell">
      ${navigation(frame)}
      <main id="main" tabindex="-1" data-place="${frame.place ?? ''}">${frame.banners}${main}</main>
    </div>
    <div class="toasts" role="status" aria-live="polite"></div>`;
}

function signOut(classes: string, button: string, { csrf, signsOut }: Frame): Html {
  if (!signsOut) return nothing;
  return html`<form class="${classes}" method="post" action="/ui/sign-out">
    <input type="hidden" name="csrf" value="${csrf}" /><button class="${button}">Sign out</button>
  </form>`;
}

function topBar(frame: Frame): Html {
  const { now, zone, mask, environment, who } = frame;
  return html`<header class="top">
    <div class="top-start">
      <a class="brand" href="/ui/" aria-label="Postlane, overview"
        ><svg viewBox="0 0 22 22" aria-hidden="true"><use href="#i-brand" /></svg><span>Postlane</span></a
      >
      ${environment === null ? nothing : html`<span class="envtag" title="${environment}">${environment}</span>`}
    </div>
    <form class="find" role="search" action="/ui/messages" method="get">
      <label class="vh" for="find">Find a message by recipient, id, Message-ID or From</label>
      ${icon('search')}
      <input
        id="find"
        name="q"
        type="search"
        placeholder="Recipient, id or From"
        maxlength="320"
        autocomplete="off"
        spellcheck="false"
        aria-keyshortcuts="Control+K"
      />
      <kbd aria-hidden="true">Ctrl K</kbd>
    </form>
    <div class="top-end">
      <p class="live" role="status" data-live="off" data-kinds="${liveKinds}">Not live</p>
      <p class="clock">
        ${time(now, clock(now, now, zone, 'seconds'), { now, zone, mask })} <span>${zoneName(zone)}</span>
      </p>
      <p class="who">${who}</p>
      ${signOut('out', 'btn quiet small', frame)}
    </div>
  </header>`;
}

function navigation(frame: Frame): Html {
  const { place, places: open, counts, fleet } = frame;
  const link = (to: Place, count: number | null, unit: string): Html => {
    if (!open.has(to)) return nothing;
    const [title, name] = titles[to];
    const current = to === place ? raw(' aria-current="page"') : nothing;
    const shown =
      count === null || count === 0
        ? nothing
        : html`<span class="count">${number(count)}<span class="vh"> ${unit}</span></span>`;
    return html`<li><a href="${hrefOf(to)}" ${current}>${icon(name)}<span>${title}</span>${shown}</a></li>`;
  };
  return html`<nav class="side" aria-label="Main">
    <ul class="tabs">
      ${link('overview', null, '')} ${link('connectors', counts.heldUp, 'held up')} ${link('messages', null, '')}
      ${link('dead-letters', counts.deadLetters, 'messages')}
      <li class="more-item">
        <a class="more" href="#rest">${icon('more')}<span>More</span></a>
      </li>
    </ul>
    <div class="rest" id="rest">
      <ul>
        ${link('routes', null, '')} ${link('events', null, '')} ${link('webhooks', null, '')}
        ${link('submission', null, '')} ${link('suppressions', null, '')}
        ${link('operations', counts.operations, 'running')} ${link('audit', null, '')}
        <li class="shut">
          <a href="#main">${icon('close')}<span>Close menu</span></a>
        </li>
      </ul>
      ${fleet === null ? nothing : fleetList(fleet, frame)} ${themes(frame)} ${signOut('signout', 'btn quiet', frame)}
    </div>
  </nav>`;
}

function fleetList(fleet: FleetLine, { now, zone }: Viewpoint): Html {
  const { reachable, redis, workers, sending, slots, configuredAt, configurationRejected } = fleet;
  const line = (good: boolean, what: string, value: string): Html =>
    html`<li class="${good ? 'ok' : 'bad'}">${icon(good ? 'tick' : 'fault')}<span>${what}</span><b>${value}</b></li>`;
  const used = (): string => {
    if (!reachable) return 'unreachable';
    if (redis === null) return 'reachable';
    const { usedBytes, maxBytes } = redis;
    return maxBytes === null ? memory(usedBytes) : `${percent(usedBytes / maxBytes)} of ${memory(maxBytes)}`;
  };
  return html`<div class="fleet">
    <h2>Fleet</h2>
    <ul>
      ${line(reachable && !isNearlyFull(redis), 'Redis', used())}
      ${line(workers > 0, counted(workers, 'worker'), `${number(sending)} of ${number(slots)}`)}
      ${configuredAt === null ? nothing : line(!configurationRejected, 'Configuration', clock(configuredAt, now, zone))}
    </ul>
  </div>`;
}

function isNearlyFull(redis: FleetLine['redis']): boolean {
  return redis !== null && redis.maxBytes !== null && redis.usedBytes > 0.8 * redis.maxBytes;
}

function themes({ theme, csrf, place }: Frame): Html {
  const button = (value: Theme, name: string, label: string, shown: Content): Html =>
    html`<button
      type="submit"
      name="theme"
      value="${value}"
      aria-pressed="${String(value === theme)}"
      ${shown === null ? html`aria-label="${label}"` : nothing}
    >
      ${icon(name)}${shown ?? nothing}
    </button>`;
  return html`<form class="themes" method="post" action="/ui/theme">
    <input type="hidden" name="csrf" value="${csrf}" /><input
      type="hidden"
      name="back"
      value="${place === null ? '/ui/' : hrefOf(place)}"
    />
    <fieldset>
      <legend class="vh">Colours</legend>
      <span class="set">
        ${button('auto', 'auto', 'Auto', html`<span>Auto</span>`)} ${button('light', 'sun', 'Light', null)}
        ${button('dark', 'moon', 'Dark', null)}
      </span>
    </fieldset>
  </form>`;
}
