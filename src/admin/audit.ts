/** The audit: who did what, on what, why, and what came of it. A bounded stream; nothing in it can be changed. */
import { asError, PostlaneError, printable } from '../errors.ts';
import { run, script } from '../queue/lua/script.ts';
import type { RedisClient } from '../queue/redis/connection.ts';
import type { HomeKeys } from '../queue/redis/keys.ts';

/** Who acts: a token of the API, a user whom a proxy has signed in, or a user of a machine. */
export interface Actor {
  /** The id of a token, `user:NAME` of a proxy, or `user@host`. */
  readonly by: string;
  readonly through: 'api' | 'ui' | 'cli';
  /** IP address; null where it is this machine. */
  readonly client: string | null;
}

export const auditActions = [
  'pause',
  'resume',
  'try',
  'send-via',
  'cancel',
  'send-now',
  'resend',
  'resolve',
  'replay',
  'drop',
  'operation-rate',
  'operation-stop',
  'read-content',
  'erase',
  'rekey',
  'suppress',
  'unsuppress',
  'webhook-test',
  'webhook-retry',
  'webhook-enable',
  'webhook-drop',
  'webhook-drop-dead',
] as const;
export type AuditAction = (typeof auditActions)[number];

export interface AuditNote {
  readonly action: AuditAction;
  /** A connector, a message, an operation; null where it is none of them. */
  readonly target: string | null;
  readonly reason: string | null;
  /** What else there is to know, in words: a filter, a number, an end. */
  readonly detail: string | null;
}

export interface AuditEntry extends AuditNote, Actor {
  /** The place in the stream: entries have no two alike, and rise. */
  readonly id: string;
  /** ms since the epoch, by Redis' clock. */
  readonly at: number;
  /** `done`; `refused`: the state of the target did not allow it; else a code of an error. */
  readonly result: string;
}

interface AuditFilter {
  readonly by?: string;
  readonly action?: AuditAction;
  readonly target?: string;
  /** ms since the epoch, inclusive. */
  readonly since?: number;
  readonly until?: number;
}

interface AuditPage {
  readonly items: readonly AuditEntry[];
  /** Where to go on; null at the end. */
  readonly next: string | null;
}

export interface Audit {
  record(actor: Actor, note: AuditNote, result: string): Promise<void>;
  /** Newest first. `cursor` is a `next`. */
  list(filter: AuditFilter, cursor: string | null, limit: number): Promise<AuditPage>;
}

/** Does something that is recorded in the audit, as `audited` does, under the name of an actor. */
export type Recorded = <Answer>(
  note: Partial<AuditNote> & Pick<AuditNote, 'action'>,
  work: () => Promise<Answer>,
  resultOf?: (answer: Answer) => { readonly result: string; readonly detail?: string | null },
) => Promise<Answer>;

/** Entries that are kept; some more may stay for a while (`MAXLEN ~`). */
const mostEntries = 100_000;
/** Characters of a reason that an operator gives, and of whatever else an entry has. */
export const maxReasonChars = 500;
/** Entries that one question reads at most: a filter may fit none of them. */
const mostRead = 10_000;
const pageSize = 500;

const fields = ['by', 'through', 'client', 'action', 'target', 'reason', 'detail', 'result'] as const;

/** Redis takes it although it is full: it is an operator who makes room. @lua */
export const recordScript = script(
  { keys: ['audit'], args: ['most'], moreArgs: 'fields', allowOom: true },
  /* lua */ `
return redis.call('XADD', audit, 'MAXLEN', '~', most, '*', unpack(fields))
`,
);

export function createAudit(redis: RedisClient, { audit }: Pick<HomeKeys, 'audit'>): Audit {
  return {
    async record({ by, through, client }, note, result) {
      const entry = { ...note, by, through, client, result };
      const moreArgs = fields.flatMap((name) => {
        const value = entry[name];
        return value === null || value === '' ? [] : [name, printable(value, maxReasonChars)];
      });
      await run(redis, recordScript, { keys: { audit }, args: { most: mostEntries }, moreArgs });
    },

    async list({ by, action, target, since, until }, cursor, limit) {
      const items: AuditEntry[] = [];
      const first = since === undefined ? '-' : String(Math.max(0, Math.floor(since)));
      let last = cursor === null ? (until === undefined ? '+' : String(Math.max(0, Math.floor(until)))) : `(${cursor}`;
      for (let read = 0; read < mostRead; read += pageSize) {
        const found = await redis.xrevrange(audit, last, first, 'COUNT', pageSize);
        for (const [id, flat] of found) {
          const entry = entryOf(id, flat);
          if (by !== undefined && entry.by !== by) continue;
          if (action !== undefined && entry.action !== action) continue;
          if (target !== undefined && entry.target !== target) continue;
          if (items.length === limit) return { items, next: items.at(-1)?.id ?? null };
          items.push(entry);
        }
        const end = found.at(-1);
        if (end === undefined || found.length < pageSize) return { items, next: null };
        last = `(${end[0]}`;
      }
      return { items, next: last.slice(1) };
    },
  };
}

/** Written by us, and nothing that comes out of Redis is trusted. */
function entryOf(id: string, flat: readonly string[]): AuditEntry {
  const found = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2) found.set(flat[i]!, flat[i + 1]!);
  const text = (name: (typeof fields)[number]): string | null => found.get(name) ?? null;
  const through = text('through');
  return {
    id,
    at: Number(id.split('-', 1)[0]),
    by: text('by') ?? '',
    through: through === 'api' || through === 'ui' ? through : 'cli',
    client: text('client'),
    action: auditActions.find((name) => name === text('action')) ?? 'try',
    target: text('target'),
    reason: text('reason'),
    detail: text('detail'),
    result: text('result') ?? 'done',
  };
}

/** A cursor of a client: only what Redis takes for an id of a stream. */
export function isAuditCursor(text: string): boolean {
  return /^\d{1,16}-\d{1,10}$/.test(text);
}

/**
 * Does something, and records it with what came of it. `resultOf` says what the answer means; an error is recorded as its code and thrown
 * again. What was done and could not be recorded is an error, too: the caller must know.
 */
export async function audited<Answer>(
  audit: Audit,
  actor: Actor,
  note: AuditNote,
  work: () => Promise<Answer>,
  resultOf: (answer: Answer) => { readonly result: string; readonly detail?: string | null } = () => ({
    result: 'done',
  }),
): Promise<Answer> {
  let answer: Answer;
  try {
    answer = await work();
  } catch (thrown) {
    const code = thrown instanceof PostlaneError ? thrown.code : 'failed';
    await audit.record(actor, note, code).catch(() => undefined);
    throw asError(thrown);
  }
  const { result, detail = note.detail } = resultOf(answer);
  await audit.record(actor, { ...note, detail }, result);
  return answer;
}
