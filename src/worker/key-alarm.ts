/**
 * The alarm of a worker that has not the key of a message: that is no fault of the message, which waits, and none of its connector, which
 * goes on with others. It is told once a minute for each key, however many messages wait; what waits is told at the connector, too.
 */
import type { Listener } from './events.ts';

export interface KeyAlarm {
  /** `connector`: that would send it; null if none would, or is not known. `others`: behind it, that were put off with it. */
  readonly missing: (message: {
    readonly id: string;
    readonly key: string;
    readonly connector: string | null;
    readonly others: number;
  }) => void;
  /** Until the next look at messages under this key, in ms: so long they wait at most once the key is there. */
  readonly waitMs: (key: string) => number;
}

/** Between two alarms of one key. */
const tellEveryMs = 60_000;
/** Between two notes at a connector. */
const noteEveryMs = 10_000;
/** A connector counts as one that waits for a key for so long beyond the next look at its messages. */
const notedBeyondMs = 60_000;
/** Keys and connectors that are remembered. A name out of Redis may be anything. */
const mostRemembered = 1_000;
/**
 * With each so many messages under a key, they are looked at once more seldom: what waits shall not cost what goes. At most every four
 * minutes, as the alarm looks at five (deploy/prometheus/postlane.rules.yml).
 */
const messagesPerWait = 1_000;
const mostWaits = 8;

interface Seen {
  toldAt: number;
  /** Since then. */
  untold: number;
  /** Messages that were seen since then, and in the wait before. */
  since: number;
  seen: number;
  before: number;
}

export function createKeyAlarm(
  emit: Listener,
  note: (connector: string, forMs: number) => Promise<unknown>,
  monotonic: () => number,
  leastMs: number,
): KeyAlarm {
  const keys = new Map<string, Seen>();
  const noted = new Map<string, number>();
  const waitOf = ({ seen, before }: Seen): number =>
    leastMs * Math.min(mostWaits, 1 + Math.floor(Math.max(seen, before) / messagesPerWait));
  const waitMs = (key: string): number => {
    const seen = keys.get(key);
    return seen === undefined ? leastMs : waitOf(seen);
  };
  const missing: KeyAlarm['missing'] = ({ id, key, connector, others }) => {
    const now = monotonic();
    if (keys.size >= mostRemembered && !keys.has(key)) keys.clear();
    const last = keys.get(key) ?? { toldAt: -Infinity, untold: 0, since: now, seen: 0, before: 0 };
    keys.set(key, last);
    if (now - last.since > waitOf(last)) Object.assign(last, { since: now, before: last.seen, seen: 0 });
    last.untold += 1 + others;
    last.seen += 1 + others;
    if (now - last.toldAt >= tellEveryMs) {
      emit({ event: 'key-missing', id, key, connector, messages: last.untold });
      last.toldAt = now;
      last.untold = 0;
    }
    if (connector === null || now - (noted.get(connector) ?? -Infinity) < noteEveryMs) return;
    if (noted.size >= mostRemembered) noted.clear();
    noted.set(connector, now);
    // It is for show; what matters has been told.
    note(connector, waitOf(last) + notedBeyondMs).catch(() => undefined);
  };
  return { missing, waitMs };
}
