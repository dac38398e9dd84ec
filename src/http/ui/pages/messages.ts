/** Messages: found by recipient, id, Message-ID, From, metadata, connector, state and time. No subject and no body. */
import { html } from 'hono/html';
import type { MessageSummary } from '../../../admin/messages.ts';
import { PostlaneError } from '../../../errors.ts';
import { ledgerStates } from '../../../queue/ledger/ledger.ts';
import { mayUse } from '../../api/access.ts';
import { atClock, clock, counted, number, visible } from '../format.ts';
import { hrefOfMessage, shortId } from '../hrefs.ts';
import { bounceText } from '../ledger.ts';
import { bounceMarks, messageMarks } from '../marks.ts';
import {
  empty,
  mark,
  nothing,
  outside,
  recipient,
  reply,
  sub,
  table,
  time,
  type Column,
  type Content,
  type Html,
} from '../parts.ts';
import { picked, query, select } from '../query.ts';
import { connectorLink } from '../rows.ts';
import type { Page, Visit } from '../visit.ts';

const pageSize = 50;
const hourMs = 3_600_000;
const ranges = { '1h': hourMs, '24h': 24 * hourMs, '7d': 7 * 24 * hourMs } as const;
const rangeWords = { '1h': 'in the last hour', '24h': 'in the last 24 hours', '7d': 'in the last 7 days' } as const;

type Query = Parameters<Visit['operator']['messages']>[0];

/** What one field may mean: an address is a recipient, with `from:` a sender; the rest is an id or a Message-ID. */
function queryOf(text: string): Pick<Query, 'recipient' | 'from' | 'messageId'> {
  if (text === '') return {};
  if (/^from:/i.test(text)) return { from: text.slice(5).trim() };
  if (/^<.*>$/.test(text) || /^[\w-]+\.[\da-z]{10}@/.test(text)) return { messageId: text };
  return text.includes('@') ? { recipient: text } : { messageId: text };
}

export const messagesPage: Page = async (visit) => {
  const { url, tools, token } = visit;
  const asked = url.searchParams;
  const text = (asked.get('q') ?? '').trim().slice(0, 1_000);
  const state = picked(ledgerStates, asked.get('state'));
  const connector = (asked.get('connector') ?? '').trim().slice(0, 64);
  const range = picked(Object.keys(ranges) as (keyof typeof ranges)[], asked.get('since'));
  const bounced = asked.get('bounced') === '1';
  const metadata = (asked.get('metadata') ?? '').trim().slice(0, 1_000);
  const at = metadata.indexOf('=');
  const keep = { q: text, state, connector, since: range, metadata, bounced: bounced ? '1' : null };
  // An id is the shortest way to a message, whatever is indexed.
  const byId = text !== '' && /^[\w-]{1,128}$/.test(text) ? await tools.producer.status(text) : null;
  const found =
    byId === null
      ? await search(visit, {
          ...queryOf(text),
          ...(state === null ? {} : { state }),
          ...(bounced ? { bounced } : {}),
          ...(connector === '' ? {} : { connector }),
          ...(range === null ? {} : { since: visit.now - ranges[range] }),
          ...(at < 1 ? {} : { metadata: { [metadata.slice(0, at)]: metadata.slice(at + 1) } }),
          cursor: asked.get('cursor'),
          limit: pageSize,
        })
      : null;
  const what = text === '' ? 'messages' : `messages for ${text}`;
  const where = `${what}${state === null ? '' : `, ${state}`}${bounced ? ' that came back' : ''}${connector === '' ? '' : `, through ${connector}`}${range === null ? '' : `, ${rangeWords[range]}`}`;
  return {
    title: 'Messages',
    place: 'messages',
    main: html`<header class="head">
        <h1>Messages</h1>
        <p class="lede">
          Search by recipient, id, Message-ID or From (<code>from:sales@example.com</code>). Subjects and bodies are
          neither searched nor shown here.
        </p>
      </header>
      <form class="filters" id="filters" method="get" action="/ui/messages" role="search" aria-label="Search messages">
        <div class="f grow">
          <label for="q">Recipient, id, Message-ID or From</label
          ><input id="q" name="q" type="search" value="${text}" maxlength="1000" spellcheck="false" />
        </div>
        ${select('state', 'State', state, [['', 'Any'], ...ledgerStates.map((each) => [each, each] as const)])}
        ${select('bounced', 'Came back', bounced ? '1' : null, [
          ['', 'Or not'],
          ['1', 'Yes'],
        ])}
        <div class="f">
          <label for="connector">Connector</label
          ><input id="connector" name="connector" value="${connector}" maxlength="64" />
        </div>
        ${select('since', 'Accepted', range, [
          ['', 'At any time'],
          ['1h', 'Last hour'],
          ['24h', 'Last 24 hours'],
          ['7d', 'Last 7 days'],
        ])}
        <div class="f">
          <label for="metadata">Metadata</label
          ><input id="metadata" name="metadata" value="${metadata}" maxlength="1000" placeholder="orderId=4711" />
        </div>
        <div class="acts">
          <button class="btn primary">Search</button><a class="btn quiet" href="/ui/messages">Clear</a
          ><a class="btn quiet morefilters" href="#filters">More filters</a>
        </div>
      </form>
      <section class="sec" aria-labelledby="h-res">
        <div class="sec-head">
          <h2 id="h-res"><bdi>${visible(where[0]!.toUpperCase() + where.slice(1))}</bdi></h2>
          <p>newest first</p>
        </div>
        ${
          byId !== null && mayUse(token, byId.from)
            ? html`<p class="prose">
                This is the id of a message: <a class="mono" href="${hrefOfMessage(byId.id)}">${byId.id}</a>
              </p>`
            : found === null
              ? empty({
                  what: 'No message has this id.',
                  next: 'Settled messages are removed after their time (`retention.ledger`).',
                })
              : results(found, keep, visit)
        }
      </section>`,
  };
};

