/** What a receiver is sent of an event: its type, its time and its data as JSON, small enough for every receiver. */
import { unreachable } from '../errors.ts';
import type { StoredEvent } from '../queue/journal/events.ts';
import type { WebhookEndpoint } from '../config/webhooks.ts';

/** Standard Webhooks 1.0.0: below 20 kB. */
const maxBodyBytes = 20_000;

type Wish = Pick<WebhookEndpoint, 'types' | 'recipients'>;
type MessageEvent = Extract<StoredEvent, { readonly sequence: number }>;

/** Whether an endpoint is told. Of acceptances, which are as many as all others together, only if it names them. */
export function isWanted({ type }: Pick<StoredEvent, 'type'>, { types }: Pick<Wish, 'types'>): boolean {
  if (type === 'gap' || types.includes(type)) return true;
  return type !== 'message.accepted' && (types.includes('*') || types.includes(`${type.split('.')[0]}.*`));
}

/** What the endpoint has to read. */
export function wantsOf({ types }: Pick<Wish, 'types'>): 'all' | 'results' {
  return types.includes('message.accepted') ? 'all' : 'results';
}

export function bodyOf(event: StoredEvent, endpoint: Wish): string {
  for (const data of shapesOf(event, endpoint)) {
    const body = bodyWith(event.type, event.at, data);
    if (Buffer.byteLength(body) < maxBodyBytes) return body;
  }
  return bodyWith(event.type, event.at, 'id' in event ? { id: event.id, sequence: event.sequence } : {});
}

export function bodyWith(type: string, at: number, data: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ type, timestamp: new Date(at).toISOString(), data });
}

/** From whole to small: first without replies, then without recipients, then without metadata. */
function* shapesOf(event: StoredEvent, wish: Wish): Generator<Readonly<Record<string, unknown>>> {
  if (!('sequence' in event)) {
    yield event.type === 'gap' ? { dropped: event.dropped } : { ...event.data, connector: event.connector };
    return;
  }
  const { id, sequence, state, connector, attempt, detail, reason, metadata } = event;
  const messageId = event.messageId?.replace(/^<(.*)>$/s, '$1') ?? null;
  // The detail of an attempt with one recipient is the reply of the server.
  const said = wish.recipients === 'full' ? detail : null;
  const about = { id, sequence, state, connector, attempt, detail: said, reason, messageId };
  const recipients = recipientsOf(event, wish);
  const bounces = event.bounced === undefined ? {} : { bounced: bouncedOf(event, wish) };
  yield { ...about, metadata, recipients, ...bounces };
  yield { ...about, metadata, ...bounces, recipients: recipients?.map((each) => ({ ...each, reply: null })) ?? null };
  yield { ...about, metadata, recipients: null };
  yield { ...about, metadata: {}, recipients: null };
}

function recipientsOf({ recipients }: MessageEvent, { recipients: wish }: Wish) {
  switch (wish) {
    case 'full':
      return recipients;
    case 'none':
      return null;
    case 'masked':
      // Servers repeat addresses in their replies.
      return recipients?.map((each) => ({ ...each, address: masked(each.address), reply: null })) ?? null;
    default:
      return unreachable(wish);
  }
}

/** Those of whom a delivery report tells. Its diagnostic repeats what a server said. */
function bouncedOf({ bounced }: MessageEvent, { recipients: wish }: Wish) {
  if (wish === 'full') return bounced;
  if (wish === 'none') return null;
  return (
    bounced?.map(({ address, bounce }) => ({ address: masked(address), bounce: { ...bounce, diagnostic: null } })) ??
    null
  );
}

function masked(address: string): string {
  const at = address.lastIndexOf('@');
  return at < 0 ? '***' : `***${address.slice(at)}`;
}
