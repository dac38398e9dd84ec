/**
 * One batch: rows are locked, enqueued, removed, in this order and in one transaction. A relay that dies in between leaves rows whose
 * messages are in Redis: they come again, with their ids.
 */
import { asError, PostlaneError, printable, unreachable, type ErrorCode, type Issue } from '../errors.ts';
import type { MessageLimits } from '../message/message.ts';
import type { OutboundMessage } from '../message/outbound.ts';
import type { Producer } from '../producer/producer.ts';
import { maxDataBytesOf } from '../queue/jobs.ts';
import type { Database } from './database.ts';
import type { OutboxEvent, OutboxProblem } from './events.ts';
import {
  beforeAll,
  begin,
  commit,
  defer,
  markProblem,
  pick,
  readMessages,
  remove,
  rollback,
  type PickedRow,
} from './rows.ts';

export interface BatchOptions {
  readonly database: Database;
  readonly producer: Pick<Producer, 'send'>;
  readonly limits: MessageLimits;
  readonly batchRows: number;
  readonly batchBytes: number;
  /** How long an id is known after its message has ended: an older row may have been enqueued before. */
  readonly rememberedMs: number;
  /** From the result of the batch before; `beforeAll` at the start. */
  readonly probeAfter: string;
  readonly onEvent: (event: OutboxEvent) => void;
  /** Monotonic, in ms. */
  readonly now: () => number;
}

/** `probeAfter`: the row after which the next batch looks for a probe, if it needs one. */
export type BatchResult = { readonly probeAfter: string } & (
  | /** `more`: there may be further rows that are due. */
    { readonly kind: 'done'; readonly rows: number; readonly more: boolean }
  /** Redis took nothing: rows that it might take later stay as they were. */
  | { readonly kind: 'held'; readonly code: ErrorCode; readonly detail: string }
);

/** Who submits, as it is shown; no token and no user can have this name. */
const submittedBy = '_outbox';

/** Of a row that fails while others do not: a second, doubled each time. */
const firstDeferMs = 1_000;
const longestDeferMs = 300_000;
/** Of what is stored of a problem. */
const maxDetailChars = 1_000;

type RowResult =
  | { readonly kind: 'relayed' }
  | { readonly kind: 'duplicate' }
  | {
      readonly kind: 'problem';
      readonly problem: OutboxProblem;
      readonly detail: string;
      readonly issues: readonly Issue[];
    }
  | { readonly kind: 'deferred'; readonly code: ErrorCode; readonly detail: string };

type Judged = readonly [PickedRow, RowResult];

/** Rejects if the database fails; its transaction is then over with the connection. */
export async function relayBatch(options: BatchOptions): Promise<BatchResult> {
  const { database, batchRows, batchBytes, onEvent, now } = options;
  const startedAt = now();
  await begin(database);
  const picked = await pick(database, batchRows);
  const taken = within(picked, batchBytes);
  if (taken.length === 0) {
    await rollback(database);
    return { kind: 'done', rows: 0, more: false, probeAfter: beforeAll };
  }
  const judged = await judge(taken, options);
  const [held] = judged.flatMap(([, result]) => (result.kind === 'deferred' ? [result] : []));
  const needsProbe = held !== undefined && !judged.some(isAnswered);
  const probe = needsProbe ? await probeOther(taken, options) : null;
  const isHeld = needsProbe && !probe?.judged.some(isAnswered);
  // Deferred by an outage of Redis, rows would be late and out of order after it.
  const settled = isHeld ? judged.filter(([, { kind }]) => kind !== 'deferred') : judged;
  const written = [...settled, ...(probe?.judged ?? []).filter(([, { kind }]) => kind !== 'deferred')];
  await write(database, written);
  await commit(database);
  if (written.length > 0) report(written, Math.round(now() - startedAt), onEvent);
  if (isHeld) return { kind: 'held', code: held.code, detail: held.detail, probeAfter: probe?.next ?? beforeAll };
  const more = probe !== null || picked.length === batchRows || taken.length < picked.length;
  return { kind: 'done', rows: taken.length, more, probeAfter: probe === null ? beforeAll : options.probeAfter };
}

/** Redis itself has said what becomes of the row. */
function isAnswered([, result]: Judged): boolean {
  switch (result.kind) {
    case 'relayed':
    case 'duplicate':
      return true;
    case 'problem':
      return result.problem === 'idempotency-mismatch' || result.problem === 'attachment-missing';
    case 'deferred':
      return false;
    default:
      return unreachable(result);
  }
}

/**
 * Where Redis took none of the rows, another row shows whose fault that is: Redis is away, or the rows are at fault, as large ones are while
 * it is nearly full. So it is the smallest of those that follow; each time of those after the last, until one is found.
 */
async function probeOther(
  taken: readonly PickedRow[],
  options: BatchOptions,
): Promise<{ readonly judged: readonly Judged[]; readonly next: string }> {
  const { database, batchRows, probeAfter } = options;
  const last = taken.at(-1)?.seq ?? beforeAll;
  const others = await pick(database, batchRows, BigInt(probeAfter) > BigInt(last) ? probeAfter : last);
  const [smallest] = others.toSorted((one, other) => one.bytes - other.bytes);
  if (smallest === undefined) return { judged: [], next: beforeAll };
  return { judged: await judge([smallest], options), next: others.at(-1)?.seq ?? beforeAll };
}

