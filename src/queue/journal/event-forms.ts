/** What an event is, and how it is read from the stream. */

/** Where a reader stands in each shard. Opaque to others, and short: the id for `Last-Event-ID`. */
export type EventCursor = string;

interface EventRecipient {
  readonly address: string;
  readonly outcome: string;
  readonly code: string | null;
  readonly reply: string | null;
}

/** Where an event stands. */
export type EventPlace = Pick<Stored, 'cursor' | 'eventId'>;

/** A recipient whose mail came back, as the row of the message has it. `at` in ms since the epoch. */
interface BouncedRecipient {
  readonly address: string;
  readonly bounce: {
    readonly at: number;
    readonly action: string;
    readonly status: string | null;
    readonly smtpCode: string | null;
    readonly permanent: boolean | null;
    readonly diagnostic: string | null;
  };
}

interface Stored {
  /** Reading goes on after this event from here. */
  readonly cursor: EventCursor;
  /**
   * `SHARD-MS-SEQUENCE`, and `-gap` for a gap: the same for every reader. The cursor of one event differs with how far its reader was in
   * the other shards.
   */
  readonly eventId: string;
  /** Redis' time, ms since the epoch. */
  readonly at: number;
}

/** Something that happened to a message. `sequence` rises over its life: of two events the higher one is newer. */
interface MessageHappened extends Stored {
  readonly type: `message.${MessageEventKind}`;
  readonly id: string;
  readonly sequence: number;
  readonly state: string;
  readonly connector: string | null;
  readonly attempt: number | null;
  /** As the history of the message has it. */
  readonly detail: string | null;
  /** The reason of a dead letter. */
  readonly reason: string | null;
  readonly messageId: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  /** All of the message, as they stand after it. null: they are too many for an event; the row of the message has them. */
  readonly recipients: readonly EventRecipient[] | null;
  /** Of `message.bounced` alone: those of this report. null: they are too many for an event. */
  readonly bounced?: readonly BouncedRecipient[] | null;
}

/** Something that happened to a connector, the configuration, or anything else that was appended. */
interface OtherHappened extends Stored {
  readonly type: OtherEventType;
  readonly connector: string | null;
  readonly data: Readonly<Record<string, string>>;
}

/** Events that were dropped unread: `dropped` at most. */
interface Gap extends Stored {
  readonly type: 'gap';
  readonly dropped: number;
}

export type StoredEvent = MessageHappened | OtherHappened | Gap;

const messageEventKinds = [
  'accepted',
  'sent',
  'partial',
  'deferred',
  'set-aside',
  'uncertain',
  'held',
  'dead',
  'cancelled',
  'replayed',
  'bounced',
] as const;
type MessageEventKind = (typeof messageEventKinds)[number];

const otherEventTypes = [
  'connector.fault',
  'connector.recovered',
  'connector.fallback',
  'connector.returned',
  'connector.paused',
  'connector.resumed',
  'config.rejected',
] as const;
export type OtherEventType = (typeof otherEventTypes)[number];

/** Every type but `gap`. */
export const eventTypes: readonly string[] = [
  ...messageEventKinds.map((kind) => `message.${kind}`),
  ...otherEventTypes,
];

/** null for what this release does not know. */
export function readEvent(fields: readonly string[], { cursor, eventId }: EventPlace): StoredEvent | null {
  const found = new Map<string, string>();
  for (let i = 0; i + 1 < fields.length; i += 2) found.set(fields[i]!, fields[i + 1]!);
  const at = Number(found.get('at') ?? 0);
  const connector = named(found.get('c'));
  const other = otherEventTypes.find((type) => type === found.get('t'));
  if (other !== undefined) {
    const data = [...found].filter(([name]) => name.startsWith('.')).map(([name, value]) => [name.slice(1), value]);
    return { type: other, cursor, eventId, at, connector, data: Object.fromEntries(data) as Record<string, string> };
  }
  const kind = messageEventKinds.find((each) => each === found.get('t'));
  if (kind === undefined) return null;
  const entry = recordOf(found.get('e'));
  const recipients = parsed(found.get('r'));
  const bounced = parsed(found.get('b'));
  return {
    type: `message.${kind}`,
    cursor,
    eventId,
    at,
    id: found.get('i') ?? '',
    sequence: Number(found.get('n') ?? 0),
    state: found.get('s') ?? '',
    connector,
    attempt: typeof entry['attempt'] === 'number' ? entry['attempt'] : null,
    detail: typeof entry['detail'] === 'string' ? entry['detail'] : null,
    reason: found.get('x') || null,
    messageId: found.get('m') || null,
    metadata: recordOf(found.get('d')) as Record<string, string>,
    recipients: Array.isArray(recipients) ? (recipients as EventRecipient[]) : null,
    ...(kind === 'bounced' ? { bounced: Array.isArray(bounced) ? (bounced as BouncedRecipient[]) : null } : {}),
  };
}

function named(connector: string | undefined): string | null {
  return connector === undefined || connector === '-' || connector === '' ? null : connector;
}

function recordOf(text: string | undefined): Record<string, unknown> {
  const value = parsed(text);
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

/** Nothing that comes out of Redis may break a reader. */
function parsed(text: string | undefined): unknown {
  try {
    return text === undefined || text === '' ? null : (JSON.parse(text) as unknown);
  } catch {
    return null;
  }
}

const positionOf = (part: string): readonly [number, number] => {
  const [ms = 0, number = 0] = part.split('-').map(Number);
  return [ms, number];
};

function isBefore(a: string, b: string): boolean {
  const [[aMs, aNumber], [bMs, bNumber]] = [positionOf(a), positionOf(b)];
  return aMs < bMs || (aMs === bMs && aNumber < bNumber);
}

/** Whether a text of a caller may be a cursor. */
export function isCursor(text: string): boolean {
  return text.length <= 4_096 && /^\d{1,20}-\d{1,20}(?:_\d{1,20}-\d{1,20})*$/.test(text);
}

/** Whether all that was read at `other` was read at `cursor`, too. */
export function covers(cursor: EventCursor, other: EventCursor): boolean {
  const parts = cursor.split('_');
  return other.split('_').every((part, shard) => !isBefore(parts[shard] ?? '0-0', part));
}

/** Where a reader stands that has read both. */
export function joined(one: EventCursor, other: EventCursor): EventCursor {
  const [a, b] = [one.split('_'), other.split('_')];
  const parts = Array.from({ length: Math.max(a.length, b.length) }, (_, shard): string => {
    const [left = '0-0', right = '0-0'] = [a[shard], b[shard]];
    return isBefore(left, right) ? right : left;
  });
  return parts.join('_');
}
