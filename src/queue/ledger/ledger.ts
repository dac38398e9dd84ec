/**
 * The ledger: a Redis hash per message that says where it stands, per recipient, with its history. It outlives the job.
 *
 *   queued ──▶ sending ──▶ sent | partial | dead            terminal: kept for a configured time
 *     ▲  ▲        │
 *     │  └─ deferred (retry at) ◀─┘        cancelled         terminal
 *     └──── replay of a dead letter
 *
 * `open` is the fence: an attempt that was begun under a job's lock token and has no result yet. Whoever finds it set
 * does not know whether the mail was taken.
 */
import type { RedisClient } from '../redis/connection.ts';
import type { ScriptAddOn } from '../bullmq/steps.ts';
import type { Keys } from '../redis/keys.ts';
import { cancelScript, fenceScript, releaseScript, rowScript, settleAddOn, settleScript } from './scripts.ts';
import { deadLetterFields, type DeadLetter } from './dead-letters.ts';
import { run, type Script } from '../lua/script.ts';

export const ledgerStates = [
  'queued',
  'scheduled',
  'sending',
  'deferred',
  'sent',
  'partial',
  'held',
  'dead',
  'cancelled',
] as const;
export type LedgerState = (typeof ledgerStates)[number];

export const terminalStates: ReadonlySet<LedgerState> = new Set(['sent', 'partial', 'dead', 'cancelled']);

/** Where one recipient stands. `pending` has had no attempt yet. */
export interface RecipientState {
  readonly address: string;
  readonly outcome: 'pending' | 'accepted' | 'deferred' | 'rejected' | 'uncertain';
  readonly code: string | null;
  readonly reply: string | null;
}

/** One fact in a message's life; `at` in ms since the epoch. */
export interface HistoryEntry {
  readonly at: number;
  readonly event: string;
  readonly connector?: string;
  readonly attempt?: number;
  readonly detail?: string;
}

export interface LedgerRow {
  readonly id: string;
  readonly state: LedgerState;
  readonly connector: string | null;
  readonly rule: string | null;
  readonly messageId: string | null;
  readonly attempts: number;
  readonly recipients: readonly RecipientState[];
  readonly acceptedAt: number;
  readonly updatedAt: number;
  readonly deadline: number;
  readonly retryAt: number | null;
  readonly reason: string | null;
  /** An attempt that was begun and has no result yet. `at` in ms since the epoch. */
  readonly open: { readonly at: number; readonly worker: string } | null;
  readonly history: readonly HistoryEntry[];
}

export interface NewRow {
  readonly id: string;
  /** null where no connector was found. */
  readonly connector: string | null;
  readonly rule: string;
  readonly messageId: string;
  readonly recipients: readonly RecipientState[];
  readonly acceptedAt: number;
  readonly deadline: number;
}

/** The result of an attempt, or of giving up. `retentionMs` is set for terminal states only. */
export interface Settlement {
  readonly state: LedgerState;
  readonly recipients: readonly RecipientState[];
  readonly entry: HistoryEntry;
  readonly retryAt: number | null;
  readonly reason: string | null;
  readonly retentionMs: number | null;
  /** The dead letter that is written in the same step, if one is due. */
  readonly deadLetter: DeadLetter | null;
  /** false takes the attempt back: a postponement burns none. */
  readonly countAttempt: boolean;
  /** Recipients whom this attempt reached; counted as the connector's. Default 0. */
  readonly reached?: number;
  /** Clears the connector's fault count: it has just taken a mail. */
  readonly connectorWorks: boolean;
}

/**
 * `late`: another result stands. `recovered`: written, and it ended the connector's faults. `raised`: written, and one more message
 * may be on its way at once.
 */
export type SettleAnswer = 'ok' | 'late' | 'recovered' | 'raised';

/** `go`: the attempt is open. `open`: an earlier one has no result, or is not known to the asker: look again. `lost`: the lock is not ours. Else the row's state. */
export type FenceAnswer = 'go' | 'open' | 'lost' | LedgerState;

