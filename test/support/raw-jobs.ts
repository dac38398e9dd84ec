/** Jobs as a stranger may have written them: fields of a hash, and an id on a list of BullMQ's. */
import type { Redis } from 'ioredis';
import { intakeName, jobName, keysOf, laneName } from '../../src/queue/redis/keys.ts';

export type RawFields = Readonly<Record<string, string | Buffer>>;

/** The fields of a sound job. */
export function soundFields(data: unknown, rest: RawFields = {}): Record<string, string | Buffer> {
  return {
    name: jobName,
    data: JSON.stringify(data),
    opts: '{}',
    timestamp: String(Date.now()),
    delay: '0',
    priority: '0',
    ...rest,
  };
}

/** What a producer in another language enqueues. */
export function wire(subject = 'x', more: Readonly<Record<string, unknown>> = {}): unknown {
  return { v: 1, message: { from: 'shop@example.com', to: ['a@example.net'], subject, text: subject, ...more } };
}

/** Puts a job into the wait list of the intake, or of a lane, whatever it is. `fields`: a string is a key that is no hash. */
export async function addRaw(
  redis: Redis,
  prefix: string,
  jobId: string,
  fields: RawFields | string,
  connector: string | null = null,
): Promise<void> {
  const queue = connector === null ? intakeName : laneName(connector);
  const key = (name: string): string => keysOf(prefix).queue(queue, name);
  const pipeline = redis.pipeline();
  if (typeof fields === 'string') pipeline.set(key(jobId), fields);
  else if (Object.keys(fields).length > 0) pipeline.hset(key(jobId), fields);
  pipeline.lpush(key('wait'), jobId).zadd(key('marker'), 0, '0');
  const { lanes, ready, wake } = keysOf(prefix);
  if (connector !== null) pipeline.sadd(lanes, connector).zadd(ready, 0, connector).publish(wake, connector);
  for (const [error] of (await pipeline.exec()) ?? []) if (error !== null) throw error;
}
