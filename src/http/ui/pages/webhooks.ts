/** Webhooks: each endpoint with what waits for it, what could not be delivered, and why it is switched off. */
import { html } from 'hono/html';
import type { WebhookEndpoint } from '../../../config/webhooks.ts';
import type { WebhookView } from '../../../queue/deliveries/deliveries.ts';
import { counted, number, span } from '../format.ts';
import { hrefOfWebhook } from '../hrefs.ts';
import { agoTime, empty, mark, outside, reply, sub, table, time, type Column, type Html, type Mark } from '../parts.ts';
import type { Page, Visit } from '../visit.ts';

/** Of which something is kept, and which are not in the configuration. */
const mostStrange = 200;

export interface WebhookRow extends WebhookView {
  /** null: it has left the configuration. */
  readonly endpoint: WebhookEndpoint | null;
}

export async function readWebhooks({ operator, tools }: Pick<Visit, 'operator' | 'tools'>): Promise<WebhookRow[]> {
  const endpoints = tools.config().webhooks;
  const configured = new Set(endpoints.map(({ id }) => id));
  const strange = (await operator.webhooks.known()).filter((id) => !configured.has(id)).slice(0, mostStrange);
  const all = [...endpoints.map((endpoint) => ({ id: endpoint.id, endpoint })), ...strange.map(strangerOf)];
  return Promise.all(all.map(async ({ id, endpoint }) => ({ ...(await operator.webhooks.view(id)), endpoint })));
}

function strangerOf(id: string): { readonly id: string; readonly endpoint: null } {
  return { id, endpoint: null };
}

/** The host alone: a path may hold a secret. */
export function originOf({ endpoint }: WebhookRow): string {
  return endpoint === null ? 'not in the configuration' : new URL(endpoint.url).origin;
}

export function markOfWebhook({ endpoint, off, failures, delivered }: WebhookRow): Mark {
  if (endpoint === null) return { family: 'idle', icon: 'idle', word: 'not configured' };
  if (off !== null) return { family: 'bad', icon: 'fault', word: 'switched off' };
  if (failures > 0) return { family: 'wait', icon: 'deferred', word: 'failing' };
  if (delivered === 0) return { family: 'idle', icon: 'idle', word: 'nothing sent yet' };
  return { family: 'ok', icon: 'accepted', word: 'delivering' };
}

/** Why it is off or fails; null where it is neither. */
export function whyOfWebhook({ off, failures }: WebhookRow): string | null {
  if (off === 'gone') return 'it answered 410, which means that it is gone';
  if (off === 'failing') return 'nothing could be delivered to it for three days';
  return failures === 0 ? null : `${counted(failures, 'failure')} in a row`;
}

function rank({ off, failures, deadLetters }: WebhookRow): number {
  if (off !== null) return 0;
  if (failures > 0) return 1;
  return deadLetters > 0 ? 2 : 3;
}

export const webhooksPage: Page = async (visit) => {
  const rows = (await readWebhooks(visit)).sort((a, b) => rank(a) - rank(b) || (a.id < b.id ? -1 : 1));
  return {
    title: 'Webhooks',
    place: 'webhooks',
    main: html`<header class="head">
        <h1>Webhooks</h1>
        <p class="lede">${verdict(rows)}</p>
      </header>
      ${
        rows.length === 0
          ? empty({
              what: 'No webhook is configured.',
              next: html`Add an endpoint to <code>webhooks</code> in the configuration, and it is told of events.`,
            })
          : table('Webhooks, the ones in trouble first', columns(visit), rows)
      }`,
  };
};

function verdict(rows: readonly WebhookRow[]): string {
  if (rows.length === 0) return 'Endpoints that are told of events by HTTP.';
  const off = rows.filter(({ endpoint, off: why }) => endpoint !== null && why !== null).length;
  const failing = rows.filter(({ off: why, failures }) => why === null && failures > 0).length;
  const dead = rows.reduce((sum, { deadLetters }) => sum + deadLetters, 0);
  const parts = [
    off > 0 ? `${counted(off, 'webhook')} ${off === 1 ? 'is' : 'are'} switched off.` : '',
    failing > 0 ? `${counted(failing, 'webhook')} ${failing === 1 ? 'does' : 'do'} not take events at the moment.` : '',
    off + failing === 0 ? 'Every webhook takes what it is sent.' : '',
    dead > 0 ? `${counted(dead, 'event')} could not be delivered.` : '',
  ];
  return parts.filter((part) => part !== '').join(' ');
}

function columns(visit: Visit): Column<WebhookRow>[] {
  return [
    {
      head: 'Webhook',
      classes: 'first',
      names: true,
      cell: (row) => html`<a href="${hrefOfWebhook(row.id)}">${outside(row.id)}</a>${sub(outside(originOf(row)))}`,
    },
    { head: 'State', bare: true, cell: (row) => stateCell(row) },
    { head: 'Waiting', classes: 'n inl', cell: ({ open }) => number(open) },
    {
      head: 'Oldest',
      classes: 'n inl',
      cell: ({ oldestAt: at }) => (at === null ? '–' : time(at, span(visit.now - at), visit)),
    },
    { head: 'Dead letters', classes: 'n inl', cell: ({ deadLetters }) => number(deadLetters) },
    { head: 'Delivered', classes: 'n lo inl', cell: ({ delivered }) => number(delivered) },
    {
      head: 'Last delivery',
      classes: 'lo3',
      cell: ({ deliveredAt: at }) => (at === null ? '–' : agoTime(at, visit)),
    },
    {
      head: 'Last failure',
      classes: 'any',
      bare: true,
      cell: ({ lastReason, failedAt: at }) =>
        lastReason === null
          ? '–'
          : html`<span class="mid">${reply(lastReason, visit, 160)}</span
              >${at === null ? '' : sub(agoTime(at, visit))}`,
    },
  ];
}

function stateCell(row: WebhookRow): Html {
  const why = whyOfWebhook(row);
  return html`${mark(markOfWebhook(row))}${why === null ? '' : sub(why)}`;
}
