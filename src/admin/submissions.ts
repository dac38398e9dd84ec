/** What a process that takes mail by SMTP asks of Redis: one connection that never makes it wait long, and errors as values of ours. */
import { withTimeout } from '../async/timeout.ts';
import { PostlaneError } from '../errors.ts';
import { connectFailFast, redisError, whenReady } from '../queue/redis/connection.ts';
import { openQueues } from '../queue/open.ts';
import { createSenderQuotas, type SenderQuotas } from './sender-quota.ts';
import { createSealing, type EncryptionOptions } from '../sealing/sealing.ts';
import type { RedisSettings } from '../queue/redis/settings.ts';
import { createSubmissions, type Submissions } from '../queue/submissions.ts';

export type { Login, SubmissionNote } from '../queue/submissions.ts';

export interface SubmissionStoreOptions {
  readonly redis: RedisSettings & { readonly prefix: string; readonly shards?: number };
  /** Every call answers within this time, in ms. */
  readonly timeoutMs: number;
  /** Hashes of what was submitted are then stored keyed: who reads Redis confirms no guess of a text by them. */
  readonly encryption?: EncryptionOptions | null;
}

/** Each call rejects with a PostlaneError, and with nothing else. */
export interface SubmissionStore extends Submissions {
  /** → the value that stands under the hash: `value` itself if none did. */
  claim(hash: string, value: string, forMs: number): Promise<string>;
  /** Counts a message. → false if it is one too many. `name`: of a token, or of another that is no token's. */
  withinRate(name: string, perMinute: number): Promise<boolean>;
  /** As `SenderQuotas.take`. */
  takeQuota: SenderQuotas['take'];
  /** Whether Redis is there. */
  connected(): boolean;
  close(): void;
}

/** Does not wait for Redis: one that is away makes calls reject, not this. */
export function openSubmissionStore({ redis: at, timeoutMs, encryption }: SubmissionStoreOptions): SubmissionStore {
  const { keyring } = createSealing(encryption);
  const redis = connectFailFast(at, timeoutMs, 'postlane-smtp');
  redis.on('error', () => undefined);
  const { keys, tokenRate, claimKey, claimed, quota } = openQueues(redis, { ...at, failFast: true });
  const submissions = createSubmissions(redis, keys);
  const quotas = createSenderQuotas(quota);
  const bounded = async <T>(work: () => Promise<T>): Promise<T> => {
    const late = (): PostlaneError =>
      new PostlaneError('redis-unavailable', `Redis did not answer within ${timeoutMs} ms`);
    try {
      return await withTimeout(
        () => (redis.status === 'ready' ? work() : whenReady(redis, timeoutMs).then(work)),
        timeoutMs,
        late,
      );
    } catch (error) {
      throw redisError(error);
    }
  };
  return {
    claim: (hash, value, forMs) =>
      bounded(async () => {
        const { sealing } = keyring;
        if (sealing === null) return claimKey(hash, value, forMs);
        const name = sealing.digest(hash);
        // It may have been submitted before a rotation of the keys, or before there were any.
        const others = [hash, ...keyring.digests(hash)].filter((each) => each !== name);
        const [own, ...before] = await Promise.all([claimKey(name, value, forMs), ...others.map(claimed)]);
        return before.find((each) => each !== null) ?? own;
      }),
    attempt: (login) => bounded(() => submissions.attempt(login)),
    succeeded: (login) => bounded(() => submissions.succeeded(login)),
    withinRate: (name, perMinute) => bounded(async () => (await tokenRate(name, perMinute, 1)) === 0),
    takeQuota: (...call) => bounded(() => quotas.take(...call)),
    note: (notes) => bounded(() => submissions.note(notes)),
    report: () => bounded(() => submissions.report()),
    failures: (users) => bounded(() => submissions.failures(users)),
    connected: () => redis.status === 'ready',
    close: () => redis.disconnect(),
  };
}
