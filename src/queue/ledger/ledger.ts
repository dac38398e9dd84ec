/**
 * The ledger: reads and writes the rows of messages, each step one script in the shard that the row is in.
 *
 * A message with a job in a lane has its row beside it, in the connector's shard. Of every other one the location says where it
 * is (location.ts); with a single shard that costs nothing.
 */
import { unsealed, type Sealing } from '../../sealing/sealing.ts';
import { plainNotes, type Notes } from '../journal/notes.ts';
import { run, type RunScript } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import { laneName, type ShardKeys } from '../redis/keys.ts';
import type { Shards } from '../redis/shards.ts';
import type { DeadLetter } from './dead-letters.ts';
import type { Location } from './location.ts';
import {
  idStatusOf,
  isDelivered,
  newRowOf,
  openEntry,
  parseRow,
  routedEntry,
  rowFields,
  waitingFields,
  type HistoryEntry,
  type IdStatus,
  type LedgerRow,
  type LedgerState,
  type NewRow,
  type RecipientState,
  type WaitingRow,
} from './row.ts';
import { settleInput, type Settlement } from './settle-input.ts';
import { cancelScript, fenceScript, releaseScript, rowScript, settleScript } from './scripts.ts';
import { settleUnchanged } from './unchanged.ts';

export {
  noteOfAttempt,
  type AttemptEntry,
  type AttemptFacts,
  type StoredEntry,
  type TriedRecipient,
} from './attempt-log.ts';
export * from './row.ts';
export type { Settlement } from './settle-input.ts';

/**
 * `late`: another result stands. `recovered`: written, and it ended the connector's faults. `raised`: written, and one more message
 * may be on its way at once. `answered`: written, and open refusals of the lane may be attributed now, as after `recovered` and `raised`.
 */
export type SettleAnswer = 'ok' | 'late' | 'recovered' | 'raised' | 'answered';

/**
 * `go`: the attempt is open. `open`: an earlier one has no result, or is not known to the asker: look again. `lost`: the lock is not
 * ours. `paused`: the lane pauses. `listed`: there is a suppression list, and the asker has not looked at it. Else the row's state.
 */
export type FenceAnswer = 'go' | 'open' | 'lost' | 'paused' | 'listed' | LedgerState;

/** A result, as the scripts that write one take it. */
export type SettleInput = ReturnType<typeof settleInput>;

/** The end of a message without an attempt. */
interface Closing {
  readonly state: LedgerState;
  readonly entry: HistoryEntry;
  readonly reason: string | null;
  readonly retentionMs: number;
  /** Default: as the row has them. */
  readonly recipients?: readonly RecipientState[];
  /** Default: none. */
  readonly deadLetter?: DeadLetter | null;
  /** Only if the row still is as it was read: the message may have changed its lane since. Default: false. */
  readonly unchanged?: boolean;
}

/** The settlement of a message that ends without an attempt. */
function closingOf(row: Pick<NewRow, 'recipients'>, closing: Closing): Settlement {
  return {
    recipients: row.recipients,
    deadLetter: null,
    ...closing,
    retryAt: null,
    countAttempt: true,
    connectorWorks: false,
  };
}

/** What a message ends as that will not be tried again: some of its recipients may have it. */
export function endStateOf({ recipients }: Pick<NewRow, 'recipients'>): 'partial' | 'dead' {
  return recipients.some(isDelivered) ? 'partial' : 'dead';
}

/** An attempt that is to be opened. `attempts`: how many the asker knows of. */
interface NewAttempt {
  readonly lockKey: string;
  readonly token: string;
  readonly now: number;
  readonly worker: string;
  readonly overOpen: boolean;
  readonly attempts: number;
  /** The recipients were looked for on the suppression list. */
  readonly looked?: boolean;
  readonly trace?: string | undefined;
}

