/** What must hold while Redis refuses writes for a time, whatever the reason, and after it takes them again. */
import { expect } from 'vitest';
import { account, countable, countableMany, settled, sink, type Account } from './accounting.ts';
import { sendUntilAccepted } from './own-redis.ts';
import { pausedServer } from './paused-server.ts';
import { testProducer } from './postlane.ts';
import { startWorkerProcess, type WorkerProcess } from './worker-process.ts';
import { until } from '../../testkit/until.ts';

export interface RefusingRedis {
  readonly url: string;
  readonly prefix: string;
  /** Makes Redis refuse every write from now on. */
  refuse(): Promise<unknown> | void;
  restore(): Promise<unknown> | void;
}

interface Backlog {
  readonly count: number;
  /** Of the error with which `send` rejects. */
  readonly refusal: object;
  /** Further expectations while writes are refused. */
  readonly meanwhile?: (worker: WorkerProcess) => Promise<void>;
}

/** Redis refuses while a backlog is under way: `send` rejects, and the worker goes on without help. → the account of `count` messages and 21 later ones. */
export async function backlogThrough(redis: RefusingRedis, { count, refusal, meanwhile }: Backlog): Promise<Account> {
  const { url, prefix } = redis;
  const producer = testProducer(prefix, { url });
  const server = await sink();
  const before = countableMany(count, 'before');
  await sendUntilAccepted(producer, before);
  const worker = await startWorkerProcess({
    prefix,
    url,
    connectors: { relay: { port: server.port, concurrency: 4 } },
    // Short, as a job whose move Redis refused may wait for the end of its lock.
    timing: { lockMs: 5_000 },
  });
  await until(() => server.received.transactions.length > count / 10, { what: 'mail to be under way' });
  await redis.refuse();
  await expect(producer.send(countable('refused'))).rejects.toMatchObject({ id: 'refused', ...refusal });
  await worker.waitFor('error');
  await meanwhile?.(worker);
  await redis.restore();
  const after = [countable('refused'), ...countableMany(20, 'after')];
  await sendUntilAccepted(producer, after);
  const rows = await settled(producer, [...before, ...after]);
  return account(rows, [server]);
}

/**
 * The reply to one message comes while Redis refuses writes; `write` says whether the result is refused as well. → the attempts in
 * the ledger and the account.
 */
export async function resultThrough(
  redis: RefusingRedis,
  write: 'refused' | 'taken' = 'refused',
): Promise<Account & { readonly attempts: number }> {
  const { url, prefix } = redis;
  const producer = testProducer(prefix, { url });
  const { server, reached, release } = await pausedServer('.');
  const connectors = { relay: { port: server.port } };
  const worker = await startWorkerProcess({ prefix, url, connectors, timing: { lateResultMs: 120_000 } });
  await sendUntilAccepted(producer, [countable('m')]);
  await until(reached, { what: 'the server to have the message' });
  await redis.refuse();
  release();
  await worker.waitFor('outcome', 'm');
  if (write === 'refused') {
    // Refused at least once.
    await worker.waitFor('error', 'm');
    await redis.restore();
  }
  const rows = await settled(producer, ['m']);
  return { ...account(rows, [server]), attempts: rows[0]!.attempts };
}
