/** What can be seen of messages, opened together: search, erasure, kept content, events and counters. */
import { createEventLog, type EventLog } from '../journal/events.ts';
import { defaultIndex, type IndexSettings } from '../journal/index-entries.ts';
import { createCounters, type Counters } from '../journal/stats.ts';
import { createUpkeep, type Upkeep } from '../journal/upkeep.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { Shards } from '../redis/shards.ts';
import { createErasure, readKept, type Erasure } from './erasure.ts';
import { createSearch, type FindMessages } from './search.ts';

export interface Seen {
  /** Finds messages. */
  readonly find: FindMessages;
  readonly erase: Erasure;
  /** The data of the job of a sent message, while its content is kept; null if it is not. */
  readonly keptContent: (id: string) => Promise<string | null>;
  /** What happened, for webhooks, live views and others. */
  readonly events: EventLog;
  /** Counts of five minutes. */
  readonly counters: Counters;
  readonly upkeep: Upkeep;
}

/** `salt`: the prefix of the installation. */
export function openSeen(
  redis: RedisClient,
  shards: Shards,
  ledger: Ledger,
  salt: string,
  index: () => IndexSettings = () => defaultIndex,
): Seen {
  return {
    find: createSearch({ redis, shards, ledger, salt, index }),
    erase: createErasure(redis, shards, salt),
    keptContent: (id) => readKept(redis, shards, id),
    events: createEventLog(redis, shards),
    counters: createCounters(redis, shards),
    upkeep: createUpkeep(redis, shards),
  };
}
