/** What users have submitted and what they were refused, gathered for the dashboard: written every few seconds, not with every message. */
import type { SubmissionNote, SubmissionStore } from '../admin/submissions.ts';
import type { SubmissionEvent } from './events.ts';

interface Gathered {
  readonly counts: Map<string, number>;
  last: SubmissionNote['last'];
}

export interface Notes {
  readonly onEvent: (event: SubmissionEvent) => void;
  /** Never rejects: what Redis does not take now is written next time. */
  flush(): Promise<void>;
}

/** `now`: ms since the epoch. */
export function createNotes(store: Pick<SubmissionStore, 'note' | 'connected'>, now: () => number): Notes {
  let gathered = new Map<string, Gathered>();
  let flushing = false;

  const add = (user: string, address: string, outcome: string, reply: string | null): void => {
    const before = gathered.get(user);
    const refused = reply === null ? (before?.last.refused ?? null) : { at: now(), reply };
    const one = before ?? { counts: new Map<string, number>(), last: { at: 0, address: '', refused: null } };
    one.counts.set(outcome, (one.counts.get(outcome) ?? 0) + 1);
    one.last = { at: now(), address, refused };
    gathered.set(user, one);
  };

  return {
    onEvent(event) {
      // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- what concerns no user is not noted
      switch (event.event) {
        case 'submitted':
          return add(event.user, event.address, event.duplicate ? 'duplicate' : 'accepted', null);
        case 'submission-refused':
          if (event.user !== null) add(event.user, event.address, event.reason, `${event.code} ${event.detail}`.trim());
          return;
        case 'login-failed':
          if (event.user !== null) add(event.user, event.address, event.reason, null);
          return;
        default:
      }
    },

    async flush() {
      if (flushing || gathered.size === 0 || !store.connected()) return;
      flushing = true;
      const batch = gathered;
      gathered = new Map();
      const notes = [...batch].map(([user, { counts, last }]) => ({ user, counts: Object.fromEntries(counts), last }));
      try {
        await store.note(notes);
      } catch {
        for (const [user, { counts, last }] of batch) {
          const newer = gathered.get(user);
          for (const [outcome, count] of newer?.counts ?? []) counts.set(outcome, (counts.get(outcome) ?? 0) + count);
          gathered.set(user, { counts, last: newer?.last ?? last });
        }
      } finally {
        flushing = false;
      }
    },
  };
}
