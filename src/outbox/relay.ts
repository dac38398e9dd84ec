/** A relay: batch after batch while there are rows, then it waits. Redis or the database away: it waits longer, and loses nothing. */
import { sleep, settlesWithin } from '../async/timeout.ts';
import { createWakeup } from '../async/wakeup.ts';
import type { DatabaseSettings, OutboxSettings } from '../config/outbox.ts';
import type { MessageLimits } from '../message/message.ts';
import type { Producer } from '../producer/producer.ts';
import { relayBatch, type BatchResult } from './batch.ts';
import { databaseDetail, openDatabase, shownDatabase, type Database, type OpenedDatabase } from './database.ts';
import type { OutboxCounts, OutboxEvent, OutboxState } from './events.ts';
import { beforeAll, countRows, requireTable } from './rows.ts';

interface RelaySettings {
  readonly outbox: OutboxSettings;
  readonly limits: MessageLimits;
  /** `retention.ledger`. */
  readonly rememberedMs: number;
}

export interface RelayOptions {
  readonly database: DatabaseSettings;
  readonly producer: Pick<Producer, 'send'>;
  /** Those in force, asked before each batch. */
  readonly settings: () => RelaySettings;
  readonly onEvent: (event: OutboxEvent) => void;
  readonly random?: () => number;
}

export interface Relay {
  state(): OutboxState;
  /** Takes no further batch. → whether the one under way was finished within the time. */
  stop(withinMs: number): Promise<boolean>;
  /** Rejects with what cannot pass by itself: there is no driver. */
  readonly ended: Promise<void>;
}

/** Between tries while Redis or the database is away. */
const firstWaitMs = 250;
const longestWaitMs = 30_000;
/** Until the database must have answered. A batch of large rows takes a second. */
const databaseTimeoutMs = 30_000;
/** How often rows are counted for metrics. */
const countEveryMs = 10_000;

export function startRelay(options: RelayOptions): Relay {
  const { producer, settings, onEvent, random = Math.random } = options;
  const stopping = new AbortController();
  const wakeup = createWakeup();
  let database: Database | null = null;
  let counts: OutboxCounts | null = null;
  let countedAt = -Infinity;
  let [isReady, wasAway] = [false, false];
  let failures = 0;
  let probeAfter = beforeAll;

  /** From half of it to all of it, so that relays do not come back together. */
  const nextWaitMs = (): number => {
    const most = Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(failures, 20));
    failures += 1;
    return Math.round(most * (0.5 + random() / 2));
  };

  const lose = async (detail: string): Promise<void> => {
    const lost = database;
    [database, wasAway] = [null, true];
    const waitMs = nextWaitMs();
    onEvent({ event: 'outbox-database-away', detail, waitMs });
    await lost?.close();
    await sleep(waitMs, stopping.signal);
  };

  const open = async (): Promise<OpenedDatabase> => {
    const { listen } = settings().outbox;
    const onNotify = listen ? () => wakeup.signal() : undefined;
    const opened = await openDatabase(options.database, { timeoutMs: databaseTimeoutMs, onNotify });
    if (!opened.ok) return opened;
    try {
      await requireTable(opened.database);
      return opened;
    } catch (thrown) {
      await opened.database.close();
      return { ok: false, problem: 'unreachable', detail: databaseDetail(thrown) };
    }
  };

  const relayOnce = async (connection: Database): Promise<BatchResult> => {
    const { outbox, limits, rememberedMs } = settings();
    const { batchRows, batchBytes } = outbox;
    const now = (): number => performance.now();
    if (now() - countedAt >= countEveryMs) {
      counts = await countRows(connection);
      countedAt = now();
    }
    const ours = { database: connection, producer, limits, rememberedMs, batchRows, batchBytes, probeAfter };
    return relayBatch({ ...ours, onEvent, now });
  };

  const connect = async (): Promise<void> => {
    const opened = await open();
    if (!opened.ok) {
      if (opened.problem === 'missing-driver') throw new Error(opened.detail);
      return lose(opened.detail);
    }
    database = opened.database;
    if (!isReady) onEvent({ event: 'ready', database: shownDatabase(options.database) });
    else if (wasAway) onEvent({ event: 'outbox-database-back' });
    [isReady, wasAway] = [true, false];
  };

  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      if (database === null) {
        await connect();
        continue;
      }
      let result: BatchResult;
      try {
        result = await relayOnce(database);
      } catch (thrown) {
        await lose(databaseDetail(thrown));
        continue;
      }
      probeAfter = result.probeAfter;
      if (result.kind === 'held') {
        const waitMs = nextWaitMs();
        onEvent({ event: 'outbox-held', code: result.code, detail: result.detail, waitMs });
        await sleep(waitMs, stopping.signal);
        continue;
      }
      failures = 0;
      if (!result.more && !stopping.signal.aborted) await wakeup.wait(settings().outbox.pollMs);
    }
  };

  const ended = run();
  return {
    ended,
    state: () => ({ databaseUp: database !== null, counts }),

    async stop(withinMs) {
      stopping.abort();
      wakeup.signal();
      onEvent({ event: 'draining' });
      const drained = await settlesWithin(ended, withinMs);
      await database?.close();
      onEvent({ event: 'stopped', drained });
      return drained;
    },
  };
}
