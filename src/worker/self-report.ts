/** What a worker tells of itself in each round of maintenance: that it is there, how busy it is, and how much memory Redis uses. */
import type { OpenQueues } from '../queue/open.ts';

interface ReportTools {
  readonly open: Pick<OpenQueues, 'presence' | 'memory'>;
  readonly scheduler: { running(): number };
  readonly now: () => number;
  /** Between two rounds, in ms. */
  readonly everyMs: number;
}

export interface SelfReport {
  readonly notePresence: () => Promise<void>;
  readonly noteMemory: () => Promise<void>;
}

export function selfReport(name: string, slots: number, { open, scheduler, now, everyMs }: ReportTools): SelfReport {
  const startedAt = now();
  return {
    // One that misses two rounds is not there.
    notePresence: () => open.presence.note(name, 3 * everyMs, { slots, busy: scheduler.running(), startedAt }),
    noteMemory: () => open.memory.note(now()),
  };
}
