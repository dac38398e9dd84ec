/** The limits of a connector, with their use, and its settings. */
import { html } from 'hono/html';
import type { ConnectorRow } from '../../../admin/connector-row.ts';
import { wayText } from '../../../transport/proxy.ts';
import { memory, number, percent, relative, span } from '../format.ts';
import { bar, clockTime, facts, outside, type Content, type Html } from '../parts.ts';
import { concurrencyOf } from '../rows.ts';
import type { Visit } from '../visit.ts';

type UsedOf = (count: number | null, most: number, show: (value: number) => string) => Content;

export function limits(row: ConnectorRow): Html {
  const { limits: set, used, learnedMessagesPerMinute: learned } = row;
  if (set === null) return html`<p class="prose">It is not configured any more.</p>`;
  const now = concurrencyOf(row);
  const day = set.recipientsPerDay ?? null;
  const window = set.bytesPerWindow ?? null;
  const usedOf = (count: number | null, most: number, show: (value: number) => string): Content =>
    html`${show(count ?? 0)} of ${show(most)},
    ${percent((count ?? 0) / most)}${bar((count ?? 0) / most, (count ?? 0) >= most ? 'wait' : '')}`;
  return facts([
    [
      'Concurrency',
      now < set.concurrency
        ? html`<b>${number(now)}</b> of ${number(set.concurrency)}${bar(now / set.concurrency, 'wait')}<small
              >fewer after a fault, or while the server throttles</small
            >`
        : number(set.concurrency),
    ],
    ['Rate', set.messagesPerMinute === null ? 'no limit' : `${number(set.messagesPerMinute)} messages a minute`],
    ...(learned === null ? [] : [['Rate that the server bears', `${number(learned)} messages a minute`] as const]),
    ['Recipients per day', day === null ? 'no limit' : usedOf(used.recipientsPerDay, day, number)],
    ['Bytes per window', window === null ? 'no limit' : usedOf(used.bytesPerWindow, window.bytes, memory)],
    ...groupFacts(row, usedOf),
    [
      'Largest message',
      set.maxBytes === null || set.maxBytes === undefined ? 'what the server takes' : memory(set.maxBytes),
    ],
  ]);
}

export function settings(row: ConnectorRow, visit: Visit): Html {
  const { addresses, server, localAddress, dkim, transport, direction, credentialExpiresAt, isDefault } = row;
  const way = wayText(row);
  const ends =
    credentialExpiresAt === null
      ? 'not known'
      : html`${clockTime(credentialExpiresAt, visit, 'minutes')}<small
            >${relative(credentialExpiresAt, visit.now)}</small
          >`;
  return facts([
    [
      'Sends for',
      addresses.length === 0
        ? isDefault
          ? 'everything else'
          : 'no address'
        : html`${addresses.map((each) => html`${outside(each)} `)}`,
    ],
    ['Direction', direction ?? 'not configured any more'],
    ['Transport', transport === null ? '–' : transport === 'graph' ? 'Microsoft Graph' : 'SMTP'],
    ['Server', server === null ? '–' : html`<span class="mono">${outside(server)}</span>`],
    ...(way === null ? [] : [['Proxy', html`<span class="mono">${outside(way)}</span>`] as const]),
    ...(localAddress === null
      ? []
      : [['Connects from', html`<span class="mono">${outside(localAddress)}</span>`] as const]),
    ...(dkim === null ? [] : [['DKIM', html`selector ${outside(dkim.selector)} of ${outside(dkim.domain)}`] as const]),
    ['Credential ends', ends],
    ['Fallback', fallbackText(row)],
    ['Default gateway', isDefault ? 'yes, for every From that no other connector has' : 'no'],
  ]);
}

function fallbackText({ fallback }: ConnectorRow): Content {
  if (fallback === null) return 'none: its mail waits while it is at fault';
  const { to, afterMs, atOnce } = fallback;
  const sooner = atOnce.length === 0 ? '' : `, at once for ${atOnce.join(', ')}`;
  return html`${outside(to.join(', '))}<small
      >${afterMs === 0 ? 'as soon as it is at fault' : `after ${span(afterMs)} at fault${sooner}`}</small
    >`;
}

/** Of the group that it is in, used by all connectors of the group. */
function groupFacts({ limits: set, used }: ConnectorRow, usedOf: UsedOf): (readonly [string, Content])[] {
  const group = set?.group ?? null;
  if (group === null) return [];
  const { id, messagesPerMinute: pace, recipientsPerDay: day, bytesPerWindow: window } = group;
  const all = used.group;
  return [
    ...(pace === null
      ? []
      : [[`Group ${id}: messages per minute`, usedOf(all?.messagesPerMinute ?? null, pace, number)] as const]),
    ...(day === null
      ? []
      : [[`Group ${id}: recipients per day`, usedOf(all?.recipientsPerDay ?? null, day, number)] as const]),
    ...(window === null
      ? []
      : [[`Group ${id}: bytes per window`, usedOf(all?.bytesPerWindow ?? null, window.bytes, memory)] as const]),
  ];
}
