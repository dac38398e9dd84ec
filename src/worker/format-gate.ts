/** Lets a worker wait while what is stored has a form that only a newer release knows (docs/stored-data.md). */
import { sleep } from '../async/timeout.ts';
import type { FormAnswer } from '../queue/open.ts';
import type { Listener } from './events.ts';

/** What takes mail besides the scheduler, which asks `suspended`. */
interface Claims {
  pause(): Promise<unknown>;
  resume(): void;
}

/** As `open.ts` has it. `note` → ms until what an older release would not read may be written. */
interface StoredForm {
  readonly read: () => Promise<FormAnswer>;
  readonly note: () => Promise<number>;
}

export interface FormatGate {
  /** At the last look the form was not known: the worker must take no mail. */
  readonly suspended: () => boolean;
  /** Notes the form of this release, where there is an older one or none. */
  note(): Promise<void>;
  /** Whether what a worker of an older release would not read may be written: it has been told to stop, and has had the time to. */
  readonly writesNew: () => boolean;
  /** Looks until the form is known, or the signal comes. */
  whenKnown(everyMs: number, signal: AbortSignal): Promise<void>;
  /** Looks, and does the work if the form is known; pauses or resumes the claims where that has changed. */
  run(claims: Claims, work: () => Promise<unknown>): Promise<void>;
}

export function createFormatGate({ read, note }: StoredForm, emit: Listener): FormatGate {
  let waitsFor: number | null = null;
  let newFrom = Infinity;
  const noteNow = async (): Promise<void> => {
    newFrom = performance.now() + (await note());
  };
  /** → whether the answer has changed. */
  const look = async (): Promise<boolean> => {
    const answer = await read();
    const reads = answer.kind === 'waits' ? answer.reads : null;
    if (reads === waitsFor) return false;
    waitsFor = reads;
    emit(reads === null ? { event: 'format-known' } : { event: 'format-newer', id: null, version: reads });
    return true;
  };
  return {
    suspended: () => waitsFor !== null,
    note: noteNow,
    writesNew: () => performance.now() >= newFrom,
    async whenKnown(everyMs, signal) {
      const isKnown = async (): Promise<boolean> => {
        await look();
        return waitsFor === null;
      };
      while (!(await isKnown()) && !signal.aborted) await sleep(everyMs, signal);
    },
    async run(claims, work) {
      const changed = await look();
      if (changed && waitsFor === null) claims.resume();
      else if (changed) await claims.pause();
      if (waitsFor !== null) return;
      // Again each time: Redis may have lost it.
      await noteNow();
      await work();
    },
  };
}
