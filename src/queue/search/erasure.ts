/** Erases messages from where they can be found: row, dead letter, kept content and index in one step, then events that wait to be read. */
import type { RedisClient } from '../redis/connection.ts';
import type { ShardKeys } from '../redis/keys.ts';
import type { Shards } from '../redis/shards.ts';
import { readIndexState, type IndexState } from '../journal/days.ts';
import {
  dayOf,
  foldKnown,
  foldMessageId,
  memberOf,
  metadataValue,
  placeOf,
  setName,
  type IndexField,
} from '../journal/index-entries.ts';
import { serverIdOf } from '../journal/server-ids.ts';
import { erasedRecipients, eraseRow } from '../ledger/erase.ts';
import { ledgerStates, type LedgerRow, type LedgerState } from '../ledger/ledger.ts';

export interface Erasure {
  /** → 'erased', 'unknown', or the state of a message that has not ended, which stays as it is. */
  row(row: LedgerRow): Promise<'erased' | 'unknown' | LedgerState>;
  /** Removes events about these messages. A consumer that has not read them never will. */
  events(ids: ReadonlySet<string>): Promise<void>;
}

/** Events that are looked at together. */
const eventsPerLook = 1_000;

export function createErasure(redis: RedisClient, { all }: Shards, salt: string): Erasure {
  return {
    async row(row) {
      const recipients = erasedRecipients(row.recipients);
      const answers = await Promise.all(
        all.map(async (keys) => {
          const entries = entriesOf(row, await readIndexState(redis, keys), salt);
          return { keys, entries, answer: await eraseRow(redis, keys, row.id, recipients, entries) };
        }),
      );
      const found = answers.find(({ answer }) => answer !== 'unknown');
      if (found === undefined) return 'unknown';
      if (found.answer !== 'erased') return ledgerStates.find((state) => state === found.answer) ?? 'queued';
      // It may have been indexed in another shard, before it moved here.
      for (const { keys, entries, answer } of answers) if (answer === 'unknown') await remove(redis, keys, entries);
      return 'erased';
    },

    async events(ids) {
      await Promise.all(all.map(({ events }) => removeEvents(redis, events, ids)));
    },
  };
}

/** Names of sets, each followed by its member. */
function entriesOf(row: LedgerRow, { days }: IndexState, salt: string): string[] {
  const { id, acceptedAt: at, recipients, from, messageId, metadata } = row;
  const own = days.filter(({ day }) => day === dayOf(at));
  const values: (readonly [IndexField, string])[] = [
    ...recipients.map(({ address }) => ['to', foldKnown(address)] as const),
    ...(from === null ? [] : [['from', foldKnown(from)] as const]),
    ...(messageId === null ? [] : [['mid', foldMessageId(messageId)] as const]),
    ...Object.entries(metadata ?? {}).map(([key, value]) => ['meta', metadataValue(key, value)] as const),
    ...recipients.flatMap(({ reply }) => {
      const serverId = reply === null ? null : serverIdOf(reply);
      return serverId === null ? [] : [['mid', foldMessageId(serverId)] as const];
    }),
  ];
  return own.flatMap(({ day, buckets }) =>
    values.flatMap(([field, value]) => {
      const place = placeOf(salt, field, value);
      return [setName(field, day, buckets, place.bucket(buckets)), memberOf(place, at) + id];
    }),
  );
}

async function remove(redis: RedisClient, keys: ShardKeys, entries: readonly string[]): Promise<void> {
  for (let i = 0; i + 1 < entries.length; i += 2) await redis.zrem(keys.find(entries[i]!), entries[i + 1]!);
}

async function removeEvents(redis: RedisClient, events: string, ids: ReadonlySet<string>): Promise<void> {
  for (let from = '-'; ;) {
    const found = await redis.xrange(events, from, '+', 'COUNT', eventsPerLook);
    const about = found.filter(([, fields]) => {
      const at = fields.indexOf('i');
      return at >= 0 && ids.has(fields[at + 1] ?? '');
    });
    if (about.length > 0) await redis.xdel(events, ...about.map(([id]) => id));
    if (found.length < eventsPerLook) return;
    from = `(${found.at(-1)![0]}`;
  }
}

/** In whichever shard the message was sent. */
export async function readKept(redis: RedisClient, { all }: Shards, id: string): Promise<string | null> {
  const found = await Promise.all(all.map((keys) => redis.hget(keys.kept(id), 'data')));
  return found.find((data) => data !== null) ?? null;
}