export interface Ledger {
  /** The row, or null. */
  read(id: string): Promise<LedgerRow | null>;
  /** What a router must know of an id before it routes a message under it. `shard`: where to look; default: where it is. */
  idStatus(id: string, shard?: number): Promise<IdStatus>;
  /** Writes the row of a routed message. false if there is one already that is not waiting to be routed. */
  create(row: NewRow): Promise<boolean>;
  /** Opens an attempt if the job's lock still carries `token`, the message may be sent, and its lane does not pause. */
  fence(row: NewRow, attempt: NewAttempt): Promise<FenceAnswer>;
  /** Writes a result. `token` must be that of the open attempt, or null to settle a message that has none. */
  settle(row: NewRow, token: string | null, settlement: Settlement): Promise<SettleAnswer>;
  /** The same for the script that also ends the message's job; `settleAnswerOf` reads its answer. */
  settleAddOn(row: NewRow, token: string | null, settlement: Settlement): SettleInput;
  /** Ends a message without an attempt. → false if it has ended meanwhile, or has changed where it must be `unchanged`. */
  close(row: LedgerRow, closing: Closing): Promise<boolean>;
  /**
   * true if the message will not be sent: it had no attempt under way and no recipient has received it. `waiting`: what is known of it
   * from its job in the intake; null if it has none.
   */
  cancel(id: string, now: number, retentionMs: number, waiting: WaitingRow | null): Promise<boolean>;
  /**
   * Makes a routed or dead message routable again, for re-routing and replay. A row that has expired begins anew. false if
   * the message is in none of the states `from`. `via` is the connector that an operator chose.
   */
  release(
    id: string,
    release: { from: readonly LedgerState[]; entry: HistoryEntry; deadline: number; via: string | null },
  ): Promise<boolean>;
}

/** A message that moves is cancelled where it arrives; this often the ledger looks where that is. */
const maxCancelAttempts = 5;