/** `taken`: the id belongs to a message that is routed or settled. `released`: an operator had it replayed. */
export type Standing =
  | { readonly kind: 'new' }
  | { readonly kind: 'taken'; readonly state: LedgerState }
  | { readonly kind: 'released'; readonly via: string | null; readonly deadline: number };

export interface Ledger {
  /** The row, or null. */
  read(id: string): Promise<LedgerRow | null>;
  /** What a router must know of an id before it routes a message under it. */
  standing(id: string): Promise<Standing>;
  /** Writes the row of a routed message. false if there is one already that is not waiting to be routed. */
  create(row: NewRow): Promise<boolean>;
  /** Opens an attempt if the job's lock still carries `token` and the message may be sent. */
  fence(
    row: NewRow,
    attempt: { lockKey: string; token: string; now: number; worker: string; overOpen: boolean; attempts: number },
  ): Promise<FenceAnswer>;
  /** Writes a result. `token` must be that of the open attempt, or null to settle a message that has none. */
  settle(row: NewRow, token: string | null, settlement: Settlement): Promise<SettleAnswer>;
  /** The same as an add-on to the end of the message's job; `settleAnswerOf` reads its answer. */
  settleAddOn(row: NewRow, token: string | null, settlement: Settlement): ScriptAddOn;
  /** true if the message will not be sent: it had no attempt under way and nobody has received it. */
  cancel(id: string, now: number, retentionMs: number, inIntake: boolean): Promise<boolean>;
  /**
   * Makes a routed or dead message routable again, for re-routing and replay. A row that has expired begins anew. false if
   * the message is in none of the states `from`. `via` is the connector that an operator chose.
   */
  release(
    id: string,
    release: { from: readonly LedgerState[]; entry: HistoryEntry; deadline: number; via: string | null },
  ): Promise<boolean>;
}

type StepInput = Omit<ScriptAddOn, 'lua'>;

export function createLedger(redis: RedisClient, keys: Keys): Ledger {
  /** The row is missing only after a crash, so its fields travel only when they are asked for. */
  const runWithRow = async (step: Script, { keys: at, args }: StepInput, row: NewRow): Promise<unknown> => {
    const answer = await run(redis, step, at, args);
    return answer === 'no-row' ? run(redis, step, at, [...args, ...rowFields(row)]) : answer;
  };
  const stepOf = (row: NewRow, token: string | null, settlement: Settlement): StepInput => {
    const letter = settlement.deadLetter === null ? [] : deadLetterFields(settlement.deadLetter);
    const at = [
      keys.ledger(row.id),
      keys.unsettled,
      keys.deadLetter(row.id),
      keys.dead,
      keys.connector(settlement.entry.connector ?? ''),
      keys.connectorStats(row.connector ?? ''),
    ];
    const args = [
      row.id,
      token ?? '',
      settlement.state,
      settlement.entry.at,
      settlement.retentionMs ?? '',
      JSON.stringify(settlement.recipients),
      settlement.retryAt ?? '',
      settlement.reason ?? '',
      JSON.stringify(settlement.entry),
      settlement.countAttempt ? 1 : 0,
      settlement.connectorWorks ? 1 : 0,
      settlement.reached ?? 0,
      row.deadline,
      letter.length,
      ...letter,
    ];
    return { keys: at, args };
  };
  return {
    async read(id) {
      return parseRow(id, await redis.hgetall(keys.ledger(id)));
    },

    async standing(id) {
      const fields = ['state', 'routed', 'via', 'deadline', 'moved'];
      const [state, routed, via, deadline, moved] = await redis.hmget(keys.ledger(id), ...fields);
      // On its way to another shard: it is to be routed, there.
      return moved ? standingOf('queued', '', via, deadline) : standingOf(state, routed, via, deadline);
    },

    async create(row) {
      const args = [row.id, row.deadline, routedEntry(row), ...rowFields(row)];
      const answer = await run(redis, rowScript, [keys.ledger(row.id), keys.unsettled], args);
      return answer === 'ok';
    },

    async fence(row, { lockKey, token, now, worker, overOpen, attempts }) {
      const open = JSON.stringify({ token, at: now, worker });
      const uncertain: HistoryEntry = { at: now, event: 'uncertain', detail: 'an attempt ended without a result' };
      const fenceKeys = [keys.ledger(row.id), keys.unsettled, lockKey];
      const args = [row.id, token, open, overOpen ? 1 : 0, row.deadline, now, JSON.stringify(uncertain), attempts];
      return (await runWithRow(fenceScript, { keys: fenceKeys, args }, row)) as FenceAnswer;
    },

    settle: async (row, token, settlement) =>
      (await runWithRow(settleScript, stepOf(row, token, settlement), row)) as SettleAnswer,

    settleAddOn: (row, token, settlement) => ({ lua: settleAddOn, ...stepOf(row, token, settlement) }),

    async cancel(id, now, retentionMs, inIntake) {
      const entry: HistoryEntry = { at: now, event: 'cancelled' };
      const args = [id, now, retentionMs, JSON.stringify(entry), inIntake ? 1 : 0];
      return (await run(redis, cancelScript, [keys.ledger(id), keys.unsettled], args)) === 'ok';
    },

    async release(id, { from, entry, deadline, via }) {
      const args = [id, entry.at, JSON.stringify(entry), deadline, via ?? '', ...from];
      return (await run(redis, releaseScript, [keys.ledger(id), keys.unsettled], args)) === 'ok';
    },
  };
}

