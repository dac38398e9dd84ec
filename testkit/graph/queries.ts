/** Lists of messages: `$filter` by internetMessageId, isDraft or receivedDateTime, `$orderby` that, `$select`, `$top`, `$skip`. Others are refused. */
import { graphError, json } from './answers.ts';
import type { OpenMailbox, StoredMessage } from './mailbox.ts';
import { messageJson, selectedJson, type Json } from './message-json.ts';
import type { Answer } from './requests.ts';

/** Graph's page, if `$top` does not say otherwise. */
const pageSize = 10;

export function findMessages(
  mailbox: OpenMailbox,
  messages: readonly StoredMessage[],
  query: ReadonlyMap<string, string>,
  immutable: boolean,
  /** Of the list, without a query. */
  url: string,
): Answer {
  const filter = readFilter(query.get('$filter') ?? '');
  if (filter === null) return graphError(400, 'BadRequest', `Invalid filter clause: ${query.get('$filter')}`);
  const [asked, skip] = [Number(query.get('$top') ?? pageSize), Number(query.get('$skip') ?? 0)];
  if (!Number.isInteger(asked) || asked < 1 || asked > 1000 || !Number.isInteger(skip) || skip < 0) {
    return graphError(400, 'BadRequest', 'Invalid value for $top or $skip.');
  }
  const order = query.get('$orderby');
  if (order !== undefined && !/^receivedDateTime(?: asc| desc)?$/i.test(order)) {
    return graphError(400, 'BadRequest', `Invalid $orderby: ${order}`);
  }
  // https://learn.microsoft.com/graph/api/user-list-messages: what is sorted by stands first in the filter.
  if (order !== undefined && query.has('$filter') && !/^\s*receivedDateTime\b/i.test(query.get('$filter') ?? '')) {
    return graphError(400, 'InefficientFilter', 'The restriction or sort order is too complex for this operation.');
  }
  const top = Math.min(asked, mailbox.pages.most);
  const matching = messages.filter(filter);
  const found = order === undefined ? matching : matching.toSorted((a, b) => receivedAt(a) - receivedAt(b));
  if (order?.toLowerCase().endsWith(' desc') === true) found.reverse();
  const wanted = query.get('$select');
  const value = found.slice(skip, skip + top).map((message) => {
    const all = messageJson(message, mailbox, immutable);
    return wanted === undefined ? all : pick({ ...all, ...selectedJson(message) }, wanted);
  });
  const more = skip + top < found.length;
  const following = [...new Map(query).set('$skip', String(skip + top))];
  const next = `${url}?${following.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')}`;
  return json(200, {
    '@odata.context': `${new URL(url).origin}/v1.0/$metadata#users/messages`,
    ...(more ? { '@odata.nextLink': next } : {}),
    value,
  });
}

/** The members that `$select` names, and the id, which is always there. */
export function pick(all: Json, names: string): Json {
  const wanted = new Set(['id', ...names.split(',').map((name) => name.trim())]);
  return Object.fromEntries(Object.entries(all).filter(([name]) => wanted.has(name)));
}

type Filter = (message: StoredMessage) => boolean;

/** In whole seconds, as Graph shows it. */
function receivedAt({ sentAt, createdAt }: StoredMessage): number {
  return Math.floor((sentAt ?? createdAt) / 1_000) * 1_000;
}

const comparisons: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  ge: (a, b) => a >= b,
  gt: (a, b) => a > b,
  le: (a, b) => a <= b,
  lt: (a, b) => a < b,
};

/** Conditions joined by `and`. Null: not understood. In a text, two single quotes stand for one (OData 4.01 URL conventions, 5.1.1.14.2). */
function readFilter(text: string): Filter | null {
  const condition =
    /^\s*(?:internetMessageId\s+eq\s+'((?:[^']|'')*)'|isDraft\s+eq\s+(true|false)|receivedDateTime\s+(g[et]|l[et])\s+(\d{4}-\d\d-\d\dT[\d:.]+Z))\s*(?:and\b|$)/i;
  const filters: Filter[] = [];
  let rest = text;
  while (rest.trim() !== '') {
    const found = condition.exec(rest);
    if (found === null) return null;
    const [whole, id, draft, operator, time] = found;
    if (id !== undefined) filters.push(({ internetMessageId }) => internetMessageId === id.replaceAll("''", "'"));
    else if (draft !== undefined) filters.push(({ isDraft }) => isDraft === (draft.toLowerCase() === 'true'));
    else {
      const compare = comparisons[operator?.toLowerCase() ?? ''];
      const wanted = Date.parse(time ?? '');
      if (compare === undefined || Number.isNaN(wanted)) return null;
      filters.push((message) => compare(receivedAt(message), wanted));
    }
    rest = rest.slice(whole.length);
  }
  return (message) => filters.every((filter) => filter(message));
}