/** `runIn`: runs the scripts of attempts in a shard. `notes`: what is indexed and counted in the same step. */
export function createLedger(
  redis: RedisClient,
  shards: Shards,
  location: Location,
  runIn: (shard: number) => RunScript = () => (called, input) => run(redis, called, input),
  notes: Notes = plainNotes,
  sealing: () => Sealing = () => unsealed,
): Ledger {
  const forms = { notes, sealing };
  const at = (shard: number): ShardKeys => shards.all[shard] ?? shards.home;
  const rowIn = (keys: ShardKeys, id: string) => ({ rowKey: keys.ledger(id), unsettled: keys.unsettled });
  const readIn = async (shard: number, id: string): Promise<LedgerRow | null> =>
    parseRow(id, await redis.hgetall(at(shard).ledger(id)));

  /** A row is in the shard of its location; while it moves, or where a crash left it, in the one that it came from. */
  const search = async (id: string): Promise<{ readonly shard: number; readonly row: LedgerRow | null }> => {
    const { shard, from } = await location.read(id);
    for (const each of [shard, from]) {
      const row = each === null ? null : await readIn(each, id);
      if (row !== null) return { shard: each ?? shard, row };
    }
    return { shard, row: null };
  };

  const statusIn = async (shard: number, id: string): Promise<IdStatus> => {
    const fields = ['state', 'routed', 'via', 'deadline', 'moved'];
    const [state, routed, via, deadline, moved] = await redis.hmget(at(shard).ledger(id), ...fields);
    // On its way to another shard: it is to be routed, there.
    return moved ? idStatusOf('queued', '', via, deadline) : idStatusOf(state, routed, via, deadline);
  };

  const settle = async (row: NewRow, token: string | null, settlement: Settlement): Promise<SettleAnswer> => {
    const beside = shards.all.length === 1 || (row.connector !== null && token !== null);
    const keys = beside ? shards.keysOf(row.connector ?? '') : at((await search(row.id)).shard);
    const answer = await run(redis, settleScript, settleInput(keys, row, token, settlement, forms));
    // The row is missing only after a crash, so its fields travel only when they are asked for.
    if (answer !== 'no-row') return answer as SettleAnswer;
    const input = settleInput(keys, row, token, settlement, forms, true);
    const moreArgs = [...input.moreArgs, ...rowFields(row)];
    return (await run(redis, settleScript, { ...input, moreArgs })) as SettleAnswer;
  };

  return {
    settle,

    read: async (id) => (shards.all.length === 1 ? readIn(0, id) : (await search(id)).row),

    async idStatus(id, only) {
      if (only !== undefined) return statusIn(only, id);
      const { shard, from } = await location.read(id);
      const status = await statusIn(shard, id);
      return status.kind === 'new' && from !== null ? statusIn(from, id) : status;
    },

    async create(row) {
      const { id, deadline } = row;
      const shard = row.connector === null ? 0 : shards.of(row.connector);
      const place = await location.claim(id, '', shard, null, deadline);
      if (shards.all.length > 1 && place.shard !== shard) return false;
      const args = { id, deadline, entry: routedEntry(row), journal: notes.ofRow(at(shard), row) };
      return (await run(redis, rowScript, { keys: rowIn(at(shard), id), args, moreArgs: rowFields(row) })) === 'ok';
    },

    async fence(row, attempt) {
      const connector = row.connector ?? '';
      // A job in a lane has its row beside it.
      const keys = shards.keysOf(connector);
      const input = fenceInput(keys, row, attempt);
      const runHere = runIn(shards.of(connector));
      const answer = await runHere(fenceScript, input);
      if (answer !== 'no-row') return answer as FenceAnswer;
      const args = { ...input.args, journal: notes.ofRow(keys, row) };
      return (await runHere(fenceScript, { ...input, args, moreArgs: rowFields(row) })) as FenceAnswer;
    },

    settleAddOn: (row, token, settlement) =>
      settleInput(shards.keysOf(row.connector ?? ''), row, token, settlement, forms),

    async close(row, { unchanged = false, ...closing }) {
      const settlement = closingOf(row, closing);
      if (unchanged) return settleUnchanged(redis, at((await search(row.id)).shard), row, settlement, forms);
      return (await settle(newRowOf(row), null, settlement)) !== 'late';
    },

    async cancel(id, now, retentionMs, waiting) {
      const entry: HistoryEntry = { at: now, event: 'cancelled' };
      const args = {
        id,
        at: now,
        retentionMs,
        entry: JSON.stringify(entry),
        inIntake: waiting === null ? 0 : 1,
        recipients: JSON.stringify(waiting?.recipients ?? []),
        journal: 'cancelled 0 -',
      };
      const moreArgs = waiting === null ? [] : waitingFields(waiting);
      for (let attempt = 1; attempt <= maxCancelAttempts; attempt += 1) {
        const before = await location.read(id);
        const answer = await run(redis, cancelScript, { keys: rowIn(at(before.shard), id), args, moreArgs });
        // A router writes the location first and the row then: if the location is the same, the row is, or will be, there.
        if ((await location.read(id)).at === before.at) return answer === 'ok';
      }
      return false;
    },

    async release(id, { from, entry, deadline, via }) {
      const { shard, row } = await search(id);
      // Between the shards: a new row in its place would know nothing of the recipients who have their copy.
      const moving = row === null ? (await location.read(id)).from : null;
      if (moving !== null) await location.move(id, moving, shard);
      // A message that only changes its lane is not replayed.
      const journal = entry.event === 'rerouted' || entry.event === 'uncertain' ? '' : 'replayed 0 -';
      const args = { id, at: entry.at, entry: JSON.stringify(entry), deadline, via: via ?? '', journal };
      return (await run(redis, releaseScript, { keys: rowIn(at(shard), id), args, moreArgs: from })) === 'ok';
    },
  };
}

/** What the add-on answered; null if the row is not there yet, and nothing was written. */
export function settleAnswerOf(reply: unknown): SettleAnswer | null {
  return reply === 'no-row' ? null : (reply as SettleAnswer);
}

function fenceInput(keys: ShardKeys, { id, connector, deadline }: NewRow, attempt: NewAttempt) {
  const { lockKey, token, now, worker, overOpen, attempts, looked = false, trace } = attempt;
  const uncertain: HistoryEntry = { at: now, event: 'uncertain', detail: 'an attempt ended without a result' };
  return {
    keys: {
      rowKey: keys.ledger(id),
      unsettled: keys.unsettled,
      lock: lockKey,
      meta: keys.queue(laneName(connector ?? ''), 'meta'),
      waitReason: keys.connectorWait(connector ?? ''),
      suppressions: keys.suppressions,
    },
    args: {
      id,
      token,
      open: openEntry({ token, at: now, worker, trace }),
      over: overOpen ? 1 : 0,
      deadline,
      at: now,
      uncertain: JSON.stringify(uncertain),
      known: attempts,
      looked: looked ? 1 : '',
      journal: '',
    },
  };
}