type Found =
  | {
      readonly ok: true;
      readonly items: readonly MessageSummary[];
      readonly next: string | null;
      readonly complete: boolean;
    }
  | { readonly ok: false; readonly why: string };

async function search({ operator, token }: Visit, asked: Query): Promise<Found> {
  try {
    const { items, next, complete } = await operator.messages(asked);
    return { ok: true, items: items.filter(({ from }) => mayUse(token, from)), next, complete };
  } catch (thrown) {
    if (thrown instanceof PostlaneError && (thrown.code === 'not-indexed' || thrown.code === 'query-invalid')) {
      return { ok: false, why: thrown.message };
    }
    throw thrown;
  }
}

function results(found: Found, keep: Readonly<Record<string, string | null>>, visit: Visit): Content {
  if (!found.ok) {
    return empty({ what: found.why, next: 'Search by a recipient, an id, a connector, a state or a time instead.' });
  }
  const { items, next, complete } = found;
  if (items.length === 0 && next === null) {
    const isAsked = Object.values(keep).some((each) => each !== null && each !== '');
    return isAsked
      ? empty({
          what: 'No message was found.',
          next: html`Check the spelling, or <a href="/ui/messages">show the newest messages</a>. By its Message-ID, a
            message is found once a worker has routed it.`,
        })
      : empty({
          what: 'There are no messages yet.',
          next: html`Send one with <code>postlane send</code> or the API, and it is listed here.`,
        });
  }
  return html`<p class="vh" role="status">${counted(items.length, 'message')} found</p>
    ${messageTable('Messages, newest first', items, keep['q'] ?? '', visit)}
    <div class="pager">
      <span
        >${counted(items.length, 'message')}${complete ? '' : '; some that match may be missing, as not all of them are indexed'}</span
      >
      <div class="acts">
        ${next === null ? nothing : html`<a class="btn small" href="/ui/messages${query({ ...keep, cursor: next })}">Older</a>`}
      </div>
    </div>`;
}

function messageTable(caption: string, items: readonly MessageSummary[], asked: string, visit: Visit): Html {
  const columns: Column<MessageSummary>[] = [
    {
      head: 'Accepted',
      classes: 'second',
      bare: true,
      cell: ({ at }) => time(at, clock(at, visit.now, visit.zone), visit, true),
    },
    { head: 'State', classes: 'first', bare: true, cell: stateCell },
    {
      head: 'To',
      classes: 'any',
      names: true,
      cell: (item) =>
        html`<a href="${hrefOfMessage(item.id)}">${toOf(item, asked, visit)}</a
          >${item.recipientCount > 1 ? html` <span class="soft">and ${number(item.recipientCount - 1)} more</span>` : nothing}`,
    },
    { head: 'From', classes: 'any inl', cell: ({ from }) => (from === null ? '–' : outside(from)) },
    {
      head: 'Connector',
      classes: 'inl',
      cell: ({ connector }) => (connector === null ? '–' : connectorLink(connector)),
    },
    { head: 'Attempts', classes: 'n lo inl', cell: ({ attempts }) => number(attempts) },
    { head: 'Last reply', classes: 'any', bare: true, cell: (item) => lastReply(item, visit) },
    { head: 'Id', classes: 'lo2', cell: ({ id }) => html`<span class="mono soft nowrap">${shortId(id)}</span>` },
  ];
  return table(caption, columns, items);
}

function stateCell({ state, recipients }: MessageSummary): Html {
  const back = recipients.some(({ bounce }) => bounce?.action === 'failed');
  return html`${mark(messageMarks[state])}${back ? sub(mark(bounceMarks.failed)) : nothing}`;
}

/** The recipient that was asked for, or else the first. */
function toOf({ recipients, erasedAt }: MessageSummary, asked: string, visit: Visit): Content {
  if (erasedAt !== null) return 'erased';
  const wanted = asked.toLowerCase();
  const first = recipients.find(({ address }) => address.toLowerCase() === wanted) ?? recipients[0];
  return first === undefined ? 'no recipient' : recipient(first.address, visit);
}

function lastReply({ recipients, reason, retryAt, state }: MessageSummary, visit: Visit): Content {
  const back = recipients.find(({ bounce }) => bounce?.action === 'failed')?.bounce;
  if (back !== undefined) return html`<span class="mid">${reply(bounceText(back), visit, 160)}</span>`;
  const worst = recipients.find(({ outcome }) => outcome !== 'accepted' && outcome !== 'pending') ?? recipients[0];
  if (worst?.reply) return html`<span class="mid">${reply(worst.reply, visit, 160)}</span>`;
  if (state === 'scheduled' && retryAt !== null)
    return html`<span class="mid">sent ${atClock(retryAt, visit.now, visit.zone)}</span>`;
  return reason === null ? '–' : html`<span class="mid">${reason}</span>`;
}
