/** What tests of an operator share: a name to act under, a configuration, dead letters by the hundred, and a runner of operations. */
import { onTestFinished } from 'vitest';
import type { Actor } from '../../src/admin/audit.ts';
import type { AdminConfig, ConfiguredConnector } from '../../src/admin/admin-config.ts';
import type { Operator } from '../../src/admin/operator.ts';
import { encodeWire } from '../../src/queue/jobs.ts';
import { deadLetterFields, type DeadLetter } from '../../src/queue/ledger/dead-letters.ts';
import { parseMessage } from '../../src/message/schema.ts';
import { defaultMessageLimits } from '../../src/message/message.ts';
import type { RedisClient } from '../../src/queue/redis/connection.ts';
import { shardsOf } from '../../src/queue/redis/shards.ts';
import { createSealing } from '../../src/sealing/sealing.ts';
import { shardCount, testConnection, testEncryption } from './redis.ts';

export const opsDesk: Actor = { by: 'ops-desk', through: 'api', client: '192.0.2.1' };

/** Connectors by id; the first one that sends is the default gateway. */
export function adminConfig(
  connectors: Record<string, Partial<Omit<ConfiguredConnector, 'id'>>>,
  rest: Partial<AdminConfig> = {},
): AdminConfig {
  const list = Object.entries(connectors).map(([id, connector]): ConfiguredConnector => ({
    id,
    direction: 'outgoing',
    addresses: [],
    transport: null,
    limits: { concurrency: 5, messagesPerMinute: null },
    retry: { lifetimeMs: 3_600_000 },
    credentialEndsAt: null,
    ...connector,
  }));
  return {
    connectors: list,
    systemDefaultGateway: list.find(({ direction }) => direction !== 'incoming')?.id ?? null,
    unmonitoredAddress: null,
    retry: { lifetimeMs: 3_600_000 },
    retention: { ledgerMs: 3_600_000 },
    ...rest,
  };
}

/** Messages that have died: rows and letters as a worker writes them, by the thousand and without a worker. */
export async function plantDead(
  prefix: string,
  letters: readonly Partial<DeadLetter>[],
  from = 0,
  redis: RedisClient = testConnection(),
): Promise<string[]> {
  const shards = shardsOf(prefix, shardCount());
  const ids: string[] = [];
  const at = Date.now() - 60_000;
  for (let start = 0; start < letters.length; start += 500) {
    const pipeline = redis.pipeline();
    for (const [i, given] of letters.slice(start, start + 500).entries()) {
      const number = from + start + i;
      const id = given.id ?? `dead-${String(number).padStart(6, '0')}`;
      const address = `r${number}@example.net`;
      const reply = `550 5.1.1 <${address}>: User unknown`;
      const input = { id, from: given.from ?? 'a@example.com', to: address, subject: `S ${number}`, text: 'x' };
      const parsed = parseMessage(input, defaultMessageLimits);
      if (!parsed.ok) throw new Error('not a message');
      const letter: DeadLetter = {
        id,
        reason: 'rejected',
        connector: 'relay',
        recipients: [{ address, code: '550', reply }],
        at: at + number,
        reply,
        attempts: 1,
        acceptedAt: at,
        from: 'a@example.com',
        data: encodeWire(parsed.message),
        form: 'json',
        ...given,
      };
      const keys = letter.connector === null ? shards.home : shards.keysOf(letter.connector);
      const recipients = JSON.stringify([{ address, outcome: 'rejected', code: '550', reply: letter.reply }]);
      const row = {
        state: 'dead',
        connector: letter.connector ?? '',
        routed: '-',
        recipients,
        acceptedAt: at,
        deadline: at,
        n: 0,
      };
      pipeline.hset(keys.ledger(id), row);
      pipeline.hset(keys.deadLetter(id), ...deadLetterFields(letter, createSealing(testEncryption())));
      pipeline.zadd(keys.dead, letter.at, id);
      if (shards.all.length > 1 && keys.prefix !== shards.home.prefix) {
        pipeline.set(shards.home.location(id), String(shards.of(letter.connector ?? '')));
      }
      ids.push(id);
    }
    await pipeline.exec();
  }
  return ids;
}

/** Works on operations until the test ends, or it is stopped. */
export function runnerOf(operator: Operator, config: AdminConfig): { stop: () => Promise<void> } {
  const ended = new AbortController();
  const running = operator.run({ config: () => config, signal: ended.signal });
  const stop = async (): Promise<void> => {
    ended.abort();
    await running;
  };
  onTestFinished(stop);
  return { stop };
}
