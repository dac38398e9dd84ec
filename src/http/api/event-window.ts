/** The newest events of one process, each once for all its clients: a window that moves on, bounded by number and by characters. */
import type { EventCursor } from '../../queue/journal/events.ts';

export interface WindowEvent {
  readonly type: string;
  /** Where a reader stands who has read it. */
  readonly cursor: EventCursor;
  readonly connector: string | null;
  /** Of its message; null where that is not known, undefined where it was not looked up. */
  readonly from: string | null | undefined;
  readonly text: string;
}

/** Events have numbers that rise; `first` is the oldest that is still here, `last` the next one to come. */
export interface EventWindow {
  readonly first: () => number;
  readonly last: () => number;
  readonly at: (number: number) => WindowEvent;
  /** Who has read so far needs nothing that is not here. */
  readonly start: () => EventCursor;
  /** Where a reader stands who has read all of it. */
  readonly end: () => EventCursor;
  add(event: WindowEvent): void;
}

export function createEventWindow(start: EventCursor, mostEvents: number, mostChars: number): EventWindow {
  let events: WindowEvent[] = [];
  let dropped = 0;
  let before = start;
  let chars = 0;
  return {
    first: () => dropped,
    last: () => dropped + events.length,
    at: (number) => events[number - dropped]!,
    start: () => before,
    end: () => events.at(-1)?.cursor ?? before,
    add(event) {
      events.push(event);
      chars += event.text.length;
      if (events.length <= mostEvents && chars <= mostChars) return;
      // A quarter at a time, so that the list is not copied for each event.
      const gone = events.slice(0, Math.ceil(events.length / 4));
      for (const { text, cursor } of gone) {
        chars -= text.length;
        before = cursor;
      }
      events = events.slice(gone.length);
      dropped += gone.length;
    },
  };
}
