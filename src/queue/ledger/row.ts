/**
 * A ledger row: a Redis hash per message that says where it stands, per recipient, with its history. It outlives the job.
 *
 *   scheduled ──▶ queued ──▶ sending ──▶ sent | partial | dead | cancelled      terminal: kept for a configured time
 *                 ▲    ▲        │ │
 *                 │    └─ deferred ◀┘ (retry at)
 *                 │             └────▶ held (uncertain: an operator decides) ──▶ sent | partial | dead
 *                 └──── replay of a dead letter
 *
 * `open` is the fence: an attempt that was begun under a job's lock token and has no result yet. A worker that finds it set
 * does not know whether the mail was taken.
 */

import { PostlaneError } from '../../errors.ts';
import { attemptOf, entryOf, type AttemptEntry, type StoredEntry } from './attempt-log.ts';
import { storedRecipients, withBounces } from './bounce.ts';
import type { HistoryEntry, RecipientState } from './history.ts';
import { ownForm, versionKind } from '../redis/versions.ts';

export { isDelivered, isDone, recipientOutcomes } from './history.ts';
export type { Bounce, HistoryEntry, RecipientState } from './history.ts';

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
  /** It waits until other messages show whose fault its refusal was. */
  readonly setAside: boolean;
  /** How a refusal reads that was found to be this message's own; null if none was. */
  readonly attributed: string | null;
  /** It gets a second hearing: a second transaction decides. */
  readonly heardAgain: boolean;
  /** Address; null in rows of earlier releases, and after an erasure. */
  readonly from: string | null;
  readonly metadata: Readonly<Record<string, string>> | null;
  /** Its beginning, where it is kept (`index.subject`). */
  readonly subject: string | null;
  /** When addresses and replies were erased, ms since the epoch. */
  readonly erasedAt: number | null;
  /** Who submitted it, where that is known. */
  readonly submittedBy: string | null;
  /** The trace context in which it was sent, and that of its last attempt; null where none is known. */
  readonly trace: string | null;
  readonly lastTrace: string | null;
  readonly history: readonly HistoryEntry[];
  /** Of the attempts that the history tells of, oldest first; those of earlier releases are missing. */
  readonly attemptLog: readonly AttemptEntry[];
}

/** What is known of a message that is not routed. */
export type WaitingRow = Required<Pick<LedgerRow, 'recipients' | 'acceptedAt' | 'from' | 'metadata' | 'submittedBy'>>;

export interface NewRow {
  readonly id: string;
  /** null where no connector was found. */
  readonly connector: string | null;
  readonly rule: string;
  readonly messageId: string;
  readonly recipients: readonly RecipientState[];
  readonly acceptedAt: number;
  readonly deadline: number;
  readonly from?: string | null;
  readonly metadata?: Readonly<Record<string, string>> | null;
  readonly subject?: string | null;
  /** Not stored: from when it was ready to be sent. Default: `acceptedAt`. */
  readonly readyAt?: number;
  readonly submittedBy?: string | null;
  /** The trace context in which it was sent. */
  readonly trace?: string | null | undefined;
}

/** What an id stands for. `in-use`: a message that is routed or settled. `requeued`: an operator had it replayed. */
export type IdStatus =
  | { readonly kind: 'new' }
  | { readonly kind: 'in-use'; readonly state: LedgerState }
  | { readonly kind: 'requeued'; readonly via: string | null; readonly deadline: number };

/** The row of a message that exists already, in the form of a new one. */
export function newRowOf(row: LedgerRow): NewRow {
  return { ...row, rule: row.rule ?? 'none', messageId: row.messageId ?? '' };
}

/** What the fields of a row say of its id. */
export function idStatusOf(
  state: string | null | undefined,
  routed: string | null | undefined,
  via: string | null | undefined,
  deadline: string | null | undefined,
): IdStatus {
  if (typeof state !== 'string') return { kind: 'new' };
  if (state === 'queued' && routed === '') return { kind: 'requeued', via: via || null, deadline: Number(deadline) };
  return { kind: 'in-use', state: ledgerStates.find((name) => name === state) ?? 'queued' };
}

/** The first entry of a row's history. */
export function routedEntry({ connector, rule }: NewRow): string {
  const event = connector === null ? 'no-route' : 'routed';
  const entry: HistoryEntry = { at: Date.now(), event, ...(connector === null ? {} : { connector }), detail: rule };
  return JSON.stringify(entry);
}

