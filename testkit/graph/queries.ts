/** Lists of messages: `$filter` by internetMessageId or isDraft, `$select`, `$top`, `$skip`. Other filters are refused. */
import { graphError, json } from './answers.ts';
import type { OpenMailbox, StoredMessage } from './mailbox.ts';
import { messageJson, type Json } from './message-json.ts';
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
  const [top, skip] = [Number(query.get('$top') ?? pageSize), Number(query.get('$skip') ?? 0)];
  if (!Number.isInteger(top) || top < 1 || top > 1000 || !Number.isInteger(skip) || skip < 0) {
    return graphError(400, 'BadRequest', 'Invalid value for $top or $skip.');
  }
  const found = messages.filter(filter);
  const wanted = query.get('$select');
  const value = found.slice(skip, skip + top).map((message) => {
    const all = messageJson(message, mailbox, immutable);
    return wanted === undefined ? all : pick(all, wanted);
  });
  const more = skip + top < found.length;
  const asked = [...new Map(query).set('$skip', String(skip + top))];
  const next = `${url}?${asked.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')}`;
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

/** Conditions joined by `and`. Null: not understood. In a text, two single quotes stand for one (OData 4.01 URL conventions, 5.1.1.14.2). */
function readFilter(text: string): Filter | null {
  const condition = /^\s*(?:internetMessageId\s+eq\s+'((?:[^']|'')*)'|isDraft\s+eq\s+(true|false))\s*(?:and\b|$)/i;
  const filters: Filter[] = [];
  let rest = text;
  while (rest.trim() !== '') {
    const found = condition.exec(rest);
    if (found === null) return null;
    const [whole, id, draft] = found;
    if (id !== undefined) filters.push(({ internetMessageId }) => internetMessageId === id.replaceAll("''", "'"));
    else filters.push(({ isDraft }) => isDraft === (draft?.toLowerCase() === 'true'));
    rest = rest.slice(whole.length);
  }
  return (message) => filters.every((filter) => filter(message));
}