/** What the add-on answered; null if the row is not there yet, and nothing was written. */
export function settleAnswerOf(reply: unknown): SettleAnswer | null {
  return reply === 'no-row' ? null : (reply as SettleAnswer);
}

/** What a router makes of these fields of a row. */
export function standingOf(
  state: string | null | undefined,
  routed: string | null | undefined,
  via: string | null | undefined,
  deadline: string | null | undefined,
): Standing {
  if (typeof state !== 'string') return { kind: 'new' };
  if (state === 'queued' && routed === '') return { kind: 'released', via: via || null, deadline: Number(deadline) };
  return { kind: 'taken', state: ledgerStates.find((name) => name === state) ?? 'queued' };
}

/** The first entry of a row's history. */
export function routedEntry({ connector, rule }: NewRow): string {
  const event = connector === null ? 'no-route' : 'routed';
  const entry: HistoryEntry = { at: Date.now(), event, ...(connector === null ? {} : { connector }), detail: rule };
  return JSON.stringify(entry);
}

/** A new row as a list of fields and values. */
export function rowFields(row: NewRow): (string | number)[] {
  return [
    'connector',
    row.connector ?? '',
    'routed',
    row.connector ?? '-',
    'rule',
    row.rule,
    'messageId',
    row.messageId,
    'acceptedAt',
    row.acceptedAt,
    'deadline',
    row.deadline,
    'recipients',
    JSON.stringify(row.recipients),
  ];
}

function parseRow(id: string, hash: Record<string, string>): LedgerRow | null {
  const state = ledgerStates.find((name) => name === hash['state']);
  // What is left of a row that went to another shard is no row.
  if (state === undefined || hash['moved'] !== undefined) return null;
  const history = Object.entries(hash)
    .filter(([field]) => /^h\d+$/.test(field))
    .sort(([a], [b]) => Number(a.slice(1)) - Number(b.slice(1)))
    .flatMap(([, text]) => (fromJson(text) as HistoryEntry | null) ?? []);
  return {
    id,
    state,
    connector: hash['connector'] || null,
    rule: hash['rule'] || null,
    messageId: hash['messageId'] || null,
    attempts: Number(hash['attempts'] ?? 0),
    recipients: (fromJson(hash['recipients']) as RecipientState[] | null) ?? [],
    acceptedAt: Number(hash['acceptedAt'] ?? 0),
    updatedAt: Number(hash['updatedAt'] ?? 0),
    deadline: Number(hash['deadline'] ?? 0),
    retryAt: hash['retryAt'] ? Number(hash['retryAt']) : null,
    reason: hash['reason'] || null,
    open: fromJson(hash['open']) as LedgerRow['open'],
    history,
  };
}

/** Written by us, but nothing that comes out of Redis may break a reader. */
function fromJson(text: string | undefined): unknown {
  try {
    return text === undefined || text === '' ? null : (JSON.parse(text) as unknown);
  } catch {
    return null;
  }
}