interface OpenAttempt {
  readonly token: string;
  readonly at: number;
  readonly worker: string;
  readonly trace?: string | undefined;
}

/** The open attempt of a row. */
export function openEntry({ token, at, worker, trace }: OpenAttempt): string {
  return JSON.stringify({ token, at, worker, trace });
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
    storedRecipients(row.recipients),
    ...(row.from ? ['from', row.from] : []),
    ...(row.metadata && Object.keys(row.metadata).length > 0 ? ['metadata', JSON.stringify(row.metadata)] : []),
    ...(row.subject ? ['subject', row.subject] : []),
    ...(row.submittedBy ? ['by', row.submittedBy] : []),
    ...(row.trace ? ['trace', row.trace] : []),
  ];
}

/** But for its recipients. */
export function waitingFields({ acceptedAt, from, metadata, submittedBy }: WaitingRow): (string | number)[] {
  return [
    'acceptedAt',
    acceptedAt,
    ...(from === null ? [] : ['from', from]),
    ...(metadata === null ? [] : ['metadata', JSON.stringify(metadata)]),
    ...(submittedBy === null ? [] : ['by', submittedBy]),
  ];
}

/** Null if there is none. @throws PostlaneError `format-newer` for a row of a later release. */
export function parseRow(id: string, hash: Record<string, string>): LedgerRow | null {
  if (versionKind(Number(hash['v'] ?? 1), ownForm) === 'newer') {
    throw new PostlaneError('format-newer', `the message ${id} was written by a newer release of Postlane`, { id });
  }
  const state = ledgerStates.find((name) => name === hash['state']);
  // What is left of a row that went to another shard is no row.
  if (state === undefined || hash['moved'] !== undefined) return null;
  const entries = Object.entries(hash)
    .filter(([field]) => /^h\d+$/.test(field))
    .sort(([a], [b]) => Number(a.slice(1)) - Number(b.slice(1)))
    .flatMap(([, text]) => (fromJson(text) as StoredEntry | null) ?? []);
  const written = (fromJson(hash['recipients']) as RecipientState[] | null) ?? [];
  const recipients = withBounces(written, fromJson(hash['bounces']));
  const open = fromJson(hash['open']) as (LedgerRow['open'] & { readonly trace?: unknown }) | null;
  return {
    id,
    state,
    connector: hash['connector'] || null,
    rule: hash['rule'] || null,
    messageId: hash['messageId'] || null,
    attempts: Number(hash['attempts'] ?? 0),
    recipients,
    acceptedAt: Number(hash['acceptedAt'] ?? 0),
    updatedAt: Number(hash['updatedAt'] ?? 0),
    deadline: Number(hash['deadline'] ?? 0),
    retryAt: hash['retryAt'] ? Number(hash['retryAt']) : null,
    reason: hash['reason'] || null,
    open,
    setAside: hash['aside'] !== undefined,
    attributed: hash['attributed'] ?? null,
    heardAgain: hash['again'] !== undefined,
    from: hash['from'] || null,
    metadata: metadataOf(hash['metadata']),
    subject: hash['subject'] || null,
    erasedAt: hash['erased'] ? Number(hash['erased']) : null,
    submittedBy: hash['by'] || null,
    trace: hash['trace'] || null,
    lastTrace: lastTraceOf(open, entries),
    history: entries.map(entryOf),
    attemptLog: entries.flatMap((entry) => attemptOf(entry, recipients) ?? []),
  };
}

function lastTraceOf(open: { readonly trace?: unknown } | null, entries: readonly StoredEntry[]): string | null {
  const found: unknown = open?.trace ?? entries.findLast(({ trace }) => trace !== undefined)?.trace;
  return typeof found === 'string' ? found : null;
}

function metadataOf(text: string | undefined): Readonly<Record<string, string>> | null {
  const value = fromJson(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const entries = Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return entries.length === 0 ? null : Object.fromEntries(entries);
}

/** Written by us, but nothing that comes out of Redis may break a reader. */
function fromJson(text: string | undefined): unknown {
  try {
    return text === undefined || text === '' ? null : (JSON.parse(text) as unknown);
  } catch {
    return null;
  }
}
