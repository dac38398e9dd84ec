/** Routes: which connector sends for a From address, by which rule, and why not another. */
import { html } from 'hono/html';
import { createRoutes, type Routes } from '../../../admin/routes.ts';
import { parseMailbox } from '../../../message/address.ts';
import { counted, number, span, visible } from '../format.ts';
import { empty, icon, nothing, outside, section, table, type Html } from '../parts.ts';
import { wayOf, wayText } from '../../../transport/proxy.ts';
import { connectorLink } from '../rows.ts';
import type { Page, Visit } from '../visit.ts';

/** Patterns of one page: an installation may have thousands of connectors. */
const mostPatterns = 1_000;
const mostNever = 100;

export const routesPage: Page = (visit) => {
  const config = visit.tools.config();
  const routes = createRoutes(config);
  const asked = (visit.url.searchParams.get('from') ?? '').trim().slice(0, 1_000);
  const patterns = routes.patterns();
  const never = routes.neverChosen();
  const { unmonitoredAddress } = config;
  return Promise.resolve({
    title: 'Routes',
    place: 'routes' as const,
    main: html`<header class="head">
        <h1>Routes</h1>
        <p class="lede">Which connector sends for a From address, by which rule, and why not another.</p>
      </header>
      <form class="filters" method="get" action="/ui/routes" role="search" aria-label="Explain an address">
        <div class="f grow">
          <label for="from">From address</label
          ><input
            id="from"
            name="from"
            type="text"
            inputmode="email"
            value="${asked}"
            maxlength="1000"
            spellcheck="false"
          />
        </div>
        <div class="acts"><button class="btn primary">Explain</button></div>
      </form>
      <div class="cols">
        <div>
          ${asked === '' ? nothing : answer(asked, routes, visit)}
          ${section(
            {
              id: 'all',
              title: 'All routes',
              note: `${counted(patterns.length, 'pattern')}, in the order in which they are asked`,
            },
            patterns.length === 0
              ? empty({ what: 'No connector sends.', next: 'Give one the direction outgoing or both.' })
              : html`${table(
                  'All routes',
                  [
                    {
                      head: 'From',
                      names: true,
                      cell: ({ pattern }) => html`<b>${pattern === '*' ? 'everything else' : outside(pattern)}</b>`,
                    },
                    { head: 'Rule', cell: ({ rule }) => html`<span class="mid">${rule}</span>` },
                    { head: 'Connector', cell: ({ connector }) => connectorLink(connector) },
                  ],
                  patterns.slice(0, mostPatterns),
                )}${patterns.length > mostPatterns ? html`<p class="prose">${counted(patterns.length - mostPatterns, 'more pattern')}, which the API lists.</p>` : nothing}`,
          )}
        </div>
        <div>
          ${section(
            {
              id: 'never',
              title: 'Never chosen',
              note: never.length === 0 ? '' : `${number(never.length)} of ${number(config.connectors.length)}`,
            },
            never.length === 0
              ? empty({
                  what: 'Every connector is chosen by some address.',
                  next: 'One that receives alone would be listed here.',
                })
              : html`<ul class="can">
                  ${never.slice(0, mostNever).map(
                    ({ connector, why }) =>
                      html`<li class="no">
                        ${icon('idle')}<b>${connectorLink(connector)}</b>
                        <p>${why}</p>
                      </li>`,
                  )}
                </ul>`,
          )}
          ${section({ id: 'nofrom', title: 'Without a From' }, withoutFrom(routes, unmonitoredAddress?.address ?? null))}
        </div>
      </div>`,
  });
};

function withoutFrom(routes: Routes, address: string | null): Html {
  if (address === null) {
    return html`<p class="prose">They become dead letters: <code>unmonitoredAddress</code> is not set.</p>`;
  }
  const connector = routes.target(null);
  return html`<p class="prose">
    They are sent as ${outside(address)}, the unmonitored
    address${connector === null ? '' : html`, through ${connectorLink(connector)}`}.
  </p>`;
}

function answer(asked: string, routes: Routes, { tools }: Visit): Html {
  const parsed = parseMailbox(asked);
  if (!parsed.ok) {
    return empty({
      what: `“${visible(asked)}” is no address.`,
      next: 'Write it as local@example.com, with or without a name.',
    });
  }
  const { from, connector, rule, passedOver, fallback, fallbackAfterMs, fallbackAtOnce } = routes.explain(
    parsed.value.address,
  );
  const faults = fallbackAtOnce.length === 0 ? '' : `, or at once if the fault is ${fallbackAtOnce.join(' or ')}`;
  const after = `After ${span(fallbackAfterMs ?? 0)}${faults}.`;
  const words = {
    exact: 'as it has this address.',
    domain: 'as it has the domain.',
    default: 'as the system default gateway.',
    none: '',
  }[rule];
  const step = (isIt: boolean, question: string, text: string): Html =>
    html`<li class="${isIt ? '' : 'off'}">
      <span class="dot ${isIt ? 'ok' : 'idle'}">${icon(isIt ? 'accepted' : 'idle')}</span>
      <div>
        <h3>${question}</h3>
        <p>${text}</p>
      </div>
    </li>`;
  const isAfter = { exact: 0, domain: 1, default: 2, none: 3 }[rule];
  const { systemDefaultGateway: gateway, connectors } = tools.config();
  const way = wayText(wayOf(connectors.find(({ id }) => id === connector)?.transport ?? null));
  return html`<section class="sec" aria-labelledby="h-ans">
      <p class="head-of">${outside(from)}</p>
      <h2 class="verdict" id="h-ans">
        ${connector === null ? html`<b>No connector sends for it.</b> A message would be a dead letter.` : html`<b>${connectorLink(connector)} sends for it,</b> ${words}${way === null ? nothing : html` It goes through the proxy ${outside(way)}.`}`}
      </h2>
    </section>
    ${section(
      { id: 'path', title: 'How the route is found', note: 'three rules, in this order' },
      html`<ol class="path">
        ${step(rule === 'exact', 'Does a connector have this address?', rule === 'exact' ? 'Yes.' : 'No connector that sends has it. Letter case and names do not matter.')}
        ${isAfter > 0 ? step(rule === 'domain', 'Does a connector have its domain?', rule === 'domain' ? 'Yes.' : 'No connector that sends has it. A subdomain is another domain.') : nothing}
        ${isAfter > 1 ? step(rule === 'default', 'Is there a system default gateway?', gateway === null ? 'No, it is disabled.' : `Yes: ${gateway}.`) : nothing}
      </ol>`,
    )}
    ${
      fallback.length === 0
        ? nothing
        : section(
            { id: 'stand', title: 'While it is at fault' },
            html`<ul class="can">
              ${fallback.map(
                (each) =>
                  html`<li class="${each.maySend ? '' : 'no'}">
                    ${icon(each.maySend ? 'tick' : 'cross')}<b>${connectorLink(each.connector)}</b>
                    <p>${each.maySend ? after : 'It may not send for this address.'}</p>
                  </li>`,
              )}
            </ul>`,
          )
    }
    ${
      passedOver.length === 0
        ? nothing
        : section(
            { id: 'not', title: 'Passed over' },
            html`<ul class="can">
              ${passedOver.map(
                (each) =>
                  html`<li class="no">
                    ${icon('cross')}<b>${connectorLink(each.connector)}</b>
                    <p>${each.why}</p>
                  </li>`,
              )}
            </ul>`,
          )
    }`;
}
