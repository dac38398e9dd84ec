/** Puts a page into its frame: the state of the fleet beside the navigation, banners above everything, and what was done last. */
import { html } from 'hono/html';
import { hasScope } from '../api/access.ts';
import type { Tools } from '../api/route.ts';
import type { Stats } from '../../admin/stats.ts';
import { deliveryWords, type DeliverySettings } from '../../config/delivery-words.ts';
import type { Assets } from './assets.ts';
import { cookieName, setCookie, themeOf, zoneOf, type Cookies } from './cookies.ts';
import { clock, counted, masked } from './format.ts';
import { page } from './layout.ts';
import { banner, nothing, type Content, type Viewpoint } from './parts.ts';
import * as respond from './responses.ts';
import type { Notice, Session, Sessions } from './session.ts';
import { countsOf, fleetOf, placesFor, type Shown, type Visit } from './visit.ts';

export interface Framing {
  readonly tools: Tools;
  readonly assets: Assets;
  readonly glance: Visit['glance'];
  readonly cookies: Cookies;
  readonly sessions: Sessions;
  readonly session: Session;
  readonly secure: boolean;
}

export async function framed(framing: Framing, { title, place, main, status = 200 }: Shown): Promise<Response> {
  const { tools, assets, glance, cookies, sessions, session, secure } = framing;
  const { token, formToken } = session;
  const can: Visit['can'] = (scope) => hasScope(token, scope);
  const seesFleet = can('connectors:read');
  const stats = seesFleet ? await glance().catch(() => null) : null;
  const now = tools.now();
  const noticed = cookies.get(cookieName('notice', secure));
  const notice = noticed === undefined ? null : sessions.readNotice(noticed, now);
  const view = { now, zone: zoneOf(cookies), mask: tools.config().ui.maskRecipients };
  const text = await page(
    {
      ...view,
      theme: themeOf(cookies),
      environment: tools.config().hostname,
      who: token.id,
      signsOut: !session.byProxy,
      csrf: formToken,
      icons: assets.icons,
      place,
      places: placesFor(token),
      title,
      counts: countsOf(stats, can),
      fleet: seesFleet ? fleetOf(stats, tools.configState()) : null,
      banners: [
        delivery(tools.config().delivery, view),
        banners(notice, seesFleet ? { stats, state: tools.configState() } : null, view),
      ],
    },
    main,
  );
  return respond.page(text, status, noticed === undefined ? [] : [setCookie('notice', '', 0, secure)]);
}

/** Everyone sees it: who looks for a mail that did not arrive finds why. */
function delivery(settings: DeliverySettings, { mask }: Viewpoint): Content {
  const { redirectTo } = settings;
  const words = deliveryWords(mask && redirectTo !== null ? { ...settings, redirectTo: masked(redirectTo) } : settings);
  if (words === null) return nothing;
  const strong = `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
  return banner('wait staging', 'fault', strong, html`The section <code>delivery</code> of the configuration says so.`);
}

interface Fleet {
  readonly stats: Stats | null;
  readonly state: ReturnType<Tools['configState']>;
}

function banners(notice: Notice | null, fleet: Fleet | null, { now, zone }: Viewpoint): Content {
  return html`${notice === null ? nothing : html`<div role="status">${noticed(notice)}</div>`}
  ${fleet === null ? nothing : fleetBanners(fleet, (at) => clock(at, now, zone))}`;
}

function noticed({ good, text }: Notice): Content {
  return good ? banner('ok', 'accepted', text, '') : banner('bad', 'fault', text, '');
}

function fleetBanners({ stats, state }: Fleet, at: (ms: number) => string): Content {
  const { rejectedAt, mistakes } = state;
  return [
    rejectedAt === null
      ? nothing
      : banner(
          'wait',
          'note',
          `The configuration of ${at(rejectedAt)} is not in force.`,
          `It has ${counted(mistakes, 'mistake')}, which the log lists; the one before it goes on.`,
        ),
    stats !== null && stats.workers.length === 0
      ? banner(
          'bad',
          'fault',
          'No worker is running.',
          'Messages are accepted and wait; none is sent until `postlane worker` runs.',
        )
      : nothing,
  ];
}
