/** What each attempt came to, for whom: stored with the entry of the history that tells of it, and read from there. Pure. */
import { isDone, type HistoryEntry, type RecipientState } from './history.ts';

/** An attempt as it is read. Times in ms since the epoch. */
export interface AttemptEntry {
  /** When the transaction was begun. */
  readonly at: number;
  readonly connector: string | null;
  /** Name of the worker. */
  readonly worker: string;
  readonly durationMs: number;
  /** Of the mail. */
  readonly bytes: number;
  /** Those who were tried, with what the server said of each. */
  readonly recipients: readonly TriedRecipient[];
}

export interface TriedRecipient extends RecipientState {
  /** Of the reply (RFC 3463), such as `5.1.1`; null without one. */
  readonly enhancedCode: string | null;
}

/**
 * Recipients who were answered alike: outcome, code (`550 5.1.1` with an enhanced code), reply, and their indexes among the recipients
 * of the row. A missing reply is that of the entry; missing indexes mean all recipients.
 */
type Group = readonly [RecipientState['outcome'], string | null, (string | null)?, (readonly number[] | null)?];

/** What is stored of an attempt beside its entry: in an event of the stream, too, so it is short. */
export interface AttemptNote {
  readonly worker: string;
  readonly ms: number;
  readonly bytes: number;
  readonly groups: readonly Group[];
}

/** An entry of the history as it is stored. */
export type StoredEntry = HistoryEntry & {
  readonly tried?: AttemptNote;
  /** The trace context of the attempt. */
  readonly trace?: string;
};

/** Different replies that are kept of one attempt: a server may answer every recipient differently. */
const mostReplies = 10;

/** What is known of an attempt beside its result. */
export interface AttemptFacts extends Omit<AttemptNote, 'groups'> {
  /** Address → enhanced status code of its reply. */
  readonly enhanced: ReadonlyMap<string, string>;
}

/** `before` and `after` have the same recipients in the same order. `reply`: that of the entry. */
export function noteOfAttempt(
  { enhanced, ...about }: AttemptFacts,
  before: readonly RecipientState[],
  after: readonly RecipientState[],
  reply: string | null,
): AttemptNote {
  const groups = new Map<string, { readonly state: RecipientState; readonly places: number[] }>();
  let replies = 0;
  for (const [place, was] of before.entries()) {
    const now = after[place];
    if (now === undefined || isDone(was) || was.outcome === 'rejected') continue;
    const more = enhanced.get(now.address);
    const state = more === undefined ? now : { ...now, code: `${now.code ?? ''} ${more}` };
    const isNew = !groups.has(keyOf(state));
    const known = isNew && replies >= mostReplies ? { ...state, reply: null } : state;
    const group = groups.get(keyOf(known));
    if (group !== undefined) group.places.push(place);
    else {
      groups.set(keyOf(known), { state: known, places: [place] });
      replies += 1;
    }
  }
  return {
    ...about,
    groups: [...groups.values()].map(({ state, places }): Group => {
      const all = places.length === before.length;
      if (state.reply === reply) return all ? [state.outcome, state.code] : [state.outcome, state.code, reply, places];
      return [state.outcome, state.code, state.reply, all ? null : places];
    }),
  };
}

function keyOf({ outcome, code, reply }: RecipientState): string {
  return `${outcome} ${code} ${reply}`;
}

/** null for an entry without an attempt, or of an earlier release. Written by us, but nothing that comes out of Redis may break a reader. */
export function attemptOf(stored: StoredEntry, recipients: readonly RecipientState[]): AttemptEntry | null {
  const { tried, at, connector = null, detail = null } = stored;
  if (typeof tried !== 'object' || tried === null || !Array.isArray(tried.groups)) return null;
  // Each group has a recipient of its own.
  if (!Array.isArray(recipients) || tried.groups.length > recipients.length) return null;
  const { worker, ms, bytes, groups } = tried;
  if (typeof worker !== 'string' || typeof ms !== 'number' || typeof bytes !== 'number') return null;
  const found = new Map<number, TriedRecipient>();
  for (const group of groups as readonly unknown[]) {
    if (!Array.isArray(group)) return null;
    const [outcome, code, reply, places] = group as unknown as Group;
    const said = group.length > 2 ? (reply ?? null) : detail;
    const [plain = '', enhancedCode = null] = typeof code === 'string' ? code.split(' ') : [];
    const all = Array.isArray(places) ? (places as readonly number[]) : [...recipients.keys()];
    for (const place of all.slice(0, recipients.length)) {
      const address = recipients[place]?.address;
      if (address !== undefined)
        found.set(place, { address, outcome, code: plain === '' ? null : plain, enhancedCode, reply: said });
    }
  }
  const ordered = [...found].sort(([a], [b]) => a - b).map(([, state]) => state);
  return { at: at - ms, connector, worker, durationMs: ms, bytes, recipients: ordered };
}

/** The entry as the history shows it. */
export function entryOf({ tried: _tried, trace: _trace, ...entry }: StoredEntry): HistoryEntry {
  return entry;
}
