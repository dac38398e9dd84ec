/**
 * The alarm of a worker that has not the key of a message: that is no fault of the message, which waits, and none of its connector, which
 * goes on with others. It is told once a minute for each key, however many messages wait; what waits is told at the connector, too.
 */
import type { Listener } from './events.ts';

export interface KeyAlarm {
  /** `connector`: that would send it; null if none would, or is not known. */
  readonly missing: (message: { readonly id: string; readonly key: string; readonly connector: string | null }) => void;
  /** Between two looks at a message: so long it waits at most once the key is there. */
  readonly waitMs: number;
}

/** Between two alarms of one key. */
const tellEveryMs = 60_000;
/** Between two notes at a connector. */
const noteEveryMs = 10_000;
/** A connector counts as one that waits for a key for so long after the last look at a message. */
const notedForMs = 90_000;
/** Keys and connectors that are remembered. A name out of Redis may be anything. */
const mostRemembered = 1_000;

export function createKeyAlarm(
  emit: Listener,
  note: (connector: string, forMs: number) => Promise<unknown>,
  monotonic: () => number,
  waitMs: number,
): KeyAlarm {
  const told = new Map<string, { at: number; messages: number }>();
  const noted = new Map<string, number>();
  const missing: KeyAlarm['missing'] = ({ id, key, connector }) => {
    const now = monotonic();
    const last = told.get(key) ?? { at: -Infinity, messages: 0 };
    last.messages += 1;
    if (told.size >= mostRemembered) told.clear();
    told.set(key, last);
    if (now - last.at >= tellEveryMs) {
      emit({ event: 'key-missing', id, key, connector, messages: last.messages });
      last.at = now;
      last.messages = 0;
    }
    if (connector === null || now - (noted.get(connector) ?? -Infinity) < noteEveryMs) return;
    if (noted.size >= mostRemembered) noted.clear();
    noted.set(connector, now);
    // It is for show; what matters has been told.
    note(connector, notedForMs).catch(() => undefined);
  };
  return { missing, waitMs };
}