function report(judged: readonly Judged[], durationMs: number, onEvent: BatchOptions['onEvent']): void {
  const count = (kind: RowResult['kind']): number => judged.filter(([, result]) => result.kind === kind).length;
  for (const [{ id }, result] of judged) {
    if (result.kind === 'problem') {
      onEvent({ event: 'outbox-problem', id, problem: result.problem, issues: result.issues });
    }
  }
  const [relayed, duplicates, deferred] = [count('relayed'), count('duplicate'), count('deferred')];
  onEvent({ event: 'outbox-relayed', relayed, duplicates, deferred, durationMs });
}

/** The first rows, of so many bytes together; one at least. */
function within(rows: readonly PickedRow[], mostBytes: number): readonly PickedRow[] {
  let bytes = 0;
  const beyond = rows.findIndex((row, at) => {
    bytes += row.bytes;
    return at > 0 && bytes > mostBytes;
  });
  return beyond === -1 ? rows : rows.slice(0, beyond);
}

async function judge(rows: readonly PickedRow[], options: BatchOptions): Promise<Judged[]> {
  const { database, limits, rememberedMs } = options;
  const early = new Map(
    rows.flatMap((row): Judged[] => {
      const result = withoutReading(row, maxDataBytesOf(limits, false), rememberedMs);
      return result === null ? [] : [[row, result]];
    }),
  );
  const wanted = rows.filter((row) => !early.has(row));
  const messages = await readMessages(
    database,
    wanted.map(({ seq }) => seq),
  );
  return Promise.all(
    rows.map(async (row): Promise<Judged> => [
      row,
      early.get(row) ?? (await relay(row, messages.get(row.seq) ?? '', options)),
    ]),
  );
}

function withoutReading({ bytes, ageMs }: PickedRow, mostBytes: number, rememberedMs: number): RowResult | null {
  if (bytes > mostBytes) {
    const message = `${bytes} bytes, where ${mostBytes} are the limit (message.maxSize)`;
    return problem('too-large', [{ field: '', rule: 'too-large', message }]);
  }
  if (ageMs <= rememberedMs) return null;
  const message =
    'older than retention.ledger: if a relay died while it had the row, the message may have been sent, and its id is forgotten. Retry or drop it';
  return problem('stale', [{ field: '', rule: 'stale', message }]);
}

async function relay(row: PickedRow, json: string, { producer }: BatchOptions): Promise<RowResult> {
  const { id, givenId } = row;
  const message = parse(json);
  if (message === null) {
    return problem('message-invalid', [{ field: '', rule: 'type', message: 'must be a JSON object' }]);
  }
  if (message.id !== undefined && message.id !== id) {
    return problem('message-invalid', [{ field: 'id', rule: 'id-mismatch', message: 'must be the id of the row' }]);
  }
  try {
    // An id that `outboxInsert` made belongs to this message alone. Any other may have stood for another message: the key compares contents.
    const options = givenId ? { submittedBy, idempotencyKey: id } : { submittedBy };
    const { duplicate } = await producer.send({ ...message, id }, options);
    return { kind: duplicate ? 'duplicate' : 'relayed' };
  } catch (thrown) {
    if (thrown instanceof PostlaneError) return failed(thrown);
    // A defect of ours that this message brings to light must not hold up the others.
    const detail = printable(asError(thrown).message, maxDetailChars);
    return problem('failed', [{ field: '', rule: 'failed', message: detail }]);
  }
}

function failed(error: PostlaneError): RowResult {
  const { code, message, issues } = error;
  switch (code) {
    case 'message-invalid':
      return problem(issues.some(({ rule }) => rule === 'too-large') ? 'too-large' : code, issues, message);
    case 'idempotency-mismatch':
    case 'attachment-missing':
      return problem(code, issues, message);
    // Whether the message is in Redis is not known, or it is not: it comes again, under its id.
    case 'redis-unavailable':
    case 'redis-full':
    case 'redis-refused':
    case 'redis-unacknowledged':
    case 'format-newer':
    case 'producer-closed':
    case 'timeout':
    case 'aborted':
    case 'config-invalid':
    case 'not-indexed':
    case 'query-invalid':
    case 'not-found':
    case 'key-missing':
      return { kind: 'deferred', code, detail: message };
    default:
      return unreachable(code);
  }
}

function problem(name: OutboxProblem, issues: readonly Issue[], detail = issues[0]?.message ?? ''): RowResult {
  return { kind: 'problem', problem: name, issues, detail: detail.slice(0, maxDetailChars) };
}

/** Whatever it is, `send` validates it. */
function parse(json: string): OutboundMessage | null {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

async function write(database: Database, judged: readonly Judged[]): Promise<void> {
  const done = judged.filter(([, { kind }]) => kind === 'relayed' || kind === 'duplicate');
  await remove(
    database,
    done.map(([{ seq }]) => seq),
  );
  for (const [{ seq, tries }, result] of judged) {
    if (result.kind === 'problem') await markProblem(database, seq, result.problem, result.detail);
    if (result.kind === 'deferred') {
      await defer(database, seq, Math.min(longestDeferMs, firstDeferMs * 2 ** Math.min(tries, 20)));
    }
  }
}
