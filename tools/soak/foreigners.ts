/** Other programs that put jobs into the intake which are no messages: each must end as a dead letter, and hold up nothing. */
import { setTimeout as pause } from 'node:timers/promises';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { intakeName, jobName, type HomeKeys } from '../../src/queue/redis/keys.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface ForeignersOptions {
  readonly url: string;
  readonly prefix: string;
  readonly redis: Redis;
  readonly keys: HomeKeys;
  readonly random: SeededRandom;
  readonly signal: AbortSignal;
}

/** Field of the job → what stands there instead. */
const damages: readonly [Damage, ...Damage[]] = [
  { data: '{"v":1,"message":' },
  { data: '\ufeff{}' },
  { data: Buffer.from([0x82, 0xa1, 0x76, 0x01, 0xff]) },
  { data: '{"v":{"toString":1},"message":{}}' },
  { data: '{"v":0,"message":{}}' },
  { data: `${'['.repeat(6_000)}${']'.repeat(6_000)}` },
  { data: `{"v":1,"message":{${Array.from({ length: 2_000 }, (_, at) => `"key${at}":1`).join()}}}` },
  { opts: 'zzz' },
  { opts: 'null' },
  { timestamp: 'abc' },
  { timestamp: '1e400' },
  { atm: 'x', ats: 'y', stc: 'z' },
];
type Damage = Readonly<Record<string, string | Buffer>>;

const damageLua = `if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], unpack(ARGV)) end`;

/** Resolves to the ids of what was put in, soon after the signal. A job waits for a moment before it is damaged and due. */
export async function sendRubbish({ url, prefix, redis, keys, random, signal }: ForeignersOptions): Promise<string[]> {
  const intake = new Queue(intakeName, { connection: { url }, prefix });
  intake.on('error', () => undefined);
  const ids: string[] = [];
  while (!signal.aborted) {
    await pause(random.between('until rubbish', 300, 2_000), undefined, { signal }).catch(() => undefined);
    const id = `rubbish-${ids.length}`;
    try {
      await intake.add(jobName, { v: 1, message: {} }, { jobId: id, delay: 1_000 });
      ids.push(id);
      const damage = Object.entries(random.pick('damage', damages)).flat();
      // Not a job that is gone by now: what is left then belongs to no job.
      await redis.eval(damageLua, 1, keys.intakeJob(id), ...damage);
    } catch {
      // Redis is away. A job that was added and not damaged is invalid all the same.
    }
  }
  await intake.close().catch(() => undefined);
  return ids;
}
